# Pawsort: two commands matter, `make run` and `make test`; the others stand in `make help`.
# The environment is made in .venv from the lock, again only when the lock has changed.

PYTHON ?= python3
VENV := .venv
CLUSTER := .venv-cluster
BIN := $(VENV)/bin
EXTRAS := --extra web --extra train --extra raw --extra excel --extra notify --extra postgres
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help run setup test long lint bench soak backups workers hands photographer sweep fuzz cluster cluster-kills mutations \
	pictures lock release debian audit clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## start the worker on ./inbox (ARGS=--serve opens the pages too, ARGS=--once files what is there and ends)
	@exec $(BIN)/python scripts/make_run.py $(ARGS)

setup: $(VENV)/runtime.stamp ## make the environment in .venv

# Compiled files are kept, whatever the environment says: each test process and each child compiles all again else.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/dev.stamp ## run the tests
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(VENV)/dev.stamp ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/runtime.stamp ## measure speed and memory, as ratios within one run
	@$(BIN)/python -m benchmarks $(ARGS)

long: $(VENV)/dev.stamp ## run the tests that `make test` leaves out because they train networks or take long (many minutes)
	@PAWSORT_LONG=1 $(BIN)/python -m pytest -m long $(ARGS)

soak: $(VENV)/runtime.stamp ## kill a worker at random for hours, then count its files (ARGS="--hours 8")
	@$(BIN)/python -m benchmarks.soak $(ARGS)

backups: $(VENV)/dev.stamp ## back up each second while a worker files and is killed, then restore each (ARGS="--photos 5000")
	@$(BIN)/python -m tests.support.backup_soak $(ARGS)

workers: $(VENV)/dev.stamp ## kill the workers of four machines on one PostgreSQL, and that too (ARGS="--photos 500 --kills 12")
	@$(BIN)/python -m tests.support.many_workers $(ARGS)

hands: $(VENV)/dev.stamp ## move, delete, add and edit filed photos at random beside a worker (ARGS="--kills --seed 7")
	@$(BIN)/python -m tests.faults.by_hand $(ARGS)

photographer: $(VENV)/dev.stamp ## file a photographer's 5,000 files with each action, and undo (ARGS="--actions copy")
	@$(BIN)/python -m tests.support.photographer $(ARGS)

sweep: $(VENV)/dev.stamp ## kill the worker at every system call, and let each fail: an hour (ARGS="--sample 100")
	@$(BIN)/python -m tests.faults.sweep $(ARGS)

fuzz: $(VENV)/dev.stamp ## judge thousands of odd and broken pictures (ARGS="--count 10000 --seed 1")
	@$(BIN)/python -m tests.corpus $(ARGS)

cluster: $(CLUSTER)/dev.stamp ## run the tests of backfills, with Ray, in an environment of their own
	@$(CLUSTER)/bin/python -m pytest tests/pipeline/backfill $(ARGS)

cluster-kills: $(CLUSTER)/dev.stamp ## kill machines, children, drivers and heads of a backfill at random moments (ARGS="--kinds head", ARGS=--s3)
	@$(CLUSTER)/bin/python -m tests.support.backfill_kills $(ARGS)

pictures: $(VENV)/dev.stamp ## make the pictures of the documentation again (needs Chromium)
	@$(BIN)/python -m scripts.make_screenshots $(ARGS)

mutations: $(VENV)/dev.stamp ## take out each safeguard in turn and name the test that misses it
	@$(BIN)/python -m scripts.mutations $(ARGS)

lock: ## choose the newest versions that fit and write the locks (needs uv)
	uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml $(EXTRAS) -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml $(EXTRAS) --group dev -c requirements.lock -o requirements-dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml $(EXTRAS) --extra cluster -c requirements-dev.lock -o requirements-cluster.lock

release: $(VENV)/dev.stamp ## build the wheel in dist/, install it in a clean environment and try every command there
	@PYTHON=$(PYTHON) ./scripts/check_release.sh $(BIN)/python

debian: ## try `make run` and `make test` in a new Debian, as root and as a plain user (needs root and debootstrap: an hour)
	@./scripts/check_debian.sh $(ARGS)

audit: ## look up the packages of the lock in the database of known vulnerabilities of PyPI (needs the internet)
	@PYTHON=$(PYTHON) ./scripts/audit_packages.sh requirements.lock

clean: ## remove the environment and all caches, never photos or the database
	rm -rf $(VENV) $(CLUSTER) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/runtime.stamp: requirements.lock pyproject.toml
	@PYTHON=$(PYTHON) ./scripts/make_environment.sh $(VENV) requirements.lock
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock requirements.lock pyproject.toml
	@PYTHON=$(PYTHON) ./scripts/make_environment.sh $(VENV) requirements-dev.lock
	@touch $(VENV)/runtime.stamp $@

$(CLUSTER)/dev.stamp: requirements-cluster.lock requirements-dev.lock pyproject.toml
	@PYTHON=$(PYTHON) ./scripts/make_environment.sh $(CLUSTER) requirements-dev.lock
	@PYTHON=$(PYTHON) ./scripts/make_environment.sh $(CLUSTER) requirements-cluster.lock
	@touch $@
