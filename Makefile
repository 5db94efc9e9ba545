# Needs make and Python 3.11 or newer, nothing else. Another interpreter: PYTHON=python3.12 make setup
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# More arguments for pytest, as in: make test ARGS='-k grouping -x'
ARGS ?=
DEMOS := $(filter-out qm9-demo,$(basename $(notdir $(wildcard study/presets/*-demo.yaml))))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export RAY_USAGE_STATS_ENABLED := 0

.DEFAULT_GOAL := help
.PHONY: help setup demo demos test soak lint format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv with pinned versions of everything, and the command .venv/bin/study

demo: setup ## a real study in minutes: search, best configurations, final runs, summary
	$(BIN)/study run qm9-demo --again
	$(BIN)/study final qm9-demo
	$(BIN)/study report qm9-demo

demos: setup ## the same on generated data: every other preset whose name ends with -demo, three to ten minutes each on an idle machine
	@set -e; for demo in $(DEMOS); do $(BIN)/study run $$demo --again; $(BIN)/study final $$demo; done

test: setup ## run the whole test suite, a file on each processor; warnings are errors
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

soak: setup ## kill workers, drivers and Ray under studies for a quarter of an hour, and count what was lost
	$(BIN)/python tests/soak.py

lint: setup ## check style, import direction and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

format: setup ## reformat the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## run the speed measurements of bench/, which print ratios
	@set -e; for script in bench/[a-z]*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

clean: ## remove .venv, build outputs and caches (results of studies stay)
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is the last thing written and the first thing removed: without it, an install was interrupted, and .venv is
# made anew (pip keeps its downloads, so that is quick). It holds the folder's path: scripts in a moved .venv do not work.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif
$(STAMP): pyproject.toml constraints.txt
	@if [ "$$(cat $@ 2>/dev/null)" = '$(CURDIR)' ]; then exit 0; fi; \
	if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		found="$$($(PYTHON) --version 2>&1 | head -n 1 | sed 's/.*not found/not found/')"; \
		echo "Python 3.11 or newer is required, $(PYTHON) is $$found. Name another: PYTHON=python3.12 make setup" >&2; exit 1; \
	fi; \
	echo "[1/3] Creating $(VENV) with $$($(PYTHON) --version)"; rm -rf $(VENV); $(PYTHON) -m venv $(VENV)
	@rm -f $@
	@echo "[2/3] Installing torch, pinned by constraints.txt"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@echo "[3/3] Installing this project and about 150 pinned packages (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[study,clusterings,qm9,images,sdp,dev]'
	@echo '$(CURDIR)' > $@
	@echo "Ready: $(BIN)/study --help"
