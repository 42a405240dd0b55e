# Everything a newcomer types: `make run`, `make test`, `make bench`. Each sets up what it needs by itself.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DB     ?= data/exchange.db

.PHONY: run test lint types pytest soak bench docs wheel clean

run: $(VENV)/installed  ## start the exchange on ws://127.0.0.1:8765/ with a market that is alive
	@mkdir -p $(dir $(DB))
	@exec $(BIN)/exchange demo --db $(DB)

test: lint types pytest  ## everything that must be green

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy .

pytest: $(VENV)/installed
	$(BIN)/pytest -n 2 --timeout 600  # seconds, for a test that hangs; none is to take so long

soak: $(VENV)/installed  ## long random runs with fresh seeds
	$(BIN)/pytest -m soak

bench: $(VENV)/benchmarks-installed  ## figure, reference and ratio of each benchmark
	$(BIN)/python -m benchmarks

docs: $(VENV)/installed  ## write docs/cli.md and the documents of the wire from the code
	$(BIN)/python -m cli.reference > docs/cli.md
	$(BIN)/python -m cli.api_reference

wheel: $(VENV)/installed  ## build a wheel, install it elsewhere, and start from it
	rm -rf build && mkdir -p build/wheel
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/pip install --quiet build/wheel/*.whl
	cd build/wheel && venv/bin/exchange init --db fresh.db && venv/bin/exchange journal info --db fresh.db

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,fast]'
	@touch $@

$(VENV)/benchmarks-installed: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,fast,bench]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
