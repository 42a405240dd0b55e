# `make run` starts a market, `make test` checks everything. Each target installs what it needs into .venv.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
DB      ?= data/exchange.db
PROMTOOL ?= promtool
# Some tests wait for other processes, so one worker more than there are cores keeps all cores busy.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
# The seeds of `make simulate-faults`.
SEEDS   ?= 1-1000
# `worksteal` keeps the tests of a file on one worker, where they share fixtures, until another worker has no work left.
PYTEST  := $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal
PIP     := $(BIN)/python -m pip --disable-pip-version-check
# Installs the exact files whose hashes are in a lock, and nothing else. pip is not told to resolve anything.
LOCKED  := $(PIP) install --require-hashes --no-deps --requirement
# The build backend is in the locks too, so pip downloads none of its own. It warns of every editable installation.
CHECKOUT := PYTHONWARNINGS=ignore $(PIP) install --quiet --no-deps --no-build-isolation --editable .

# Tests start hundreds of Python processes. Saved bytecode makes each of them start a third faster.
unexport PYTHONDONTWRITEBYTECODE

# One resolution for every platform and every Python that pyproject.toml allows. Markers say where a version differs.
COMPILE := build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate pyproject.toml requirements/build.in

.PHONY: help run web test-web compile clean-compiled test test-compiled quick lint types pytest long soak simulate-faults coverage bench bench-quick docs screenshots site wheel sbom audit rules container lowest lock release clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' Makefile | expand -t 27

run: $(VENV)/run-installed  ## start the exchange on http://127.0.0.1:8765/ with a live demo market
	@mkdir -p $(dir $(DB)) build
	@[ -f $(SCREEN) ] || ! command -v npm > /dev/null || { echo "Building the screen; trading starts meanwhile."; \
		$(MAKE) --no-print-directory web > build/web.log 2>&1 & }
	@$(BIN)/python -c 'from exchange.compiled import WHY_PURE as why; why and print(f"Running plain Python ({why}). \
	With a C compiler, \"make compile\" makes matching twice as fast or faster.")'
	@exec $(BIN)/exchange demo --db $(DB)

# The page that the exchange serves. It is built again when its sources change. Where the system has no Node, it comes
# from the package index, as other packages do.
WEB    := exchange/web
SCREEN := $(WEB)/dist/index.html
NODE   := $(if $(shell command -v npm 2> /dev/null),,build/node/bin/npm)
NPM    := PATH="$(CURDIR)/build/node/bin:$$PATH" npm --silent --prefix $(WEB)

web: $(SCREEN)  ## build the screen, which browsers get from the exchange

$(SCREEN): $(WEB)/node_modules/.package-lock.json $(shell find $(WEB)/src $(WEB)/public -type f) $(WEB)/index.html $(WEB)/vite.config.ts
	$(NPM) run build

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json | $(NODE)
	$(NPM) ci && touch $@

build/node/bin/npm: requirements/node.txt | $(VENV)/created
	rm -rf build/node && mkdir -p build && $(PYTHON) -m venv --without-pip build/node
	$(PIP) --python build/node install --quiet --require-hashes --no-deps --requirement requirements/node.txt
	@touch $@

test-web: $(SCREEN)  ## check the types, the style and the tests of the screen
	$(NPM) run check
	$(NPM) run test

compile: $(VENV)/dev-installed clean-compiled  ## compile the road of a command and the read models with mypyc; needs a C compiler
	EXCHANGE_COMPILE=1 $(BIN)/python setup.py --quiet build_ext --inplace --force
	@$(BIN)/exchange version

clean-compiled:  ## delete the compiled modules; the exchange runs their Python source again
	find exchange cli journal snapshots -name '*.so' -delete

test: lint types pytest  ## run every check except the long, soak and packaging tests

quick: lint types  ## run the linters, the type checker and all tests that are not slow
	$(PYTEST) --timeout 60 -m 'not slow and not long and not soak and not packaging'

lint: $(VENV)/dev-installed  ## run ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev-installed  ## run mypy --strict
	$(BIN)/mypy --num-workers 2 .

# The timeout ends a test that hangs. No test takes nearly as long.
pytest: $(VENV)/dev-installed  ## run the tests
	$(PYTEST) --timeout 600

test-compiled: compile  ## run the tests with the compiled modules
	@$(BIN)/python -c 'import sys; from exchange.compiled import WHY_PURE; sys.exit(WHY_PURE)'
	$(PYTEST) --timeout 600

long: $(VENV)/dev-installed  ## run the tests that take long: crashes, kills, whole days
	$(PYTEST) --timeout 600 -m 'long and not soak'

soak: $(VENV)/dev-installed  ## run long random tests with fresh seeds
	# Ends at the first failure: its seed is printed at once, also if the rest would take hours.
	$(BIN)/pytest -m soak --exitfirst

simulate-faults: $(VENV)/dev-installed  ## break a simulated exchange from each of SEEDS=1-1000
	$(BIN)/python -m tests.faults $(SEEDS) --jobs $(WORKERS)

