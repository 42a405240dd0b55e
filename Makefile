# `make run` starts a market, `make test` checks everything. Each target installs what it needs into .venv.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
DB      ?= data/exchange.db
# Some tests wait for other processes, so one worker more than there are cores keeps all cores busy.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
# `worksteal` keeps the tests of a file on one worker, where they share fixtures, until another worker has no work left.
PYTEST  := $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal
INSTALL := $(BIN)/pip install --disable-pip-version-check --constraint constraints.txt

# Tests start hundreds of Python processes. Saved bytecode makes each of them start a third faster.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test quick lint types pytest soak coverage bench docs site wheel lowest lock release clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' Makefile | expand -t 18

run: $(VENV)/run-installed  ## start the exchange on ws://127.0.0.1:8765/ with a live demo market
	@mkdir -p $(dir $(DB))
	@exec $(BIN)/exchange demo --db $(DB)

test: lint types pytest  ## run every check except the soak and packaging tests

quick: lint types  ## run the linters, the type checker and all tests that are not slow
	$(PYTEST) --timeout 60 -m 'not slow and not soak and not packaging'

lint: $(VENV)/dev-installed  ## run ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev-installed  ## run mypy --strict
	$(BIN)/mypy --num-workers 2 .

# The timeout ends a test that hangs. No test takes nearly as long.
pytest: $(VENV)/dev-installed  ## run the tests
	$(PYTEST) --timeout 600

soak: $(VENV)/dev-installed  ## run long random tests with fresh seeds
	# Ends at the first failure: its seed is printed at once, also if the rest would take hours.
	$(BIN)/pytest -m soak --exitfirst

coverage: $(VENV)/dev-installed  ## run the tests and write a coverage report to build/coverage/
	$(PYTEST) --timeout 600 --cov --cov-report term:skip-covered --cov-report html:build/coverage

bench: $(VENV)/bench-installed  ## print figure, reference and ratio of each benchmark
	$(BIN)/python -m benchmarks

docs: $(VENV)/dev-installed  ## write docs/cli.md, the documents of the wire and the tables of docs/sql.md
	$(BIN)/python -m exchange.cli.reference > docs/cli.md
	$(BIN)/python -m tests.api_reference

site: $(VENV)/site-installed  ## build the documentation as a web site in build/site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

wheel: $(VENV)/dev-installed  ## build sdist and wheel in build/dist/, install them elsewhere and test them
	rm -rf build/dist
	$(BIN)/python -m build --outdir build/dist
	$(BIN)/pytest -m packaging

lowest: $(VENV)/dev-installed  ## run the quick tests with the oldest supported dependencies
	rm -rf build/lowest && mkdir -p build && $(PYTHON) -m venv build/lowest
	$(BIN)/python .ci/lowest_versions.py > build/lowest/versions.txt
	build/lowest/bin/pip install --quiet --disable-pip-version-check --constraint build/lowest/versions.txt \
		--editable '.[dev,fast]'
	build/lowest/bin/pytest --numprocesses $(WORKERS) --dist worksteal --timeout 60 -m 'not slow and not soak and not packaging'

lock:  ## write constraints.txt: the newest versions that pyproject.toml allows
	rm -rf build/lock && mkdir -p build && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check '.[dev,fast,bench,site]'
	build/lock/bin/pip freeze --exclude event-sourced-exchange > constraints.txt

release:  ## make release VERSION=1.2.3: date the changelog, set the version, run all checks, commit and tag
	.ci/release $(VERSION)

# Running needs few packages and compiles none. If this platform has no wheel of uvloop, the exchange runs without it.
$(VENV)/run-installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Creating $(VENV) and installing the exchange; this happens once."
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --only-binary :all: --editable '.[fast]' || $(INSTALL) --only-binary :all: --editable .
	@touch $@

$(VENV)/dev-installed: $(VENV)/run-installed
	$(INSTALL) --quiet --editable '.[dev,fast]'
	@touch $@

$(VENV)/bench-installed: $(VENV)/dev-installed
	$(INSTALL) --quiet --editable '.[dev,fast,bench]'
	@touch $@

$(VENV)/site-installed: $(VENV)/dev-installed
	$(INSTALL) --quiet --editable '.[dev,fast,site]'
	@touch $@

clean:  ## delete everything that make created, except the journals in data/
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
