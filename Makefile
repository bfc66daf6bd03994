# Needs git, make and Python 3.11 or newer, and nothing else. `make` alone says what there is.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp
NOTEBOOK := multiclass-classification-for-fashion-product.ipynb

# Containers often forbid Python to keep its bytecode; every import of torch then takes seconds more.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check setup notebook bench lock clean

help: ## show this list
	@echo "make demo is the place to start. Targets:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## train four models on Fashion-MNIST, compare them, write runs/demo/report.html
	@$(BIN)/atelier demo --out runs/demo

test: $(STAMP) ## run the tests, offline
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: $(STAMP) ## lint, format, types and the floors of ARCHITECTURE.md
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

setup: $(STAMP) ## make the virtual environment from requirements.txt (the others do this themselves)
	@echo "The environment is ready: .venv"

notebook: $(STAMP) ## run the notebook anew and store its outputs
	@$(BIN)/python -m nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False $(NOTEBOOK)

bench: $(STAMP) ## seconds per epoch, beside the plain loop of PIL images
	@$(BIN)/python -m benchmarks.epoch_time

lock: $(STAMP) ## resolve the dependencies of pyproject.toml anew into requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--all-extras --no-emit-package atelier --no-header --upgrade \
		pyproject.toml --output-file requirements.txt

clean: ## remove the environment, builds and caches; runs/ and the data stay
	@rm -rf .venv .venv-peers build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp comes last, so that a set-up that failed is taken up again. uv installs itself: pip puts
# the locked uv there, and uv the rest, some ten times faster than pip would.
$(STAMP): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
		echo "error: there is no $(PYTHON): install Python 3.11 or newer, or name one: make setup PYTHON=python3.12" >&2; \
		exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $$($(PYTHON) --version) is too old: atelier needs 3.11 or newer. Name one: make setup PYTHON=python3.12" >&2; \
		exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: $(PYTHON) cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; \
		exit 2; }
	@rm -f $@
	@echo "Setting up .venv; the first time downloads some GB."
	@$(PYTHON) -m venv .venv
	@awk '/^uv==/ { found = 1 } found { print } found && !/\\$$/ { exit }' requirements.txt > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	@set -e; \
	cache=$$($(BIN)/uv cache dir); mkdir -p "$$cache"; \
	: "uv links from its cache; where that lies on another disk it must copy, and would warn."; \
	mode=$$($(BIN)/python -c 'import os, sys; print("hardlink" if os.stat(sys.argv[1]).st_dev == os.stat(".venv").st_dev else "copy")' "$$cache"); \
	export UV_LINK_MODE="$${UV_LINK_MODE:-$$mode}"; \
	$(BIN)/uv pip sync --python .venv --require-hashes requirements.txt; \
	$(BIN)/uv pip install --python .venv --quiet --no-deps --no-build-isolation --editable .
	@touch $@
