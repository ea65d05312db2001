# `make reproduce` goes from a fresh clone to figures, `make test` runs the tests. Both first make .venv, once.
#   make reproduce PAPER=golmant ARGS="--scale laptop"     make test ARGS="-k sharpness"     make reproduce PYTHON=python3.12

PYTHON ?= python3
ARGS ?=
PAPER ?= keskar
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --constraint constraints.txt
READY := .venv/.ready

.PHONY: help setup reproduce report test lint clean
.DELETE_ON_ERROR:

help:
	@echo "make reproduce   figures, tables and verdicts of PAPER (keskar, golmant, ...) at demo scale, in results/"
	@echo "make report      the report from what is in results/"
	@echo "make test        the tests"
	@echo "make lint        ruff and mypy"
	@echo "make setup       only .venv, with what constraints.txt pins"
	@echo "make clean       remove .venv and caches; results/ and data/ stay"

setup: $(READY)

reproduce: $(READY)
	@$(BIN)/reproduce $(PAPER) $(ARGS)

report: $(READY)
	@$(BIN)/reproduce report $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# torch comes first and by a plain requirement, so that a copy in a folder named by PIP_FIND_LINKS is taken.
$(READY): constraints.txt pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "bsgap needs Python 3.11 or newer and '$(PYTHON)' is not: give another, make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { \
	  rm -rf .venv; echo "'$(PYTHON)' cannot make a virtual environment: on Debian, install python3-venv" >&2; exit 1; }
	@echo "Installing what constraints.txt pins into .venv. This happens once."
	@$(PIP) -qq "$$(grep '^torch==' constraints.txt)"
	@$(PIP) -qq hatchling
	@$(PIP) -qq --no-build-isolation --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
