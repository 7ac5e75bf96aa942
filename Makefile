# Two commands are enough: "make demo" and "make test". Each sets itself up.
# Arguments go through ARGS: make demo ARGS="--json", make test ARGS="-k config".

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PY    := $(BIN)/python
CORE  := .venv/.core
DEV   := .venv/.dev
NODE  := examples/node
ARGS  ?=
# Name an interpreter with PYTHON=...; else the newest one that works is taken, and of several of
# that version the fastest: one that was built without optimisation takes half as long again.
PYTHON ?=

# Hundreds of short programs are started: none has to compile what another one has.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-ea test-windows machines simulate chaos failpoints journal-faults check \
  bench-quick bench bench-ea bench-orders docs coverage ea-coverage clean static

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(DEV) ## Make .venv and install everything for development
	@$(node_modules)

demo: $(CORE) ## Show relay, simulated terminal and subscriber at work (about 15 s)
	@$(BIN)/bridge demo $(ARGS)

test: setup static ## Check, then run all tests
	@$(PY) -m pytest -n auto --dist worksteal $(ARGS)

test-ea: setup ## Run the Expert Advisor's scenarios in every mode (about half an hour)
	@$(PY) -m tests.mql5.scenarios $(ARGS)

test-windows: setup ## Run relay, terminal, client, CLI as Windows processes, under Wine on Linux
	@$(PY) -m tests.windows $(ARGS)

failpoints: $(DEV) ## Stop an order at every step of its life, by every fault, about 3 min
	@$(PY) -m tests.failpoints

journal-faults: $(DEV) ## Damage journal and ledger at every byte, kill and cut power, about 8 min
	@$(PY) -m tests.support.journal_faults $(ARGS)

chaos: $(DEV) ## Trade while real processes are killed and links cut, then judge, about 8 min
	@$(PY) -m tests.chaos $(if $(ORDERS),--orders $(ORDERS)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(TERMINAL),--terminal $(TERMINAL)) $(ARGS)

machines: $(DEV) ## Run the state machines, 10,000 examples of 50 steps of each, about 10 min
	@$(PY) -m tests.machines $(if $(SEED),--seed $(SEED)) $(ARGS)

simulate: $(DEV) ## Simulate a million orders among faults; SEED=n SEEDS=1 repeats one, TERMINAL=ea
	@$(PY) -m tests.simulation $(if $(ORDERS),--orders $(ORDERS)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(SEEDS),--seeds $(SEEDS)) $(if $(JOBS),--jobs $(JOBS)) \
	  $(if $(TERMINAL),--terminal $(TERMINAL)) $(ARGS)

check: $(DEV) static ## Format, lint, types on Linux and Windows, contract tests
	@$(PY) -m pytest -q tests/contract

bench-quick: $(DEV) ## Measure against the targets, under 60 s
	@$(PY) -m benchmarks --quick $(ARGS)

bench: $(DEV) ## Measure in full
	@$(PY) -m benchmarks $(ARGS)

bench-ea: $(DEV) ## Measure the Expert Advisor's own time, about a minute
	@$(PY) -m benchmarks.ea $(ARGS)

bench-orders: $(DEV) ## Measure what durable orders cost, and whether ticks feel it
	@$(PY) -m benchmarks.orders $(ARGS)

docs: $(DEV) ## Write the generated tables into docs/ anew
	@$(PY) -m tools.docs

coverage: setup ## Run all tests and tell which lines they left out
	@$(PY) -m coverage erase
	@$(PY) -m coverage run -m pytest $(ARGS)
	@$(PY) -m coverage combine -q
	@$(PY) -m coverage report

ea-coverage: setup ## Tell which lines of mql5/ the tests left out; fails below 90 %
	@$(PY) -m tests.mql5.scenarios.coverage $(ARGS)

clean: ## Remove what was made here, .venv included
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* \
	  htmlcov dist build benchmarks/build .mql5-build .windows-build $(NODE)/node_modules
	@find bridge tests tools benchmarks examples -name __pycache__ -prune -exec rm -rf {} + \
	  2>/dev/null || true

static: $(DEV)
	@$(PY) -m ruff format --check --output-format concise . \
	  || { echo "run: $(PY) -m ruff format ." >&2; exit 1; }
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy --no-error-summary
	@$(PY) -m mypy --no-error-summary --platform win32 --cache-dir .mypy_cache/win32

# A stamp is younger than pyproject.toml when what it stands for was installed from it.
# It is touched last, so an installation that was cut short is done again.
$(CORE): pyproject.toml
	@$(venv)
	@echo "installing into .venv ..." >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-input -e . </dev/null
	@touch $(CORE)

$(DEV): pyproject.toml
	@$(venv)
	@echo "installing into .venv, tools for development included ..." >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-input -e '.[dev]' </dev/null
	@touch $(CORE) $(DEV)

# What an interpreter takes for a little work, if it is new enough and can make .venv.
works_in_us := 'import ensurepip, sys, timeit, venv; sys.version_info < (3, 11) and sys.exit(1); \
print(int(1e6 * min(timeit.repeat("sum(len(str(i)) for i in range(20000))", number=1, repeat=99))))'

# A version manager may put names on the PATH that do not run: each is tried.
define venv
if ! $(PY) -c '' 2>/dev/null; then \
  for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3 python; do \
    for path in $$python $$(which -a $$python 2>/dev/null); do \
      us=$$($$path -c $(works_in_us) </dev/null 2>/dev/null) || continue; \
      if [ -z "$$found" ] || [ "$$us" -lt "$$least" ]; then found=$$path least=$$us; fi; \
    done; \
    if [ -n "$$found" ]; then break; fi; \
  done; \
  if [ -z "$$found" ]; then \
    echo "bridge needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv); none is on the PATH" >&2; \
    exit 1; \
  fi; \
  $$found -m venv --clear .venv; \
fi
endef

# The Node.js client is an example; without Node its test is skipped and says so.
define node_modules
if [ -f $(NODE)/package-lock.json ] && node --version >/dev/null 2>&1 && npm --version >/dev/null 2>&1; then \
  if ! [ -f $(NODE)/node_modules/.installed ] \
      || [ $(NODE)/package-lock.json -nt $(NODE)/node_modules/.installed ]; then \
    (cd $(NODE) && npm ci --silent --no-audit --no-fund --no-update-notifier </dev/null \
      && touch node_modules/.installed) \
      || echo "npm ci failed in $(NODE): the Node.js test will be skipped" >&2; \
  fi; \
fi
endef
