# Everything runs in .venv, which targets create when needed. Requirements: Python 3.11 or later, make and git.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
EXPERIMENTS ?=
NARROW = $(if $(SEEDS),--seeds $(SEEDS)) $(if $(PHYSICS),--physics $(PHYSICS))

.DEFAULT_GOAL := help
.PHONY: help setup run test test-full test-slurm lint format reproduce-all reproduce-fast campaign campaign-status rerun cost records tables claims figures report \
  wandb-artifacts wandb-dashboard benchmark benchmark-solvers benchmark-sizes benchmark-multigrid benchmark-memory gradient-errors training-gradients oracle docs wheel pins clean

help: ## list all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create the environment in .venv (other targets do this automatically)

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "prdp needs Python 3.11 or later: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --require-hashes --no-deps -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	# Compile the bytecode on all cores, without the packages' own tests: otherwise the first start takes 13 s. Some packages
	# contain files that do not compile.
	$(BIN)/python -m compileall -q -j 0 -x 'site-packages/.*/tests/' $(VENV)/lib prdp || true
	@touch $@

run: $(READY) ## train Heat 2D with PRDP (ARGS="physics=heat1d seed=3" for another run)
	$(BIN)/python train.py physics=heat2d schedule=prdp $(ARGS)

test: $(READY) ## run the test suite (ARGS="-k schedules" selects tests)
	$(BIN)/python -m pytest $(ARGS)

test-full: $(READY) ## run the test suite including slow tests
	$(BIN)/python -m pytest -m "slow or not slow" $(ARGS)

test-slurm: $(READY) ## test a sweep on a SLURM started on this machine, five minutes (packages: tests/slurm/up.sh)
	PRDP_TEST_SLURM=1 $(BIN)/python -m pytest -n 0 tests/slurm $(ARGS)

lint: $(READY) ## check style, imports and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## reformat all files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reproduce-all: $(READY) ## run all presets, then tables, claims, figures, report (SEEDS=3 PHYSICS="heat1d burgers" EXPERIMENTS=fig_8)
	$(BIN)/python scripts/reproduce.py $(EXPERIMENTS) $(NARROW) $(ARGS)

reproduce-fast: $(READY) ## the same steps with the preset fast only: half an hour on two CPU cores
	$(BIN)/python scripts/reproduce.py fast $(NARROW) $(ARGS)

campaign: $(READY) ## compute the runs that the records lack, most important first, until stopped (ARGS="--limit 3")
	$(BIN)/python scripts/campaign.py $(ARGS)

campaign-status: $(READY) ## show what is recorded, running and missing
	$(BIN)/python scripts/campaign.py --status

rerun: $(READY) ## repeat a run from its folder (RUN=results/runs/... ARGS="seed=3")
	$(BIN)/python scripts/rerun.py $(RUN) $(ARGS)

cost: $(READY) ## estimate the duration of reproduce-all
	$(BIN)/python scripts/reproduce.py $(EXPERIMENTS) $(NARROW) --dry-run

records: $(READY) ## collect finished runs in results/records
	$(BIN)/python scripts/collect.py $(ARGS)

tables: $(READY) ## write results/tables from the records
	$(BIN)/python scripts/tables.py $(ARGS)

claims: $(READY) ## compare each number of the paper with ours (rule and verdict)
	$(BIN)/python scripts/claims.py $(ARGS)

figures: $(READY) ## draw results/figures from the records
	$(BIN)/python scripts/figures.py $(ARGS)

report: $(READY) ## write results/report/index.html, one page with all results
	$(BIN)/python scripts/report.py $(ARGS)

wandb-artifacts: $(READY) ## log figures, tables and records to Weights & Biases, offline (ARGS="--mode online" uploads)
	$(BIN)/python scripts/wandb_artifacts.py $(ARGS)

wandb-dashboard: $(READY) ## create the W&B workspace of all runs (ARGS="--dry-run" prints its JSON, no network)
	$(BIN)/python scripts/wandb_dashboard.py $(ARGS)

benchmark-solvers: $(READY) ## compare GMRES in prdp, JAX and lineax: time, residuals, silent failures
	$(BIN)/python scripts/benchmark_solvers.py $(ARGS)

benchmark-sizes: $(READY) ## time solver, gradient and update from 32^2 to 512^2 and 16^3 to 128^3 (ARGS=--quick)
	$(BIN)/python scripts/benchmark_sizes.py $(ARGS)

benchmark-multigrid: $(READY) ## time multigrid against CG (ARGS="--dimensions 3 --sizes 16 32 64")
	$(BIN)/python scripts/benchmark_multigrid.py $(ARGS)

benchmark-memory: $(READY) ## measure the memory of gradients, and the largest sizes for 24 GiB to 141 GB
	$(BIN)/python scripts/benchmark_memory.py $(ARGS)

benchmark: $(READY) ## measure updates per second by K, and the parts of an update (ARGS="heat1d")
	$(BIN)/python scripts/benchmark_training.py $(ARGS)

gradient-errors: $(READY) ## measure the error of the gradient of single solves over K, by mode and solver
	$(BIN)/python scripts/gradient_error.py --output results/gradient_errors $(ARGS)

training-gradients: $(READY) ## measure the error of the training gradient over K, during training (ARGS="--problems heat1d")
	$(BIN)/python scripts/training_gradients.py $(ARGS)

oracle: $(READY) ## search the best schedules in hindsight (ARGS="heat2d_small --seeds 1 2 25")
	$(BIN)/python scripts/oracle.py $(ARGS)

docs: $(VENV)/.ready-docs ## build the documentation in site/ (a warning is an error)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

$(VENV)/.ready-docs: $(READY) requirements-docs.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-docs.txt
	@touch $@

wheel: $(READY) ## build the library's wheel in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

COMPILE = $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url \
  --no-emit-find-links --no-emit-trusted-host --no-annotate --no-header

pins: $(READY) ## regenerate requirements.txt and requirements-docs.txt from pyproject.toml
	$(COMPILE) --extra suite --extra dev --build-deps-for editable --output-file requirements.txt pyproject.toml
	$(COMPILE) --extra docs --constraint requirements.txt --output-file requirements-docs.txt pyproject.toml

clean: ## remove the environment and caches, but not results
	rm -rf $(VENV) site dist .pytest_cache .mypy_cache .ruff_cache
