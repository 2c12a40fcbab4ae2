# The only words one needs: make setup | check | test | test-slow | fix | bench | bench-serve | bench-scratch | bench-transfer | docs | demo | clean
#
# Every word but help, bench and clean sees to the environment first: .venv is made where it is missing, brought up to date where pyproject.toml
# or the constraints are newer, and built again where it is broken or of an old Python.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
RECENT := import sys; sys.exit(sys.version_info < (3, 11))
# An environment that was copied or moved still names its old place in its scripts, and would run what lies there.
AT_HOME := import pip, sys; assert sys.prefix in open(sys.prefix + "/bin/pip").read(1000)
WORKS := $(BIN)/python -c '$(AT_HOME); $(RECENT)' >/dev/null 2>&1

# Debian's Python comes without ensurepip; a pip that is already there can stand in for it.
VENV_WITHOUT_ENSUREPIP := $(PYTHON) -m venv --clear --without-pip .venv && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip

.DEFAULT_GOAL := help
.PHONY: help setup check test test-slow fix bench bench-serve bench-scratch bench-transfer docs demo clean
.SILENT:
MAKEFLAGS += --no-print-directory

# Nothing outside the project decides what is installed or imported here.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONNOUSERSITE := 1

help:
	echo "make setup   build or update .venv"
	echo "make check   formatting, lint, types, who may import whom"
	echo "make test    every test but the slow ones"
	echo "make test-slow   the slow ones"
	echo "make fix     format, and repair what can be repaired"
	echo "make demo    train and measure a small model"
	echo "make bench   list what measures speed and accuracy"
	echo "make bench-serve   requests a second beside other servers (installs them aside)"
	echo "make bench-scratch   training small pictures, beside the record's recipe and Keras (an hour)"
	echo "make bench-transfer  photographs to a model, beside fastai and others (three hours)"
	echo "make docs    write docs/cli.md and docs/performance.md"
	echo "make clean   remove .venv and caches"

setup: $(READY)

# A broken environment loses its stamp before make looks at it: the rule below then builds it anew.
ifneq ($(MAKECMDGOALS),clean)
$(shell if [ -e $(READY) ] && ! $(WORKS); then rm -f $(READY); fi)
endif

$(READY): pyproject.toml requirements/constraints.txt
	command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) was not found; Python 3.11 or newer is needed (make PYTHON=python3.12 setup)." >&2; exit 1; }
	$(PYTHON) -c '$(RECENT)' || { echo "make: $$($(PYTHON) --version) was found; Python 3.11 or newer is needed (make PYTHON=python3.12 setup)." >&2; exit 1; }
	if ! $(WORKS); then \
		rm -rf .venv && $(PYTHON) -m venv .venv >/dev/null 2>&1 || { $(VENV_WITHOUT_ENSUREPIP); } || \
		{ echo "make: .venv could not be made; Debian needs: apt install python3-venv" >&2; exit 1; }; \
	fi
	echo "Installing what eyebright needs into .venv (minutes the first time) ..."
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint requirements/constraints.txt
	touch $@

check: setup
	$(BIN)/ruff format --check --quiet . || { echo "Some files are not formatted: make fix" >&2; exit 1; }
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	echo "All checks passed."

test: setup
	$(BIN)/pytest -m "not slow"

test-slow: setup
	$(BIN)/pytest -m slow

fix: setup
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

demo: setup
	$(BIN)/python examples/demo.py

bench:
	echo "make bench-serve, make bench-scratch, make bench-transfer: see make help."
	echo "By themselves, each with a first line that says what it measures and what it takes:"
	grep -l __main__ bench/*.py | sed 's|bench/\(.*\)\.py|  $(BIN)/python -m bench.\1|'

bench-serve: setup
	$(BIN)/python -m bench.serve

bench-scratch: setup
	$(BIN)/python -m bench.scratch

bench-transfer: setup
	$(BIN)/python -m bench.transfer

docs: setup
	$(BIN)/python docs/build.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
