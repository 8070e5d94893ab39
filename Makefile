# make demo   installs into .venv, converts examples/recordings with the bundled voices, leaves sound and pictures in out/
# make test   installs into .venv and runs the tests
# make demo-voices   trains the bundled voices again from nothing (hours; see configs/demo/README.md)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Without an NVIDIA GPU the pinned PyTorch is taken first, so that no other package pulls one with CUDA libraries.
HAS_GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -c GPU)
TORCH := $(if $(filter-out 0,$(HAS_GPU)),torch>=2.11,torch==2.13.0)
EXTRAS := train,f0,test$(if $(filter-out 0,$(HAS_GPU)),$(comma)gpu)
comma := ,

.PHONY: demo test lint demo-voices clean

$(READY): setup.py Makefile
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$(TORCH)" numpy
	$(BIN)/pip install --quiet -e ".[$(EXTRAS)]"
	touch $@

demo: $(READY)
	$(BIN)/python -m fastsvc.evaluation.demo --input examples/recordings --out out

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -q tests

lint: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo-voices: $(READY)
	$(BIN)/python -m configs.demo.train_all --work work/demo

clean:
	rm -rf $(VENV) out work
