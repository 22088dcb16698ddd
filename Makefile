# Two commands do everything: `make run` and `make test`. Both set up .venv by themselves.
# `make test` leaves out what takes minutes; `make test-all` runs everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.installed-to-run
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test test-slow test-all lint bench screenshots constraints clean

run: $(RUNS)
	@$(BIN)/ratematch $(ARGS)

test: $(STAMP) lint
	$(BIN)/pytest -n auto -m "not slow"

test-slow: $(STAMP)
	$(BIN)/pytest -n auto -m slow

test-all: test test-slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then $(BIN)/mypy; \
	else echo "types are not checked here: the last numpy for Python 3.10 describes its arrays too loosely"; fi
	$(BIN)/lint-imports

bench: $(RUNS)
	@$(BIN)/ratematch bench

screenshots: $(STAMP)
	$(BIN)/python screenshots/make.py
	$(BIN)/python screenshots/record.py
	$(BIN)/python screenshots/readme.py

# The newest versions that pyproject.toml allows, for every Python from 3.10 on, in one file.
constraints:
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check uv
	UV_CUSTOM_COMPILE_COMMAND="make constraints" build/lock/bin/uv pip compile pyproject.toml --quiet --universal \
	  --upgrade --python-version 3.10 --all-extras --no-annotate --output-file constraints.txt

clean:
	rm -rf $(VENV) dist build

# Progress goes to standard error: `make run ARGS=chat > plan.txt` holds the plan alone.
$(RUNS): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "ratematch needs Python 3.10 or newer; set PYTHON=python3.x")'
	@echo "Setting up $(VENV) with $$($(PYTHON) --version), once: a minute or two" >&2
	@$(PYTHON) -m venv $(VENV)
	@echo "  installing what builds it: pip, hatchling" >&2
	@$(PIP) pip hatchling editables
	@echo "  installing what it computes with: numpy, scipy" >&2
	@$(PIP) numpy scipy
	@echo "  installing what it draws with: textual, rich, plotext; and ratematch itself, in place" >&2
	@$(PIP) --no-build-isolation --editable '.[serve]'
	@touch $@
	@echo "  ready to run" >&2

$(STAMP): $(RUNS)
	@echo "  installing what tests it: pytest, hypothesis, mypy, ruff" >&2
	@$(PIP) --no-build-isolation --editable '.[serve,dev]'
	@touch $@
	@echo "  ready to test" >&2
