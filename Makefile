# Every target makes its own virtual environment on first use; nothing else needs to be installed by hand.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
MODALITY := ultrasound

# Compiled modules are kept: tests start hundreds of processes, each of which would compile all that it imports anew.
export PYTHONDONTWRITEBYTECODE :=

# Tests wait as much as they compute: three at a time, though there may be but two cores; afterwards, two at a time, those
# whose processes are watched against the clock. `tests/conftest.py` says which files begin.
AT_SPEED := $(addprefix tests/system/test_,live_process.py commands_at_speed.py engine_swap.py capture_process.py)
PYTEST := $(RUN) pytest -m "not soak and not gpu"
BY_FILE := --dist loadfile --no-loadscope-reorder
TESTS = $(PYTEST) -n 3 $(BY_FILE) $(addprefix --ignore ,$(AT_SPEED)) && $(PYTEST) -n 2 $(BY_FILE) $(wildcard $(AT_SPEED))

.PHONY: demo peers test lint check bench device soak engines train judge judge-quick judge-one deb lock clean
.DEFAULT_GOAL := help

help:            ## these lines
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --require-hashes -r requirements-dev.lock
	$(VENV)/bin/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

demo: $(VENV)/.ready      ## the whole appliance around a phantom scanner; MODALITY=fluoroscopy for the other one
	$(RUN) edge demo --modality $(MODALITY)

peers:           ## the archives and DICOM tools that the tests talk to, where they may be installed
	tools/install-peers.sh

test: $(VENV)/.ready peers     ## all tests but the long loops
	$(TESTS)

lint: $(VENV)/.ready     ## format, lint, types, import contracts
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
	$(VENV)/bin/lint-imports

check: lint test         ## what every change must pass, and CI runs

bench: $(VENV)/.ready     ## the figures of the README, measured here
	$(RUN) edge bench --size 640x480 --fps 30 --seconds 60 --picture out/latency.png
	$(RUN) edge bench --size 640x480 --fps 60 --seconds 30
	$(RUN) edge bench --size 320x240 --fps 30 --streams 4 --seconds 30
	$(RUN) edge bench --size 1024x1024 --depth 16 --fps 30 --seconds 30

device: $(VENV)/.ready    ## on a machine with an NVIDIA GPU: contract, parity, replay, no leak, latency against FP16
	$(VENV)/bin/python -c "import tensorrt" || $(VENV)/bin/pip install --quiet -e ".[rtx]"
	$(RUN) pytest -m gpu --timeout 3600 tests/device
	$(RUN) pytest tests/contract/test_backends.py

soak: $(VENV)/.ready      ## the long loops: memory over 100,000 frames, a minute of overload
	$(RUN) pytest -m soak --timeout 3600

engines: $(VENV)/.ready   ## write the hand-built engines again
	$(RUN) engines.handbuilt

ENGINES := $(foreach size,large medium small,ultrasound-clarity-$(size) fluoroscopy-clarity-$(size)) superres-2x

$(VENV)/.torch: $(VENV)/.ready
	$(VENV)/bin/pip install --quiet "torch==2.13.0+cpu" || $(VENV)/bin/pip install --quiet "torch>=2.4"
	touch $@

train: $(VENV)/.torch     ## train every engine and bring it to INT8: some hours on two cores; goes on where it was left
	for name in $(ENGINES); do $(RUN) engines.train $$name && $(RUN) calibration.quantize $$name || exit 1; done
	$(RUN) calibration.unveil $(filter ultrasound-%,$(ENGINES))

judge: $(VENV)/.ready     ## judge every engine in full, write its card, and a report in out/judge
	$(RUN) calibration.judge --all --write --report out/judge

judge-quick: $(VENV)/.ready   ## the same with fewer frames, and nothing written
	$(RUN) calibration.judge --all --quick

judge-one: $(VENV)/.ready     ## the same of one engine: enough to see that judging works
	$(RUN) calibration.judge ultrasound-clarity-small --quick --json >/dev/null

deb:                      ## a Debian package with everything in it, for Debian's own Python: dist/limpid_*.deb
	/usr/bin/python3 tools/build_deb.py

lock:                     ## choose and lock the versions of all development dependencies
	$(PYTHON) -m pip install --quiet uv
	$(PYTHON) -m uv pip compile pyproject.toml --extra all --group dev --universal --python-version 3.10 \
		--generate-hashes --no-header --no-emit-index-url --no-emit-find-links --no-annotate -o requirements-dev.lock

clean:
	rm -rf $(VENV) out build dist .pytest_cache .ruff_cache .hypothesis