coverage: $(VENV)/dev-installed  ## run the tests and write a coverage report to build/coverage/
	$(PYTEST) --timeout 600 -m "not soak and not packaging" --cov --cov-report term:skip-covered --cov-report html:build/coverage

bench: $(VENV)/dev-installed  ## print figure, reference, ratio and goal of each benchmark; takes up to 15 minutes
	$(BIN)/python -m benchmarks --minutes 2

bench-quick: $(VENV)/dev-installed  ## the benchmarks of orders with small sizes, in 2 minutes: rough figures
	$(BIN)/python -m benchmarks --quick

docs: $(VENV)/dev-installed  ## write docs/cli.md, the documents of the wire and the tables of docs/sql.md
	$(BIN)/python -m exchange.cli.reference > docs/cli.md
	$(BIN)/python -m tests.api_reference
	@$(MAKE) --no-print-directory $(WEB)/node_modules/.package-lock.json
	$(NPM) run types

screenshots: $(VENV)/dev-installed $(SCREEN)  ## write the pictures of the screen in docs/screen/; needs Chromium
	$(BIN)/python -m tests.screenshots

site: $(VENV)/dev-installed  ## build the documentation as a web site in build/site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The wheel holds the compiled modules. EXCHANGE_COMPILE=0 makes one of plain Python, which needs no C compiler.
wheel: export EXCHANGE_COMPILE ?= 1
wheel: $(VENV)/dev-installed $(SCREEN)  ## build sdist, wheel and SBOM in build/dist/, install the wheel elsewhere and test it
	rm -rf build/dist
	$(BIN)/python -m build --no-isolation --outdir build/dist
	$(MAKE) --no-print-directory sbom
	$(BIN)/pytest -m packaging

sbom: $(VENV)/dev-installed  ## write the bill of materials (CycloneDX) of the wheel in build/dist/ next to it
	rm -rf build/wheel && $(PYTHON) -m venv --without-pip build/wheel
	$(PIP) --python build/wheel install --quiet --require-hashes --no-deps --requirement requirements/run.txt
	$(PIP) --python build/wheel install --quiet --no-deps build/dist/*.whl
	# The wheel is built already, and does not need the build backend to run.
	$(PIP) --python build/wheel uninstall --quiet --yes setuptools
	$(BIN)/python .ci/sbom.py build/dist/*.whl build/wheel

audit: $(VENV)/dev-installed  ## report known vulnerabilities of the installed packages; needs the package index
	$(BIN)/python .ci/audit.py

container:  ## build the container, run it and stop it, if a container engine runs here
	.ci/container

rules:  ## check and test the alert rules with promtool, which comes with Prometheus
	$(PROMTOOL) check config deploy/prometheus/prometheus.yml
	$(PROMTOOL) test rules deploy/prometheus/alerts_test.yml

lowest: $(VENV)/dev-installed  ## run the quick tests with the oldest supported dependencies
	rm -rf build/lowest && mkdir -p build && $(PYTHON) -m venv build/lowest
	$(BIN)/python .ci/lowest_versions.py > build/lowest/versions.txt
	build/lowest/bin/pip install --quiet --disable-pip-version-check --constraint build/lowest/versions.txt \
		--editable '.[dev,fast]'
	build/lowest/bin/pytest --numprocesses $(WORKERS) --dist worksteal --timeout 60 -m 'not slow and not long and not soak and not packaging'

lock:  ## write the locks after a change of pyproject.toml; UPGRADE=1 takes the newest versions that it allows
	rm -rf build/lock && mkdir -p build && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	$(COMPILE) $(if $(UPGRADE),--upgrade) --all-extras --output-file requirements/all.txt
	$(COMPILE) --upgrade --constraint requirements/all.txt --extra fast --extra proof --output-file requirements/run.txt
	sed -n '/==/s/ *\\$$//p' requirements/all.txt > constraints.txt
	build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		requirements/node.in $(if $(UPGRADE),--upgrade) --output-file requirements/node.txt

release:  ## make release VERSION=1.2.3: date the changelog, set the version, run all checks, commit and tag
	.ci/release $(VERSION)

# Running needs few packages and compiles none. If this platform has no file of one of them that needs no compiler, the
# exchange runs without the optional ones.
$(VENV)/run-installed: pyproject.toml requirements/run.txt $(VENV)/created
	@echo "Installing the exchange; this happens once."
	$(LOCKED) requirements/run.txt --only-binary :all: && $(CHECKOUT) || \
		$(PIP) install --constraint constraints.txt --only-binary :all: --editable .
	@touch $@

$(VENV)/dev-installed: pyproject.toml requirements/all.txt $(VENV)/created
	@echo "Installing everything that tests need; this happens once."
	$(LOCKED) requirements/all.txt --quiet --no-compile
	$(CHECKOUT)
	@touch $@ $(VENV)/run-installed

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

clean:  ## delete everything that make created, except the journals in data/
	rm -rf $(VENV) build $(WEB)/node_modules $(WEB)/dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
