# What one does with this repository; CI calls these targets and nothing else. `make` alone lists them.
#
# Each target makes `.venv` by itself where it is missing or older than pyproject.toml: with uv where there is
# uv, else with the venv and pip of the first suitable Python. PYTHON=/path/to/python chooses another one.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?=
JOBS ?= logical
TESTS ?= tests

PYTHONS = $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python
# venv alone is not enough: Debian ships it without the part that brings pip.
SUITABLE = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help run test test-long check fix bench clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(READY) ## run bench.toml; the one that is shipped needs no key and no network
	$(BIN)/python -m engine run bench.toml

test: $(READY) ## the tests, minutes at most; TESTS=tests/unit picks some, JOBS=0 runs them one by one
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not long" $(TESTS)

test-long: $(READY) ## the tests that take minutes each
	$(BIN)/python -m pytest -m long $(TESTS)

check: $(READY) ## lint, format, types, imports, sizes, docs; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/architecture/test_sizes.py tests/architecture/test_docs.py

fix: $(READY) ## what ruff can mend by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## how fast the engine is, beside bare loops
	$(BIN)/python -m benchmarks

clean: ## remove .venv and caches; results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find engine solvers storage tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@set -e; \
	if command -v uv >/dev/null 2>&1; then \
	    $(BIN)/python -c '' 2>/dev/null || uv venv --quiet --clear --python '$(or $(PYTHON),>=3.11)' $(VENV); \
	    echo "installing into $(VENV) with uv"; \
	    uv pip install --quiet --python $(BIN)/python --editable . --group dev; \
	else \
	    if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	        for python in $(PYTHONS) none; do \
	            if $$python -c '$(SUITABLE)' >/dev/null 2>&1; then break; fi; \
	        done; \
	        if [ "$$python" = none ]; then \
	            echo "error: no Python >= 3.11 with venv was found among: $(PYTHONS)" >&2; \
	            echo "  hint: apt install python3 python3-venv, brew install python, or make PYTHON=/path/to/python" >&2; \
	            exit 1; \
	        fi; \
	        echo "making $(VENV) with $$($$python --version)"; \
	        $$python -m venv --clear $(VENV); \
	    fi; \
	    echo "installing into $(VENV) with pip; the first time takes a minute or two"; \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"; \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev; \
	fi
	@# Where PYTHONDONTWRITEBYTECODE is set, as in many images, each start would compile all of it: a quarter of its time.
	@$(BIN)/python -m compileall -q engine solvers storage
	@touch $(READY)
