# Needs Python 3.11 or newer and make, nothing else: `make run` serves, `make test` tests.
SHELL := /bin/sh
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
BIN := .venv/bin
IMAGE := v7_task_processor
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run test faults mutants soak check fmt bench bench-peers lock dist clean
.DEFAULT_GOAL := help

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

run: .venv/run ## serve on port 4000, on an embedded Postgres kept in .v7/
	@exec $(BIN)/v7 run

test: .venv/dev ## run the tests (TESTS=path and PYTEST_ARGS=... narrow them)
	@$(BIN)/pytest -n 6 --dist worksteal -m "not slow" $(PYTEST_ARGS) $(TESTS)

faults: .venv/dev ## run the tests of every fault in docs/faults.md, the slow ones too
	@$(BIN)/pytest -n 8 --dist worksteal -m fault $(PYTEST_ARGS) $(TESTS)

mutants: .venv/dev ## take each promise from the product in turn, and see that the ledger notices
	@$(BIN)/pytest -n 4 --dist worksteal -m mutant $(PYTEST_ARGS) $(TESTS)

soak: .venv/dev ## faults at random under load, and the ledger at the end (SECONDS=60 SEED=1)
	@$(BIN)/python -m tests.faults.soak $(or $(SECONDS),60) $(or $(SEED),1) $(SOAK_ARGS)

check: .venv/dev ## lint, types, import directions, schema drift, what migrations lock
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy migrations examples
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q --no-header tests/test_schema.py tests/test_migrations.py -k "drift or squawk"

fmt: .venv/dev ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/dev ## measure drain, ingest and latency against the plain SQL limit
	@$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

bench-peers: .bench/installed ## measure it beside graphile-worker, pg-boss, pgqueuer and procrastinate (needs npm)
	@$(BIN)/python benchmarks/run.py --what peers $(BENCH_ARGS)

.bench/installed: benchmarks/peers/requirements.txt benchmarks/peers/package.json | .venv/dev
	@echo "Installing the peers in .bench (once) ..."
	@$(BIN)/python -m venv .bench
	@.bench/bin/pip install --quiet -r benchmarks/peers/requirements.txt
	@cp benchmarks/peers/package.json .bench/
	@npm install --prefix .bench --no-package-lock --loglevel=error
	@touch $@

lock: ## renew requirements/*.txt from pyproject.toml (needs uv on the PATH)
	@$(COMPILE) pyproject.toml --output-file requirements/run.txt
	@$(COMPILE) requirements/build.in --output-file requirements/build.txt
	@$(COMPILE) requirements/sbom.in --constraint requirements/build.txt --output-file requirements/sbom.txt
	@$(COMPILE) pyproject.toml --group dev --constraint requirements/run.txt --constraint requirements/build.txt \
	  --output-file requirements/dev.txt

dist: .venv/run ## build the wheel, the image of this version and its SBOM (BASE=image@sha256:… to stand on)
	@BIN=$(BIN) BASE=$(BASE) IMAGE=$(IMAGE) docker/dist $(DIST_ARGS)

clean: ## remove the virtual environment and caches (never .v7/, where the events are)
	@rm -rf .venv .bench .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.venv/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "v7 needs Python 3.11 or newer: install it, or name one with make PYTHON=/path/to/python3" >&2; exit 1; fi
	@echo "Making the virtual environment in .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv || { echo "Could not make a virtual environment (Debian and Ubuntu: apt-get install python3-venv)" >&2; rm -rf .venv; exit 1; }

.venv/run: requirements/run.txt requirements/build.txt pyproject.toml .venv/bin/python
	@echo "Installing (once; takes about a minute) ..."
	@$(BIN)/pip install --quiet --require-hashes -r requirements/run.txt -r requirements/build.txt
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev: requirements/dev.txt .venv/run
	@echo "Installing what the tests need (once) ..."
	@$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@
