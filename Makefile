# The commands of this project. `make demo` and `make test` set up all that they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-real check bench bundle setup system-packages clean

# Run the main job: a notebook in a real Jupyter server serves apps, and they are called.
demo: setup
	$(BIN)/python -m notebooks.demo

# Everything that must be green: the layers, types, style, and the tests, which keep to a budget of time.
test: setup system-packages check
	$(BIN)/python -m tests

# The breadth that would make `make test` slow: fuzzing for minutes, and the tests that are marked `real`.
test-real: setup system-packages
	PORTICO_FUZZ_SECONDS=180 $(BIN)/python -m pytest -m "real or fuzz" --timeout 900

# Without import-linter's cache: after modules have moved, it tells of imports that are not there any more.
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Every path in one run, as ratios; a table, JSON and a plot in benchmarks/results.
bench: setup system-packages
	$(BIN)/python -m pip install --quiet --group bench --constraint constraints.txt
	$(BIN)/python -m benchmarks

# For a release: the wheel, and Pyodide with Portico and FastAPI, compiled, for any static host. Needs Node.js.
bundle: setup js/node_modules/pyodide
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m portico bundle dist/bundle fastapi micropip --pyodide-dir js/node_modules/pyodide

js/node_modules/pyodide: js/package-lock.json
	cd js && npm ci --silent
	touch $@

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt jupyter-config/jupyter_server_config.d/portico.json $(wildcard src/portico/static/labextension/static/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]' --group test --group lint
	touch $@

# What the tests need of the system, where it is absent and apt-get can bring it.
system-packages:
	@sh tests/system-packages.sh

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
