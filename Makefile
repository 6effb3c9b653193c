# SPDX-License-Identifier: BSD-3-Clause
ARGS ?=
BIN := .venv/bin
NONE := test $$? = 5 # pytest found no test
NATIVE = $(shell git ls-files '*.c' '*.h' '*.cpp' '*.hpp')

.PHONY: help setup setup-lint setup-dev bench bench-all bench-dpdk bench-testpmd bench-create bench-harness bench-repeats bench-record bench-programs bench-fleet report conform mutants sound asv gate gate-power publish test test-long lint \
	format clean

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Make .venv ready: system packages, Python packages, allocmark and its backends
	@PYTHON='$(PYTHON)' tools/setup

setup-lint: ## The same, and the Python packages that lint needs
	@PYTHON='$(PYTHON)' tools/setup lint

setup-dev: ## The same, and what tests need, a browser and emulators included
	@PYTHON='$(PYTHON)' tools/setup dev

bench: setup ## Compare all backends on the default workloads, 3 minutes, up to 12 where others use the cores (options of `allocmark run`: ARGS='…')
	$(BIN)/allocmark run --baseline dpdk_ring --budget 170s $(ARGS)

bench-all: setup ## Compare every allocator and pool that is installed, 5 minutes, and write docs/how-do-all-allocators-compare.md (ARGS='--note …')
	PYTHONPATH=suite $(BIN)/python -m proofs.all_allocators $(ARGS)

bench-dpdk: setup ## Compare TurboMem with DPDK's best handlers, cell by cell, about 75 minutes (ARGS='--quick --release 26.07.0')
	$(BIN)/python backends/turbomem_c/bench/against_dpdk.py $(ARGS)

bench-testpmd: setup ## Measure packets per second in DPDK's testpmd with each mempool handler (options: ARGS='…')
	$(BIN)/python backends/turbomem_c/bench/testpmd.py $(ARGS)

bench-create: setup ## Time how long TurboMem and DPDK take to create a pool on huge pages
	$(BIN)/python backends/turbomem_c/bench/create.py $(ARGS)

bench-harness: setup ## Measure what the harness itself costs
	PYTHONPATH=suite $(BIN)/python -m proofs.harness

bench-repeats: setup ## Make one comparison 20 times and count contradictions (make bench-repeats ARGS='--times 5 -- burst -b turbomem -b glibc')
	PYTHONPATH=suite $(BIN)/python -m proofs.repeats $(ARGS)

bench-record: setup ## Measure what `allocmark record` adds to a pair of malloc and free
	PYTHONPATH=suite $(BIN)/python -m proofs.record_overhead $(ARGS)

bench-programs: setup ## Record programs, replay them on mallocs and pools, 20 minutes, and write docs/how-do-recorded-programs-compare.md
	PYTHONPATH=suite $(BIN)/python -m proofs.recorded_programs $(ARGS)

bench-fleet: setup-dev ## Simulate a fleet of 1,000 machines and 10,000 cases: time per case, and memory at home
	PYTHONPATH=suite $(BIN)/python -m proofs.fleet_overhead $(ARGS)

report: setup ## Write a run as one HTML file (make report RUN=runs/…; default: the newest run)
	$(BIN)/allocmark report $(RUN)

mutants: setup ## Show that the acceptance kit refuses every broken pool, and write the page that says so
	PYTHONPATH=suite $(BIN)/python -m proofs.mutants

sound: setup ## Run the acceptance kit on every backend 100 times, which takes hours; goes on where it was ended
	PYTHONPATH=suite $(BIN)/python -m proofs.sound_backends $(ARGS)

asv: setup ## Measure the last five commits with airspeed velocity (others: make asv RANGE=v1..HEAD)
	$(BIN)/allocmark track run $(or $(RANGE),HEAD~5..HEAD) $(ARGS)

gate: setup ## Is HEAD slower than BASE? Exit status 0: no, 1: yes, 2: not measured, 3: cannot tell (make gate BASE=main)
	$(BIN)/allocmark track gate $(or $(BASE),HEAD~1) HEAD $(ARGS)

gate-power: setup ## Show which slowdowns the gate finds on this machine, and how often it raises a false alarm
	PYTHONPATH=suite $(BIN)/python -m proofs.gate_power $(ARGS)

conform: setup ## Check every backend with the acceptance kit; the site shows the results
	mkdir -p conformance
	$(foreach name,turbomem dpdk_ring glibc mimalloc jemalloc tcmalloc tbb scudo pmr boost foonathan ck,$(BIN)/allocmark conform '$(name):*' --json > conformance/$(name).json || test $$? = 1 || exit 2;)

publish: setup ## Write the site: history over commits and the newest runs (options: ARGS='-o DIR')
	$(BIN)/allocmark publish $(ARGS)

test: setup-dev ## Run every test but the long ones (options: ARGS='…')
	$(BIN)/pytest -m 'not long and not alone' -n auto --maxprocesses 8 --dist loadfile $(ARGS) || $(NONE)
	$(BIN)/pytest -m 'not long and alone' $(ARGS) || $(NONE)

test-long: setup-dev ## Run the tests that take minutes
	$(BIN)/pytest -m long $(ARGS)

lint: setup-lint ## Check style, types, and which room imports which
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/clang-format --dry-run -Werror $(NATIVE)

format: setup-lint ## Format all sources
	$(BIN)/ruff check --fix && $(BIN)/ruff format && $(BIN)/clang-format -i $(NATIVE)

clean: ## Remove .venv and everything that was built; keeps runs/
	rm -rf .venv build dist backends/*/build .*_cache
	find suite backends docs \( -name '*.so' -o -name '*.egg-info' -o -name __pycache__ \) -prune -exec rm -rf {} +
