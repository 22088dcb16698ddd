# Two commands do everything: `make run` and `make test`. Both set up .venv by themselves.
# `make test` leaves out what takes minutes; `make test-all` runs everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Each worker takes a run of files, so that what the tests of a file share is made once, then helps the others.
PYTEST = $(KEEP) $(BIN)/pytest -n auto --dist worksteal
RUNS := $(VENV)/.installed-to-run
STAMP := $(VENV)/.installed
UV := build/lock/bin/uv
# The tests start some hundred processes: what was compiled once is kept.
KEEP := env -u PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test test-quick test-slow test-all test-lowest test-newest fuzz lint bench screenshots constraints sbom clean

run: $(RUNS)
	@$(BIN)/ratematch $(ARGS)

# Linters and types need one core and a minute: they run beside the tests.
test: $(STAMP)
	@$(MAKE) --no-print-directory --jobs=2 lint test-quick

test-all:
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-slow

test-quick: $(STAMP)
	$(PYTEST) -m "not slow"

test-slow: $(STAMP)
	$(PYTEST) -m slow

# The quick tests on the oldest (newest) versions that pyproject.toml allows and this Python has wheels of.
# All is computed anew each time: what is newest today is the question. `PYTHON=python3.10` picks the Python.
TESTED := --extra serve --extra figures --extra traces --extra study --extra dev
test-lowest: RESOLUTION := lowest-direct
test-newest: RESOLUTION := highest
test-lowest test-newest: test-%: $(UV)
	$(UV) venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" build/$*
	$(UV) pip compile pyproject.toml --quiet $(TESTED) --no-annotate --no-header --only-binary :all: \
	  --resolution $(RESOLUTION) --python build/$*/bin/python --output-file build/$*.txt
	$(UV) pip sync --quiet --python build/$*/bin/python build/$*.txt
	$(UV) pip install --quiet --python build/$*/bin/python --no-build-isolation --no-deps --editable .
	@echo "$* on $$(build/$*/bin/python --version): $$(grep -E '^(numpy|scipy|textual|rich)==' build/$*.txt | xargs)"
	build/$*/bin/python -m pytest -n auto --dist worksteal -m "not slow" $(TESTS)

# 1,000 random deployments and loads replayed, each way out of 1,024 questions without a plan tried, then
# 50,000 hostile inputs in some minutes; FUZZ="--seed 7 flags" chooses the chance and the classes.
fuzz: $(STAMP)
	REPLAYS=1000 DRAWS=20 QUESTIONS=1024 FORMATS=1 LOADS=2000 $(PYTEST) tests/planner/replay/test_invariants.py \
	  tests/planner/simulate/test_physics.py tests/planner/simulate/test_formats.py tests/planner/simulate/test_waiting.py \
	  tests/planner/planning/test_promises.py
	$(BIN)/python -m tests.fuzz $(FUZZ)

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
	$(BIN)/python screenshots/session.py
	$(BIN)/python screenshots/readme.py

# The newest versions that pyproject.toml allows, for every Python from 3.10 on, in one file.
constraints: $(UV)
	UV_CUSTOM_COMPILE_COMMAND="make constraints" $(UV) pip compile pyproject.toml --quiet --universal \
	  --upgrade --python-version 3.10 --all-extras --no-annotate --output-file constraints.txt

$(UV):
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/pip install --quiet --disable-pip-version-check uv

# What ratematch runs on, every extra included, with versions as in constraints.txt and licences: CycloneDX.
sbom: $(UV)
	@mkdir -p dist
	$(UV) venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" build/sbom
	$(UV) pip install --quiet --python build/sbom/bin/python --constraint constraints.txt '.[serve,figures,traces,study]'
	sed "s/^dynamic = .*/version = \"$$(build/sbom/bin/ratematch --version | cut -d' ' -f2)\"/" pyproject.toml > build/pyproject.toml
	$(UV) tool run --quiet --constraints constraints.txt --from cyclonedx-bom cyclonedx-py environment \
	  --pyproject build/pyproject.toml --output-reproducible --output-file dist/ratematch.cdx.json build/sbom/bin/python

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
	@echo "  installing what it draws with: textual, rich, plotext; what reads traces; and ratematch itself, in place" >&2
	@$(PIP) --no-build-isolation --editable '.[serve,traces,study]'
	@touch $@
	@echo "  ready to run" >&2

$(STAMP): $(RUNS)
	@echo "  installing what tests it: pytest, hypothesis, mypy, ruff" >&2
	@$(PIP) --no-build-isolation --editable '.[serve,traces,study,dev]'
	@touch $@
	@echo "  ready to test" >&2
