# The two commands are `make test` and `make demo`. Both make what they need, in .venv; a second run is quick.
# Needed: Python 3.11 or later with pip. Elsewhere than on the path: make PYTHON=/where/python test

VENV ?= .venv
GROUP ?= dev
DEMO_SECONDS ?= 20
# What to measure: make bench SUITE=inprocess, or BENCH='--quick --only throughput'
SUITE ?= peers
BENCH ?=
# What depends on the interpreter is tested on these too, where they start.
OTHER_PYTHONS ?= 3.13

# The first that starts and is new enough: a command of that name may be a shim with nothing behind it.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14 python; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# So many checks run at once, more than there are processors: two of them mostly wait. What each says is shown when it
# is done.
JOBS ?= 4

.PHONY: test checks demo lint format types suite core-suite outer-suite programs-suite conformance slow docs versions bench clean

# First what is quick to tell; then the rest, the longest first.
test: lint types
	$(BIN)/coverage erase
	$(MAKE) --no-print-directory --keep-going -j $(JOBS) --output-sync=target checks
	$(BIN)/coverage combine --quiet
	$(BIN)/python tests/own_coverage.py
	$(BIN)/coverage report --fail-under=95

checks: programs-suite outer-suite core-suite conformance versions slow docs

demo: $(VENV)/.demo
	$(BIN)/sig demo --seconds $(DEMO_SECONDS)

lint: $(VENV)/.$(GROUP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.$(GROUP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The last one fails if a public name has no complete type: users' editors see what we see. It looks for the
# package where `python` on the path would.
types: $(VENV)/.$(GROUP)
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/basedpyright --ignoreexternal --verifytypes sig

# Each test is in one of these. Of the programs of chance in tests/model, of the conformance suite, which does the same
# over each carrier, and of the slow ones, which move millions of events, the coverage tells nothing and takes minutes.
# The others tell what each file of tests covers, for own_coverage.py.
COVERED := $(BIN)/coverage run -m pytest -q -p tests.contexts -m "not slow"
CORE := tests/unit tests/protocol tests/security
PLAIN := tests/conformance tests/model
PROGRAMS := tests/bench tests/cli tests/demo tests/docs tests/examples tests/testing tests/typing

suite: core-suite outer-suite programs-suite conformance slow

core-suite: $(VENV)/.$(GROUP)
	$(COVERED) $(CORE)

outer-suite: $(VENV)/.$(GROUP)
	$(COVERED) $(addprefix --ignore ,$(CORE) $(PLAIN) $(PROGRAMS))

programs-suite: $(VENV)/.$(GROUP)
	$(COVERED) $(PROGRAMS)

conformance: $(VENV)/.$(GROUP)
	$(BIN)/python -m pytest -q -m "not slow" $(PLAIN)

slow: $(VENV)/.$(GROUP)
	$(BIN)/python -m pytest -q -m slow

docs: $(VENV)/.$(GROUP)
	if [ -f docs/conf.py ]; then $(BIN)/sphinx-build -W --keep-going -q docs docs/_build; fi

versions:
	@for version in $(OTHER_PYTHONS); do \
		found=; \
		for python in python$$version "$$(pyenv prefix $$version 2>/dev/null)/bin/python"; do \
			"$$python" -c "import sys; sys.exit(sys.version_info[:2] != ($$(echo $$version | tr . ,)))" 2>/dev/null \
				&& found=$$python && break; \
		done; \
		if [ -z "$$found" ]; then echo "Python $$version does not start here: left out"; continue; fi; \
		$(MAKE) --no-print-directory PYTHON="$$found" VENV=$(VENV)-$$version GROUP=test plain-suite || exit 1; \
	done

# Programs, pages, benchmarks and carriers beyond TCP are left to the first: these take minutes, and tell no more here.
.PHONY: plain-suite
plain-suite: $(VENV)/.test
	$(BIN)/python -m pytest -q -m "not slow" tests/unit tests/protocol tests/drivers tests/aio

# The peers live in an environment of their own: $(VENV)-bench.
bench:
	$(MAKE) --no-print-directory VENV=$(VENV)-bench GROUP=test bench-run

.PHONY: bench-run
bench-run: $(VENV)/.test
	$(PIP) install --quiet --requirement benchmarks/requirements.txt
	$(BIN)/python -m benchmarks.$(SUITE) $(BENCH)

clean:
	rm -rf $(VENV) $(VENV)-bench $(addprefix $(VENV)-,$(OTHER_PYTHONS)) docs/_build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

# -- environments ---------------------------------------------------------------------------------

# Some systems keep apart what a new environment needs for its own pip: then the system's pip puts it there.
# Dependency groups need pip 25.1.
$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "no Python 3.11 or later was found: make PYTHON=/where/python" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV) || { "$(PYTHON)" -m venv --clear --without-pip $(VENV) \
		&& "$(PYTHON)" -m pip --python $@ install --quiet pip; }
	$(PIP) install --quiet --upgrade 'pip>=25.1'

# What is installed is remembered by a file, newer than what asked for it.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[demo]'
	@touch $@

$(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[all]' --group $*
	@touch $@
