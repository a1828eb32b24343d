# Everything that a person or the CI runs. Each target sets up what it needs; nothing but Python, make and git is assumed.

PYTHON ?= python3
PYTEST_ARGS ?=
LOCK_ARGS ?=
# One more than there are processors: a good part of the tests waits for servers.
PYTEST_WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 1) + 1)

VENV := .venv
BIN := $(VENV)/bin
# There only if the installation went through to its end: what a killed one leaves behind is begun again.
INSTALLED := $(VENV)/.installed
LOCK := uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header --no-annotate

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup check lint format test chaos soak demo bench histories lock clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(INSTALLED) ## Install everything into .venv

check: ## Everything that has to hold before a change goes in: lint, then test
	@$(MAKE) lint
	@$(MAKE) test

lint: $(INSTALLED) ## Format, style, types and the direction of imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## Write the format and the mends that ruff is sure of
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test: $(INSTALLED) ## All tests, on real servers
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

chaos: $(INSTALLED) ## 2,000 decisions under 66 faults; writes build/chaos.json (the same storm again: CHAOS_SEED=…)
	$(BIN)/python -m tests.chaos

soak: $(INSTALLED) ## What is generated, each for SOAK_MINUTES (60): the core, the model test, poison, forgeries, API requests (again: SOAK_SEED=…)
	SOAK_MINUTES=$${SOAK_MINUTES:-60} $(BIN)/python -m pytest -m soak $(PYTEST_ARGS)

demo: $(INSTALLED) ## The whole process with example people, told as it goes
	@$(BIN)/ringi demo

bench: $(INSTALLED) ## Measure against bare Temporal; writes build/bench.json
	$(BIN)/python -m benchmarks

histories: $(INSTALLED) ## Record the replay gate's histories anew
	$(BIN)/python -m tests.replay.record

lock: $(INSTALLED) ## Pin what pyproject.toml asks for (the newest of it all: LOCK_ARGS=--upgrade)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(BIN)/$(LOCK) $(LOCK_ARGS) pyproject.toml -o requirements/app.txt
	$(BIN)/$(LOCK) $(LOCK_ARGS) --extra embedded --extra dev pyproject.toml -o requirements/dev.txt
	echo hatchling | $(BIN)/$(LOCK) $(LOCK_ARGS) --constraints requirements/dev.txt - -o requirements/build.txt

clean: ## Remove all that can be made again (not the data in .ringi)
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements/dev.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "Python 3.11 or later is needed and there is no $(PYTHON): name one with PYTHON=/path/to/python3." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed and $(PYTHON) is $$("$(PYTHON)" --version 2>&1): name another with PYTHON=/path/to/python3." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@if [ -e $@ ]; then rm $@; else echo "Setting up $(VENV) ..."; "$(PYTHON)" -m venv --clear $(VENV); fi
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
