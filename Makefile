# Two commands do everything on a machine with Python >= 3.11, git and make: `make demo` and `make test`.
# Both work in .venv of this clone and do nothing twice.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core-installed
ALL := $(VENV)/.all-installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO := runs/demo

# CI also runs what is slow and what needs Java; both use all cores.
PARALLEL := --numprocesses=auto --dist=worksteal
ifeq ($(CI),true)
PYTEST_ARGS ?= -m "not gpu" --durations=10 $(PARALLEL)
endif
PYTEST_ARGS ?= $(PARALLEL)

.DEFAULT_GOAL := help
.PHONY: help demo install test check lint types imports format docs bench clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(CORE) ## train a small policy with a recorded language model as its teacher, and show the result
	$(BIN)/wean train llm4teach --task SimpleDoorKey --seed 1 --out $(DEMO) --resume
	@echo "Open the report in a browser. Once more from the start: make clean-demo demo"

.PHONY: clean-demo
clean-demo:
	rm -rf $(DEMO)

install: $(ALL) ## install the library with every extra that the tests need

test: export OMP_NUM_THREADS = 1
test: check ## install, lint, check types and imports, and run the tests (CI=true: the slow ones, too)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: lint types imports ## everything that is checked without running it

lint: $(ALL) ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(ALL) ## static types
	$(BIN)/mypy

imports: $(ALL) ## that rooms import one way only
	$(BIN)/lint-imports

format: $(ALL) ## mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(ALL) ## the documentation site, into site/; its notebooks are executed
	NO_MKDOCS_2_WARNING=1 WEAN_RUN_NOTEBOOKS=true $(BIN)/mkdocs build --strict

bench: $(if $(NAME),$(CORE)) ## list the benchmarks; NAME=... runs one, ARGS=... are its options
ifdef NAME
	$(BIN)/python benchmarks/$(NAME).py $(ARGS)
else
	@$(PYTHON) -c 'import ast, pathlib; [print(f"  {p.stem:20}", (ast.get_docstring(ast.parse(p.read_text(encoding="utf-8"))) or "").split("\n")[0]) for p in sorted(pathlib.Path("benchmarks").glob("*.py")) if "__main__" in p.read_text(encoding="utf-8")]'
	@echo "  make bench NAME=llm4teach ARGS=--quick"
endif

clean: ## remove the virtual environment and caches; runs stay
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# A venv that could not be finished is taken away, or the next try would stumble over it.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "wean needs Python 3.11 or newer, $(PYTHON) is not; name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; \
	  exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; install its venv module (on Debian: python3-venv)"; \
	  exit 1; }

$(CORE): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the core into $(VENV) (about a minute) ..."
	@$(PIP) --editable .
	@touch $@

$(ALL): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing every extra that the tests need into $(VENV) (about two minutes) ..."
	@$(PIP) --editable ".[llm,lm,textworld,scienceworld,bandits,export,serve,ray,mcp,embodied,docs,trackio,wandb,minari,dev]"
	@touch $(CORE) $@
