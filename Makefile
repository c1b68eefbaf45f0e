# Each target works as the first command in a fresh clone.

PYTHON ?= python3
UI_PORT ?= 5000
BIN := .venv/bin
SOURCES := trainer dashboard tests scripts benchmarks

export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help setup demo ablate dashboard ui test test-all test-scale lint types rules bench chromium clean

help:
	@echo "make demo       encode the built-in images, search for the best head; needs no GPU"
	@echo "make ablate     plant a bad source in the built-in data, and see which filter helps and how sure that is"
	@echo "make dashboard  look at the results: http://127.0.0.1:8501"
	@echo "make ui         MLflow's own pages on the same results: http://127.0.0.1:5000"
	@echo "make test       lint, types, import directions, all tests but the slow ones"
	@echo "make test-all   the same with the slow ones, and those of make test-scale"
	@echo "make test-scale workers that are killed, and a real S3 on this machine"
	@echo "make bench      measure speed"
	@echo "make clean      remove the environment and the caches (results in mlruns/ stay)"

setup: .venv/.ready .venv/.developing

# What pip says goes to stderr: the last line on stdout belongs to the command that runs afterwards.
# What the demo imports is compiled then: compiling all that it installs takes nearly as long as installing it.
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check

# $(1): a lock file; $(2): what must be there in the end. The locked versions, checked by their hashes; torch by
# itself, because its CPU and GPU builds share a version. Where these files cannot be had, such as on a mirror with
# other versions: any within the tested bounds.
install = { $(PIP) --require-hashes --no-deps -r $(1) && $(PIP) $(2); } >&2 \
	|| { echo "The locked versions could not be installed; taking others within the tested bounds." >&2; \
	     $(PIP) $(2) >&2; }

.venv/.ready: requirements.txt requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Headroom needs Python 3.11 or newer; point to one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing the libraries into .venv (several minutes, once) ..." >&2
	@$(PYTHON) -m venv .venv >&2
	@$(call install,requirements.lock,-r requirements.txt)
	@touch $@

.venv/.developing: .venv/.ready requirements-dev.txt requirements-dev.lock
	@echo "Installing the tools of the tests ..." >&2
	@$(call install,requirements-dev.lock,-r requirements.txt -r requirements-dev.txt)
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null || true  # the tests import nearly all; templates fail
	@touch $@

demo: .venv/.ready
	@$(BIN)/python -m trainer.sweep --data demo --encoder demo --trials 32 --seeds 3
	@{ echo "Look at it: make dashboard, then http://127.0.0.1:8501"; \
	   echo "  Embeddings        a map of the classes; hover for the images; colour by known noise"; \
	   echo "  Confusion matrix  which classes are confused, with the images"; \
	   echo "  Loss curves       training against validation loss of the best trial, and all others"; \
	   echo "or make ui for MLflow's own pages: http://127.0.0.1:5000"; } >&2

ablate: .venv/.ready
	@$(BIN)/python -m trainer.ablate --data demo --encoder demo --bad-source 0.4

dashboard: .venv/.ready
	@$(BIN)/python -m trainer dashboard

# Without the five processes in which MLflow would evaluate language models, of 250 MB each.
ui: .venv/.ready
	@store=$$($(BIN)/python -c 'from trainer.tracking import mlflow_pages; print(mlflow_pages.prepare($(UI_PORT)))') \
		&& MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
			exec $(BIN)/mlflow ui --backend-store-uri "$$store" --host 127.0.0.1 --port $(UI_PORT)

# Tests wait for servers and browsers a fifth of their time, in which the linters and the tests of several workers
# work; these speak at the end.
test: FASTER := -m "not slow and not scale"
test-all: FASTER := -m "not scale"
test-all: BESIDE := $(MAKE_COMMAND) --no-print-directory test-scale
test test-all: setup chromium
	@said=$$(mktemp -d); \
	$(MAKE_COMMAND) --no-print-directory lint >"$$said/lint" 2>&1 & lint=$$!; \
	$(or $(BESIDE),true) >"$$said/scale" 2>&1 & scale=$$!; \
	trap 'kill $$lint $$scale; exit 130' INT TERM; \
	$(BIN)/python -m pytest --numprocesses auto --durations 20 $(FASTER); tests=$$?; \
	wait $$lint; linted=$$?; wait $$scale; scaled=$$?; \
	cat "$$said"/*; rm -rf "$$said"; exit $$((tests | linted | scaled))

# One after the other: they start servers and workers of their own.
test-scale: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 0 --durations 5 -m scale tests/scale

lint: setup
	@$(MAKE) --no-print-directory --jobs 2 --output-sync types rules

types:
	@$(BIN)/mypy

rules:
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/licences.py --check
	@$(BIN)/python scripts/audit.py

bench: setup
	@set -e; for file in benchmarks/*.py; do echo "== $$file" >&2; $(BIN)/python "$$file"; done

# The browser tests drive Chromium; without it they are skipped, and say so.
chromium:
	@for browser in chromium-headless-shell chromium chromium-browser google-chrome; do \
		command -v $$browser >/dev/null && exit 0; done; \
	as_root=$$( [ "$$(id -u)" = 0 ] || echo "sudo -n" ); \
	install() { $$as_root apt-get install -y --no-install-recommends "$$1"; }; \
	{ command -v apt-get && $$as_root true && $$as_root apt-get update \
		&& { install chromium-headless-shell || install chromium; }; } >/dev/null 2>&1 \
		|| echo "No Chromium here: the browser tests will be skipped. Install it with your package manager." >&2

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find trainer dashboard tests scripts benchmarks -name __pycache__ -prune -exec rm -rf {} +
