# Every target sets up what it needs, in .venv, and says what it is doing. Needed beforehand: Python 3.10 or newer, make.

PYTHON ?= python3
WORKERS ?= 2
TORCH ?= 2.13.0
PYTHONS ?= python3.10 python3.11 python3.12 python3.13

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
KERNELS := src/unrolled/kernels

.DEFAULT_GOAL := help
.PHONY: help demo test check format docs lock clean

help:  ## say what there is
	@echo "make TARGET, one of:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile
	@echo "Tests run in $(WORKERS) processes; WORKERS=4 takes four."

demo: $(READY) $(KERNELS)/_kernels.so  ## train on real film reviews, evaluate, predict: about two minutes after the set-up
	@$(BIN)/unrolled demo

test: $(READY) $(KERNELS)/_kernels.so  ## run all tests, the doctests among them
	@echo "testing in $(WORKERS) processes, one thread each"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS)

check: $(READY)  ## look at format, lint and types; change nothing
	@echo "checking the format";  $(BIN)/ruff format --check .
	@echo "checking the lint";    $(BIN)/ruff check .
	@echo "checking the types";   $(BIN)/mypy

format: $(READY)  ## put the format right, and what else ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(READY)  ## write the pages that are made from the code
	@$(BIN)/python docs/equations.py
	@$(BIN)/python docs/help.py

lock: $(READY)  ## write constraints.txt anew, for those of PYTHONS that are here
	@$(BIN)/python .ci/lock.py --torch $(TORCH) $(PYTHONS)

clean:  ## remove what tests, checks and builds leave (.venv stays)
	@echo "removing caches and builds"
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "Python 3.10 or newer is needed: make PYTHON=python3.11 …, for example"; exit 1; }
	@echo "setting up $(VENV) (once; a few minutes: torch is large)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,hub,dev]'
	@touch $@
	@echo "$(VENV) is ready"

$(KERNELS)/_kernels.so: $(READY) $(wildcard $(KERNELS)/csrc/*) $(KERNELS)/build.py
	@echo "compiling the kernels"
	@$(BIN)/python -m unrolled.kernels.build || echo "going on without them: torch's kernels run"
