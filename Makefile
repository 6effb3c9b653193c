# SPDX-License-Identifier: BSD-3-Clause
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
NATIVE = $(shell git ls-files '*.c' '*.h' '*.cpp' '*.hpp')

.PHONY: help setup setup-dev bench bench-dpdk bench-testpmd bench-create bench-harness report conform asv gate gate-power publish test test-long lint \
	format clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Make .venv ready: system packages, Python packages, allocmark and its backends
	@PYTHON='$(PYTHON)' tools/setup

setup-dev: ## The same with what lint and tests need
	@PYTHON='$(PYTHON)' tools/setup dev

bench: setup ## Run the default comparison and print its table (options: ARGS='…')
	$(BIN)/allocmark run --baseline dpdk_ring $(ARGS)

bench-dpdk: setup ## Compare TurboMem with every DPDK handler; says which targets hold (ARGS='--quick')
	$(BIN)/python backends/turbomem_c/bench/against_dpdk.py $(ARGS)

bench-testpmd: setup ## Packets per second in testpmd with each mempool handler (options: ARGS='…')
	$(BIN)/python backends/turbomem_c/bench/testpmd.py $(ARGS)

bench-create: setup ## Time pool creation on huge pages beside DPDK's
	$(BIN)/python backends/turbomem_c/bench/create.py $(ARGS)

bench-harness: setup ## Show what the harness itself costs
	$(BIN)/python tools/harness.py

report: setup ## Write a run as one HTML page (make report RUN=runs/…; none: the newest)
	$(BIN)/allocmark report $(or $(RUN),$(shell ls -td runs/*/ 2>/dev/null | head -n 1))

asv: setup ## Measure commits with asv, the last five or RANGE (make asv RANGE=v1..HEAD)
	$(BIN)/allocmark track run $(or $(RANGE),HEAD~5..HEAD) $(ARGS)

gate: setup ## Is HEAD slower than BASE? 0 no, 1 yes, 2 not measured, 3 cannot tell (make gate BASE=main)
	$(BIN)/allocmark track gate $(or $(BASE),HEAD~1) HEAD $(ARGS)

gate-power: setup ## Show what the gate finds on this machine, and what it imagines
	$(BIN)/python tools/gate_power.py $(ARGS)

conform: setup ## Run the acceptance kit on every backend; a case that fails is a verdict, which the site shows
	mkdir -p conformance
	$(foreach name,turbomem dpdk_ring glibc,$(BIN)/allocmark conform '$(name):*' --json > conformance/$(name).json || test $$? = 1 || exit 2;)

publish: setup ## Write the site: asv's history, our pages (options: ARGS='-o DIR')
	$(BIN)/allocmark publish $(ARGS)

test: setup-dev ## Run every test but the long ones (options: ARGS='…')
	$(BIN)/pytest -m 'not long' $(ARGS)

test-long: setup-dev ## Run the proofs that take minutes
	$(BIN)/pytest -m long $(ARGS)

lint: setup-dev ## Check style and types
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(NATIVE)

format: setup-dev ## Rewrite the sources in the house style
	$(BIN)/ruff check --fix && $(BIN)/ruff format && $(BIN)/clang-format -i $(NATIVE)

clean: ## Remove .venv and everything that was built; runs/ stays
	rm -rf .venv build dist backends/*/build .*_cache
	find suite backends docs \( -name '*.so' -o -name '*.egg-info' -o -name __pycache__ \) -prune -exec rm -rf {} +
