# SPDX-License-Identifier: BSD-3-Clause
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
NATIVE = $(shell git ls-files '*.c' '*.h' '*.cpp' '*.hpp')

.PHONY: help setup bench bench-harness asv test test-long lint format clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Make .venv ready: system packages, Python packages, allocmark and its backends
	@PYTHON='$(PYTHON)' tools/setup

bench: setup ## Run the default comparison and print its table (options: ARGS='…')
	$(BIN)/allocmark run --baseline dpdk_ring $(ARGS)

asv: setup ## Measure this commit with asv and keep its samples in .asv/results (options: ARGS='…')
	test -e ~/.asv-machine.json || $(BIN)/asv machine --yes >/dev/null
	$(BIN)/asv run --python=same --set-commit-hash "$$(git rev-parse HEAD)" --record-samples $(ARGS)
	@echo 'samples: .asv/results; as pages: $(BIN)/asv publish && $(BIN)/asv preview'

bench-harness: setup ## Show what the harness itself costs
	$(BIN)/python tools/harness.py

test: setup ## Run every test but the long ones (options: ARGS='…')
	$(BIN)/pytest -m 'not long' $(ARGS)

test-long: setup ## Run the proofs that take minutes
	$(BIN)/pytest -m long $(ARGS)

lint: setup ## Check style and types
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(NATIVE)

format: setup ## Rewrite the sources in the house style
	$(BIN)/ruff check --fix && $(BIN)/ruff format && $(BIN)/clang-format -i $(NATIVE)

clean: ## Remove .venv and everything that was built; runs/ stays
	rm -rf .venv build dist backends/*/build .*_cache
	find suite backends docs \( -name '*.so' -o -name '*.egg-info' -o -name __pycache__ \) -prune -exec rm -rf {} +
