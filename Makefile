# Two commands set everything up on a machine with Python >= 3.11 and make:
#   make solve    make the virtual environment, install, interpolate the handwritten digits
#   make test     install the development tools as well, run the tests

VENV ?= .venv
BIN := $(VENV)/bin
# In as many processes as there are cores, four at most; PYTEST_OPTIONS="-n 0" takes one, as a debugger wants.
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check

# The first interpreter that runs and is new enough; `make PYTHON=...` overrules it.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)

.PHONY: solve test test-slow lint docs wheel-check format clean help
.DELETE_ON_ERROR:

solve: $(VENV)/.installed
	$(BIN)/kernelfit solve

test: $(VENV)/.installed-dev
	$(PYTEST) $(PYTEST_OPTIONS)

test-slow: $(VENV)/.installed-dev
	$(PYTEST) --slow $(PYTEST_OPTIONS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Every example is run for its picture; what the pages say is tested in tests/docs.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m mkdocs build --strict --quiet

# Wheel and source distribution, on every Python that is here; WHEEL_CHECK=PYTHON... names some, --tests runs its tests.
wheel-check: $(BIN)/python
	$(BIN)/python tests/packaging/wheel_check.py $(WHEEL_CHECK)

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist site docs/pictures *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

help:
	@sed -n '/^$$/q; s/^#  *//p' Makefile

# --prefer-binary: an older wheel rather than a source archive, so that nothing needs a compiler.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --prefer-binary --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --prefer-binary --constraint constraints.txt --editable '.[dev,deep,docs,imagenet]'
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 found; name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
