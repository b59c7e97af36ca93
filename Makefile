# `make demo` runs the whole way on simulated data, `make test` everything that checks the project. Both make .venv first.
PYTHON ?= python3
DATA ?= ../shared/data
BIN := .venv/bin
EPINFORMER := $(BIN)/epinformer
SOURCES := src tests $(wildcard benchmarks)
CHECKPOINT := $(DATA)/published/fold_11_EPInformer_PE_Activity_HiC_RNA_K562_checkpoint.pt
SPEAK_UP := 'import sys; sys.exit(sys.version_info < (3, 11) and "error: $(PYTHON) is Python " + \
	sys.version.split()[0] + "; 3.11 or later is needed. Try: make PYTHON=python3.11 $(MAKECMDGOALS)")'

.PHONY: help demo chr22 test lint format bench clean

help:
	@echo "make demo    simulate, prepare, pretrain, cross-validate, predict, evaluate: a few minutes, no data needed"
	@echo "make chr22   predict the expression of 60 genes from real K562 data (DATA=folder, default $(DATA))"
	@echo "make test    lint, type check and tests"
	@echo "make lint | format | bench | clean"

.venv/.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c $(SPEAK_UP)
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,interpret]'
	@touch $@

demo: .venv/.stamp
	$(EPINFORMER) demo -o demo

chr22: .venv/.stamp
	@for wanted in k562 k562_chr22 published; do test -d "$(DATA)/$$wanted" || { \
	  echo "This example reads real K562 data, and $(DATA)/$$wanted is missing."; \
	  echo "Put the data there, or name the folder that holds it: make chr22 DATA=/path/to/data"; \
	  echo "examples/k562_chr22/README.md says which files it needs and where they come from."; exit 1; }; done
	@mkdir -p chr22
	$(EPINFORMER) prepare examples/k562_chr22/config.yaml --root "$(DATA)" -o chr22/k562_chr22.dataset --overwrite
	$(EPINFORMER) import-checkpoint "$(CHECKPOINT)" -o chr22/rna.model --overwrite
	$(EPINFORMER) predict --model chr22/rna.model --data chr22/k562_chr22.dataset -o chr22/predictions.tsv
	$(EPINFORMER) evaluate chr22/predictions.tsv -o chr22/evaluation

test: lint
	$(BIN)/python -m pytest

lint: .venv/.stamp
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: .venv/.stamp
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: .venv/.stamp
	$(BIN)/python -m benchmarks.inference --data "$(DATA)"

clean:
	rm -rf .venv demo chr22 build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
