# Needs python3, make and a package index; everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PYTEST := $(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal
# For tests that wait more than they compute.
WAITING := $(BIN)/pytest -n 4 --dist worksteal
NAME ?=
MUTANTS ?=
PROPERTIES := $(addprefix tests/,models/test_reference.py search/test_exhaustive.py text config \
    cli/test_lines_out.py test_alignment.py)

# Tests of the rooms that `[tool.coverage.run]` in pyproject.toml names.
ROOMS := $(addprefix tests/,data/test_binary.py data/test_sampler.py search storage \
    text/test_lines.py training/test_checkpoint.py training/test_randomness.py \
    training/test_stopping.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-fault test-coverage test-mutation check recipe bench curves clean

help: ## show what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | while IFS='	' read -r target text; \
	do printf '  make %-20s %s\n' "$$target" "$$text"; done
	@printf '\nRecipes: %s\n' "$(notdir $(patsubst %/,%,$(dir $(wildcard recipes/*/config.toml))))"

demo: $(INSTALLED) ## train English to Italian in minutes, score it, show translations
	@$(MAKE) --no-print-directory -f recipes/Makefile NAME=toy BIN=$(BIN) RUN=runs/toy
	@sh recipes/toy/demo.sh $(BIN)/nmt runs/toy

test: $(INSTALLED) ## run the fast tests
	$(PYTEST) -m 'not slow'

test-slow: $(INSTALLED) ## run the tests that take minutes
	$(BIN)/pytest -m slow

test-fault: $(INSTALLED) ## provoke every fault as often as promised
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary atheris \
	    -c constraints.txt -e '.[fuzz]' || echo "atheris cannot be had: the fuzz targets are skipped"
	$(WAITING) tests/faults $(PROPERTIES) --full --table tests/faults/README.md

test-coverage: $(INSTALLED) ## see that tests reach every branch of what must not fail
	$(BIN)/coverage run -m pytest -m 'not slow' $(ROOMS)
	$(BIN)/coverage report

test-mutation: $(INSTALLED) ## break the same files on purpose and list what no test noticed
	@test "$$(id -u)" != 0 || { echo "not as root: broken code may write anywhere" >&2; exit 2; }
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutation]'
	$(BIN)/mutmut run $(MUTANTS)
	@$(BIN)/mutmut results

check: $(INSTALLED) ## lint, formatting, types and the fast tests: what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -m 'not slow'

recipe: $(INSTALLED) ## fetch, train and score one recipe: make recipe NAME=dates
	@$(MAKE) --no-print-directory -f recipes/Makefile NAME=$(NAME) BIN=$(BIN)

bench: $(INSTALLED) ## compare with other toolkits: make bench SYSTEMS="nmt joeynmt" CONFIGS=small
	@$(MAKE) --no-print-directory -f recipes/bench/Makefile PYTHON=$(abspath $(BIN))/python

curves: $(INSTALLED) ## draw how time grows: make curves VARIED="length beam" PRECISION=bf16
	@$(BIN)/python -c 'import matplotlib' 2>/dev/null || \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[plot]'
	@$(MAKE) --no-print-directory -f recipes/curves/Makefile PYTHON=$(abspath $(BIN))/python

clean: ## remove the environment and caches; runs/ and fetched corpora stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage mutants build dist
	find nmt tests recipes data -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed anew when the requirements change; the stamp is written last, so that an interrupted
# installation is taken up again.
$(INSTALLED): pyproject.toml constraints.txt
	@echo "installing into $(VENV): minutes the first time, nothing after that"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
