# `make` alone lists what there is to do. Everything is installed into .venv; PYTHON=... chooses another interpreter.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help sweep test test-faults test-full lint clean

BIN := .venv/bin
# A pyenv shim may exist and still not run, so each candidate is tried, not only looked up.
FITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c '$(FITS)' >/dev/null 2>&1 && echo "$$name" && break; done)
# Only the downloads that take time are shown; what goes wrong is on stderr and stays visible.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-input --progress-bar off -c constraints.txt
SHOW := sed -un -e '/Downloading .* MB)/p' -e 's/^Installing collected packages.*/  Unpacking/p'

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

sweep: .venv/sweep.done  ## run the quickstart sweep into runs/quickstart; the same command goes on where it was stopped
	$(BIN)/nai-sweep run quickstart --out runs/quickstart

test: lint  ## lint, types and every test but the long ones: what CI runs
	$(BIN)/python -m pytest --basetemp=.pytest_tmp -m "not full and not faults"

test-faults: .venv/dev.done  ## machines, drivers and servers that die in the middle: minutes
	$(BIN)/python -m pytest --basetemp=.pytest_tmp -m faults

test-full: lint  ## lint, types and every test
	$(BIN)/python -m pytest --basetemp=.pytest_tmp

lint: .venv/dev.done  ## style and types alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove .venv and caches; runs/ stays
	rm -rf .venv .mypy_cache .pytest_cache .pytest_tmp .ruff_cache build dist
	find nai sweep tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The extra that a stamp stands for is its name: .venv/sweep.done, .venv/dev.done.
.venv/%.done: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing nai-sweep[$*] into .venv (the first time: some gigabytes, most of them PyTorch, and some minutes)"
	@$(INSTALL) -e '.[$*]' | $(SHOW)
	@touch $@

.venv/bin/python:
	@python='$(PYTHON)'; \
	if ! "$$python" -c '$(FITS)' >/dev/null 2>&1; then \
		echo "nai-sweep needs Python 3.11 to 3.13 with its venv module; found $$("$${python:-python3}" --version 2>/dev/null || echo none)." >&2; \
		echo "Install one, or name it: make $(or $(MAKECMDGOALS),sweep) PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	"$$python" -m venv .venv
