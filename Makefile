# `make help` lists the targets. Everything happens in .venv and in this folder.
PYTHON ?= python3
STUDY ?=
PART ?=
BIN := .venv/bin
UV_VERSION := 0.13.9
EXTRAS := .venv/extras
QUIET := $(shell [ -t 2 ] || echo --quiet)  # progress on a terminal, nothing in a log
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install repro toys ui track test test-all check lint types check-reports lock schema calibrate detector monitor definitions speed

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

install: .venv/installed ## .venv with the hash-locked dependencies

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else "Python 3.11 to 3.14 is needed, $(PYTHON) is %d.%d: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync $(QUIET) --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@git rev-parse --git-dir >/dev/null 2>&1 || $(BIN)/dvc config --local core.no_scm true
	@touch $@

repro: install ## run the study of params.yaml (or STUDY=name): data, training, evaluation, report, MLflow
	@$(BIN)/collapselab repro $(if $(STUDY),--study $(STUDY))

toys: install ## the linear theory of dimensional collapse, simulated: reports/toys, in under a minute
	@$(BIN)/collapselab toys

ui: install ## the MLflow UI on this repository's runs, localhost only
	@$(BIN)/collapselab ui

track: install ## project the files of runs/ into MLflow by hand
	@$(BIN)/collapselab track

# The optional packages, for the tests that need them: without their dependencies, so that none here hides a package of .venv's own.
$(EXTRAS)/installed: tests/extras.lock .venv/installed
	rm -rf $(EXTRAS)
	$(BIN)/uv pip install $(QUIET) --python $(BIN)/python --target $(EXTRAS) --no-deps --require-hashes -r tests/extras.lock
	@touch $@

test: install $(EXTRAS)/installed ## fast tests, the pipeline on a tiny study among them; two processes of one thread, a file at a time
	OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR)/$(EXTRAS)" $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

test-all: install $(EXTRAS)/installed ## every test, the default study in full among them: before a release
	PYTHONPATH="$(CURDIR)/$(EXTRAS)" $(BIN)/python -m pytest

lint: install ## ruff, its formatter too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## mypy, strict on src/
	$(BIN)/mypy

check: lint types test ## what CI runs

check-reports: install ## committed reports that today's code and params would no longer give
	@$(BIN)/collapselab check-reports

schema: install ## write docs/params.schema.json, which editors use to check params.yaml
	@$(BIN)/collapselab schema docs/params.schema.json

calibrate: install ## how often verdicts are right, on families and runs/: docs/calibration.md
	$(BIN)/python -m bench.calibration

detector: install ## how soon, and how often falsely, alarms go off in planted streams: docs/detector.md
	$(BIN)/python -m bench.detector

monitor: install ## how many steps before k-NN falls the monitor names a collapse, in regimes of the default study: docs/monitor.md
	$(BIN)/python -m bench.monitor

definitions: install ## docs/definitions.md: metrics and losses against other libraries, installed apart from .venv's own packages
	$(BIN)/uv pip install $(QUIET) --python $(BIN)/python --target .venv/definitions --no-deps -r bench/definitions/requirements.txt
	PYTHONPATH=.venv/definitions $(BIN)/python -m bench.definitions

speed: install ## docs/speed.md: times against peers, in turns; 20 minutes on a machine that does nothing else (PART=name: that alone)
	$(BIN)/uv pip install $(QUIET) --python $(BIN)/python --target .venv/speed --no-deps -r bench/speed/requirements.txt
	PYTHONPATH=.venv/speed $(BIN)/python -m bench.speed $(PART)

lock: install ## requirements.lock from pyproject.toml; tests/extras.lock from its optional dependencies, those alone
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --python-version 3.11 --group dev pyproject.toml -o requirements.lock
	$(BIN)/python -c 'import tomllib; print(*sum(tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"].values(), []), sep="\n")' \
		| UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --universal --generate-hashes --no-deps --no-annotate --python-version 3.11 - -o tests/extras.lock
