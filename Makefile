# The commands of this project. A machine needs Python 3.11 or newer (with venv and pip), gcc, git and make.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# A newer interpreter is chosen by name: make install PYTHON=python3.13
PYTHON ?= python3
TORCH ?= 2.13.0
BIN := .venv/bin
# Whatever python has torch for the GPU: make gpu-test GPU_PYTHON=/usr/bin/python3.12
GPU_PYTHON ?= python3
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help install demo test test-transformers4 gpu-test gpu-bench check lint format lock lock-transformers4 clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

install: .venv/installed ## Leave in .venv everything a developer needs.

demo: install ## Train a small model on this machine's own Python files, and search them; all is left in demo/.
	$(BIN)/modernbert demo --out demo

test: install ## Run every test that a CPU can run, on every core.
	$(BIN)/python -m pytest -n auto --maxprocesses 8
	$(BIN)/python -m pytest -o addopts="" tests/compiled

# Importing its ModernBERT compiles functions, and torch warns of what it itself uses for that.
# What exports say does not depend on transformers, but who else opens them does.
test-transformers4: .venv-transformers4/installed ## Run the tests against other libraries on transformers 4, and on PyLate.
	PYTHONPATH=src .venv-transformers4/bin/python -m pytest -n auto --maxprocesses 8 \
	  -W ignore::DeprecationWarning:torch.jit._script --ignore tests/parity/test_export.py tests/parity

# These two install nothing and use no network: docs/guides/gpu.md says what GPU_PYTHON has to have.
# The options of pytest in pyproject.toml ask for plugins, and on somebody else's image what other
# packages warn of is no fault.
gpu-test: ## Run the tests that need a GPU, with GPU_PYTHON and the source tree as it is.
	HF_HUB_OFFLINE=1 PYTHONPATH=src $(GPU_PYTHON) -m pytest -o addopts="" -W default -p no:cacheprovider -rs tests/gpu

gpu-bench: ## Measure training, encoding and queries on a GPU in ten minutes; rows go to benchmarks/.
	HF_HUB_OFFLINE=1 PYTHONPATH=src $(GPU_PYTHON) -m modernbert.bench.gpu --minutes 10

check: lint ## Lint, check types and imports, run the quick tests; about a minute on two cores.
	$(BIN)/python -m pytest -q -n auto --maxprocesses 8 -m "not slow" tests/unit tests/property tests/architecture

lint: install ## Check format, lint, types and import direction.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Rewrite the files in the project's format.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Resolved on the oldest Python that is supported: pins made on a newer one may not install there.
# hatchling asks for editables when it installs a package in place.
lock: ## Choose every version anew and write requirements.lock.
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo "requirements.lock is made on Python 3.11, this is $$($(PYTHON) --version): run make lock PYTHON=python3.11" >&2; exit 1; }
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	build/lock/bin/python -m pip install --quiet 'torch==$(TORCH)' '.[all]' --group dev editables \
	  $$($(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
	echo '# Made by `make lock` on Python 3.11: the package, its extra `all`, the group `dev` and the build, resolved together, then frozen.' > build/lock.txt
	build/lock/bin/python -m pip freeze --all --exclude pip --exclude modernbert \
	  | sed 's/+.*//' | LC_ALL=C sort -f >> build/lock.txt
	mv build/lock.txt requirements.lock && rm -rf build/lock

lock-transformers4: ## Choose every version anew and write requirements-transformers4.lock.
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	build/lock/bin/python -m pip install --quiet 'torch==$(TORCH)' --group transformers4
	build/lock/bin/python -m pip install --quiet --no-deps --group pylate
	echo '# Made by `make lock-transformers4`: the group `transformers4` resolved, then the group `pylate` without what it asks for, frozen.' > build/lock.txt
	build/lock/bin/python -m pip freeze --all --exclude pip \
	  | sed 's/+.*//' | LC_ALL=C sort -f >> build/lock.txt
	mv build/lock.txt requirements-transformers4.lock && rm -rf build/lock

clean: ## Remove what the commands above left behind; the runs in demo/ stay.
	rm -rf .venv .venv-transformers4 build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps: a changed lock builds the environment anew, a changed pyproject.toml only re-installs the package.
.venv/locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
	  found=$$($(PYTHON) --version 2>&1) || found="not on this machine"; \
	  echo "modernbert needs Python 3.11 or newer, $(PYTHON) is $$found: install one and run make install PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "$(PYTHON) cannot make a virtual environment: install its venv package (Debian and Ubuntu: python3-venv)" >&2; exit 1; }
	@echo "installing $$(grep -c == requirements.lock) pinned packages into .venv; the first time takes minutes"
	$(PYTHON) -m venv --clear .venv
	$(PIP) install --quiet --requirement requirements.lock
	touch $@

.venv/installed: .venv/locked pyproject.toml packages/mini/pyproject.toml
	$(PIP) install --quiet --no-deps --no-build-isolation --editable . --editable packages/mini
	touch $@

# The lock is complete, and what it holds would not be resolved together: see the group pylate.
.venv-transformers4/installed: requirements-transformers4.lock
	@echo "installing $$(grep -c == $<) pinned packages into .venv-transformers4"
	$(PYTHON) -m venv --clear .venv-transformers4
	.venv-transformers4/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --requirement $<
	touch $@
