# Everything runs in .venv, which the first target that needs it creates: Python 3.11 or later, make and git suffice.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
EXPERIMENTS ?=
NARROW = $(if $(SEEDS),--seeds $(SEEDS)) $(if $(PHYSICS),--physics $(PHYSICS))

.DEFAULT_GOAL := help
.PHONY: help setup run test test-full test-slurm lint format reproduce-all reproduce-fast campaign campaign-status rerun cost records tables claims figures report \
  wandb-artifacts wandb-dashboard benchmark benchmark-solvers benchmark-sizes benchmark-memory pins clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create the environment in .venv (the other targets do it too)

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "prdp needs Python 3.11 or later: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	# Compiled bytecode: without it the first start takes 13 s. Some packages ship files that no Python 3 compiles.
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib prdp || true
	@touch $@

run: $(READY) ## the main job: Heat 2D with PRDP (ARGS="physics=heat1d seed=3" for another)
	$(BIN)/python train.py physics=heat2d schedule=prdp $(ARGS)

test: $(READY) ## the test suite (ARGS="-k schedules" to narrow it)
	$(BIN)/python -m pytest $(ARGS)

test-full: $(READY) ## the test suite with the slow tests
	$(BIN)/python -m pytest -m "slow or not slow" $(ARGS)

test-slurm: $(READY) ## a sweep on a real SLURM that it starts on this machine (packages: tests/slurm/up.sh), five minutes
	PRDP_TEST_SLURM=1 $(BIN)/python -m pytest -n 0 tests/slurm $(ARGS)

lint: $(READY) ## style, imports and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## rewrite files in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reproduce-all: $(READY) ## every preset, then tables, claims, figures, report (SEEDS=3 PHYSICS="heat1d burgers" EXPERIMENTS=fig_8)
	$(BIN)/python scripts/reproduce.py $(EXPERIMENTS) $(NARROW) $(ARGS)

reproduce-fast: $(READY) ## the same for what two CPU cores finish in half an hour
	$(BIN)/python scripts/reproduce.py fast $(NARROW) $(ARGS)

campaign: $(READY) ## the runs that the records lack, most important first, until stopped (ARGS="--limit 3")
	$(BIN)/python scripts/campaign.py $(ARGS)

campaign-status: $(READY) ## what of the campaign is recorded, running and missing
	$(BIN)/python scripts/campaign.py --status

rerun: $(READY) ## a run again from its folder (RUN=results/runs/... ARGS="seed=3")
	$(BIN)/python scripts/rerun.py $(RUN) $(ARGS)

cost: $(READY) ## about how long reproduce-all would take
	$(BIN)/python scripts/reproduce.py $(EXPERIMENTS) $(NARROW) --dry-run

records: $(READY) ## finished runs into results/records
	$(BIN)/python scripts/collect.py $(ARGS)

tables: $(READY) ## records into results/tables
	$(BIN)/python scripts/tables.py $(ARGS)

claims: $(READY) ## each number of the paper: ours, the rule, the verdict
	$(BIN)/python scripts/claims.py $(ARGS)

figures: $(READY) ## records into results/figures
	$(BIN)/python scripts/figures.py $(ARGS)

report: $(READY) ## records into one page, results/report/index.html
	$(BIN)/python scripts/report.py $(ARGS)

wandb-artifacts: $(READY) ## log figures, tables and records to Weights & Biases, offline (ARGS="--mode online")
	$(BIN)/python scripts/wandb_artifacts.py $(ARGS)

wandb-dashboard: $(READY) ## the W&B workspace of all runs (ARGS="--dry-run": its JSON, no network)
	$(BIN)/python scripts/wandb_dashboard.py $(ARGS)

benchmark-solvers: $(READY) ## GMRES here, in JAX and in lineax: time, residuals, silent failures
	$(BIN)/python scripts/benchmark_solvers.py $(ARGS)

benchmark-sizes: $(READY) ## solver, gradient and update from 32^2 to 512^2 and 16^3 to 128^3 (ARGS=--quick)
	$(BIN)/python scripts/benchmark_sizes.py $(ARGS)

benchmark-memory: $(READY) ## what gradients take, and the largest sizes that fit on 24 GiB to 141 GB
	$(BIN)/python scripts/benchmark_memory.py $(ARGS)

benchmark: $(READY) ## updates per second by K, and what an update is made of (ARGS="heat1d")
	$(BIN)/python scripts/benchmark_training.py $(ARGS)

pins: $(READY) ## rewrite requirements.txt from pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --extra dev --generate-hashes --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate --no-header \
	  --build-deps-for editable --output-file requirements.txt pyproject.toml

clean: ## remove the environment and caches, not results
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
