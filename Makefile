# Needs python3, make and a package index. Everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install -c constraints.txt
INSTALLED := $(VENV)/installed
PYTEST := $(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal
# For tests that spend more time waiting than computing.
WAITING := $(BIN)/pytest -n 4 --dist worksteal
NAME ?=
MUTANTS ?=
PROPERTIES := $(addprefix tests/,models/test_reference.py search/test_exhaustive.py text config \
    cli/test_lines_out.py test_alignment.py)

# Tests of the modules listed in `[tool.coverage.run]` in pyproject.toml.
COVERAGE_TESTS := $(addprefix tests/,data/test_corpus.py data/test_sampler.py search storage \
    text/test_formats.py text/test_lines.py text/test_opening.py training/test_checkpoint.py training/test_randomness.py \
    training/test_stopping.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-fault test-coverage test-mutation check recipe distill bench curves lecture techniques clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | while IFS='	' read -r target text; \
	do printf '  make %-20s %s\n' "$$target" "$$text"; done
	@printf '\nRecipes: %s\n' "$(notdir $(patsubst %/,%,$(dir $(wildcard recipes/*/config.toml))))"

demo: $(INSTALLED) ## train English to Italian in minutes, score, show translations
	@$(MAKE) --no-print-directory -f recipes/Makefile NAME=toy BIN=$(BIN) RUN=runs/toy
	@sh recipes/toy/demo.sh $(BIN)/nmt runs/toy

test: $(INSTALLED) ## run the fast tests
	$(PYTEST) -m 'not slow'

test-slow: $(INSTALLED) ## run the tests that take minutes
	$(BIN)/pytest -m slow

test-fault: $(INSTALLED) ## provoke every fault the promised number of times
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	$(PIP) --only-binary atheris --group fuzz || \
	echo "atheris is not available: fuzz targets are skipped"
	$(WAITING) tests/faults $(PROPERTIES) --full --table tests/faults/README.md

test-coverage: $(INSTALLED) ## check that tests cover every branch of the critical modules
	$(BIN)/coverage run -m pytest -m 'not slow' $(COVERAGE_TESTS)
	$(BIN)/coverage report

test-mutation: $(INSTALLED) ## mutate the same modules and list mutants that no test detects
	@test "$$(id -u)" != 0 || { echo "do not run as root: mutated code may write anywhere" >&2; exit 2; }
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || \
	$(PIP) --group mutation
	$(BIN)/mutmut run $(MUTANTS)
	@$(BIN)/mutmut results

check: $(INSTALLED) ## lint, formatting, types and fast tests, as in CI
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -m 'not slow'

recipe: $(INSTALLED) ## fetch, train and score one recipe: make recipe NAME=dates
	@$(MAKE) --no-print-directory -f recipes/Makefile NAME=$(NAME) BIN=$(BIN)

distill: $(INSTALLED) ## train a student of several models: make distill NAME=dates TEACHERS=3
	@$(MAKE) --no-print-directory -f recipes/Makefile NAME=$(NAME) BIN=$(BIN) distill

bench: $(INSTALLED) ## compare with other toolkits: make bench SYSTEMS="nmt joeynmt" CONFIGS=small
	@$(MAKE) --no-print-directory -f recipes/bench/Makefile PYTHON=$(abspath $(BIN))/python

curves: $(INSTALLED) ## plot how time grows: make curves VARIED="length beam" PRECISION=bf16
	@$(BIN)/python -c 'import matplotlib' 2>/dev/null || \
	$(PIP) -e '.[plot]'
	@$(MAKE) --no-print-directory -f recipes/curves/Makefile PYTHON=$(abspath $(BIN))/python

lecture: $(INSTALLED) ## show a claim of the lectures: make lecture NAME=vanishing QUICK=1
	@PYTHONPATH=recipes $(BIN)/python -m lectures $(NAME) $(if $(QUICK),--quick) \
	$(if $(TEXT),--text "$(TEXT)")

techniques: $(INSTALLED) ## list the techniques of the lectures with their keys, tests and figures
	@$(BIN)/python tests/test_techniques.py

clean: ## remove the environment and caches, but not runs/ and fetched corpora
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage mutants build dist
	find nmt tests recipes data -name __pycache__ -type d -prune -exec rm -rf {} +

# Reinstalled when the requirements change. The stamp file is written last, so an interrupted
# installation is repeated.
$(INSTALLED): pyproject.toml constraints.txt
	@echo "installing into $(VENV); this takes minutes the first time only"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'  # the first that installs dependency groups
	$(PIP) -e . --group dev
	@touch $@
