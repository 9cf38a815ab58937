# Everything goes through uv and the lock file. Where uv is missing, one is installed into .tools.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.8
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
export UV_PROJECT_ENVIRONMENT := .venv
PYTEST_WORKERS ?= 3

.PHONY: help setup demo test lint format bench chaos two-hosts clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

.tools/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "ClipThat needs Python 3.11 or newer; PYTHON=/path/to/python3 make … chooses one."; exit 1; }
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# One install at a time, and only when the lock file has changed.
.venv/.synced: $(UV) pyproject.toml uv.lock
	$(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@

setup: .venv/.synced ## Install everything into .venv; the command is .venv/bin/clipthat
	@echo "Ready: .venv/bin/clipthat --help"

demo: .venv/.synced ## Make a live stream on this machine, watch it, hand over finished clips
	.venv/bin/clipthat demo

test: .venv/.synced ## Check style, types, layers and behaviour
	$(MAKE) --no-print-directory lint
	@.venv/bin/python -m tests.services.gcs_build || true
	.venv/bin/pytest -n $(PYTEST_WORKERS) --dist loadfile

lint: .venv/.synced ## Check style, types and layers only
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: .venv/.synced ## Rewrite the code in the project's style
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/.synced ## Measure against what one would use instead (see bench/README.md)
	.venv/bin/python -m bench

chaos: .venv/.synced ## Kill workers at random, take away what they stand on, and count what is lost (hours)
	.venv/bin/python -m tests.chaos $(CHAOS)

two-hosts: .venv/.synced ## Cut the wire between two hosts (network namespaces; as root), and count what is lost
	.venv/bin/python -m tests.chaos.two_hosts

clean: ## Remove everything that was installed or made here
	rm -rf .venv .tools .demo bench/.work
