# Two commands do everything: `make run` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test lint bench screenshots clean

run: $(STAMP)
	@$(BIN)/ratematch $(ARGS)

test: $(STAMP) lint
	$(BIN)/pytest -n auto

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	@$(BIN)/ratematch bench

screenshots: $(STAMP)
	$(BIN)/python screenshots/make.py
	$(BIN)/python screenshots/record.py

clean:
	rm -rf $(VENV) dist build

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "ratematch needs Python 3.10 or newer; set PYTHON=python3.x")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[serve,dev]'
	@touch $@
