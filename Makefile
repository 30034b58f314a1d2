# doitrust: everything a developer does. `make` alone lists it.
#
#   PYTHON  the interpreter that makes .venv (3.11 or newer)
#   ARGS    more arguments for the tool that the target runs: make test ARGS="-k timeline"

PYTHON ?= python3
ARGS   ?=

# Relative on purpose: make can't hold a path with spaces in a target, and the tree may stand in one.
VENV   := .venv
BIN    := $(VENV)/bin
LOCKED := $(VENV)/.locked
READY  := $(VENV)/.ready
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
UV     := uv==0.13.8

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench setup lock clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## play the whole story on a throw-away chain
	@$(BIN)/doitrust demo $(ARGS)

test: $(READY) ## run the tests, in parallel
	@$(BIN)/python -m pytest -n auto $(ARGS)

lint: $(READY) ## check style and format
	@$(BIN)/ruff check $(ARGS) .
	@$(BIN)/ruff format --check .

types: $(READY) ## check types
	@$(BIN)/mypy $(ARGS)

bench: $(READY) ## measure
	@$(BIN)/python bench/run.py $(ARGS)

setup: $(READY) ## make .venv, if it isn't there or no longer fits
	@:

# Keeps the versions that still fit; `make lock ARGS=--upgrade` takes the newest.
lock: .lock/bin/uv ## resolve requirements/dev.txt again
	@.lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		$(ARGS) --output-file requirements/dev.txt pyproject.toml requirements/dev.in
	@echo "requirements/dev.txt is up to date."

clean: ## remove everything that was made here
	@rm -rf $(VENV) .lock build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name .git -prune -o -name __pycache__ -prune -exec rm -rf {} +

# The packages: made again from nothing when the lock changes, so that none stays that it doesn't name.
$(LOCKED): requirements/dev.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "doitrust needs Python 3.11 or newer, and '$(PYTHON)' is: $$("$(PYTHON)" --version 2>&1)." \
			"Name another: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	@echo "Setting up $(VENV) (once, less than a minute) …"
	@"$(PYTHON)" -m venv --clear $(VENV) || { \
		echo "Making $(VENV) failed. On Debian: apt-get install python3-venv"; exit 1; } >&2
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@pwd > $@

# doitrust itself: its declared dependencies must be what the lock holds.
$(READY): $(LOCKED) pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@broken=$$($(BIN)/python -m pip --disable-pip-version-check check) || { \
		echo "$$broken"; echo "requirements/dev.txt no longer fits pyproject.toml: run 'make lock'."; exit 1; } >&2
	@touch $@

# An environment whose tree was moved or copied, or whose Python is gone, serves another place or nothing.
ifneq ($(shell test -x $(BIN)/python && cat $(LOCKED) 2>/dev/null),$(shell pwd))
.PHONY: $(LOCKED)
endif

.lock/bin/uv: Makefile
	@"$(PYTHON)" -m venv --clear .lock
	@.lock/bin/python -m pip --quiet --disable-pip-version-check --no-input install "$(UV)"
	@touch $@
