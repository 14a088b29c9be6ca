# Needs Python 3.11+ and make, nothing else; everything else goes into $(VENV).

SHELL := /bin/sh

# The first Python that is new enough; `make PYTHON=/path/to/python3.13 ...` chooses another one.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
EXAMPLE := examples/ecb-rates
PROTOCOL := src/everyitem/faces/cyoda/protocol

.DEFAULT_GOAL := help
.PHONY: help demo demo-all test check unit faults bench soak format protocol clean

help: ## say what there is
	@echo 'everyitem: batch execution where every item is accounted for'
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12 | sed 's/^/  make /'

# ---------------------------------------------------------------- set-up, done again only when pyproject.toml changes

$(VENV)/made:
	@.ci/make-venv '$(PYTHON)' '$(VENV)'
	@touch $@

$(VENV)/runtime: $(VENV)/made pyproject.toml
	@echo 'Installing everyitem into $(VENV) ...' >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/development: $(VENV)/made pyproject.toml
	@echo 'Installing everyitem and the development tools into $(VENV) ...' >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/runtime $@

# ---------------------------------------------------------------- the example

$(EXAMPLE)/%.json: $(EXAMPLE)/make_batch.py $(EXAMPLE)/eurofxref-hist.zip | $(VENV)/made
	@$(BIN)/python $(EXAMPLE)/make_batch.py $*

demo: $(VENV)/runtime $(EXAMPLE)/latest.json ## run the main job on 100,000 real fixings; kill it, run it again, it resumes (RERUN=1: from the start)
	@VENV='$(VENV)' RERUN='$(RERUN)' $(EXAMPLE)/demo latest

demo-all: $(VENV)/runtime $(EXAMPLE)/all.json ## the same on all 292,166 fixings, without the look-up, on two processes
	@VENV='$(VENV)' RERUN='$(RERUN)' $(EXAMPLE)/demo all

# ---------------------------------------------------------------- tests

test: check unit ## everything CI runs

check: $(VENV)/development ## format, lint, types, import contract
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

unit: $(VENV)/development ## all tests but the long ones (ARGS='tests/unit -x' narrows)
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

faults: $(VENV)/development ## the long proofs: hundreds of kills, thousands of seeds; writes docs/faults.md
	@$(BIN)/python -m pytest -m long --timeout 1800 --faults-report docs/faults.md $(ARGS)

bench: $(VENV)/development ## measure against bare loops, write docs/benchmarks.md (ARGS='--quick', '--case skewed')
	@$(BIN)/python -m benchmarks $(ARGS)

soak: $(VENV)/development ## half an hour of everything going wrong, then 20 batches in their windows (ARGS='--minutes 5')
	@$(BIN)/python -m benchmarks.soak $(ARGS)

protocol: $(VENV)/development ## generate the Python module of the Cyoda wire format from its .proto file
	@$(BIN)/python -m grpc_tools.protoc -I$(PROTOCOL) --python_out=$(PROTOCOL) --pyi_out=$(PROTOCOL) cloudevents.proto

format: $(VENV)/development ## put the code into its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove what make has made, the example's store included
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@rm -f $(EXAMPLE)/*.json $(EXAMPLE)/*.sqlite $(EXAMPLE)/*.sqlite-* $(EXAMPLE)/*.sqlite.*
