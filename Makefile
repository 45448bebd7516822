# From nothing: Python 3.11 with pip is enough. `make demo` and `make test` make their own environment first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STAMP_E2E := $(VENV)/.installed-e2e
# Many tests wait for what is real, so they run beside each other; 0: one after the other.
WORKERS ?= 2

.PHONY: help install demo test check e2e e2e-install e2e-packages proof proof-schedules proof-processes proof-packages soak clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(STAMP) ## make the virtual environment with the exact versions of constraints.txt

# Debian without python3-venv has no ensurepip: then the system's pip installs into the environment.
$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV); "$(PYTHON)" -m venv --without-pip $(VENV); }
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then PIP="$(BIN)/python -m pip"; else PIP="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
	  echo "installing the exact versions of constraints.txt into $(VENV) ..."; \
	  $$PIP install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,npm]'
	@touch $@

demo: install ## a whole store and a cloud on this machine; prints two addresses; Ctrl-C stops everything
	@$(BIN)/zhanggui demo $(ARGS)

test: install ## the test suite; needs pip alone
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

check: install ## lint, types, floors, documents
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest tests/house $(ARGS)

e2e-packages: ## what the browser tests need from Debian (root)
	@command -v chromium >/dev/null && fc-list 2>/dev/null | grep -qi 'noto.*cjk' && ldconfig -p | grep -q libzbar || \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium fonts-noto-cjk fontconfig libzbar0 >/dev/null; }

e2e-install: $(STAMP_E2E) e2e-packages ## all that the browser tests need (root)

$(STAMP_E2E): $(STAMP)
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then PIP="$(BIN)/python -m pip"; else PIP="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
	  $$PIP install --quiet --disable-pip-version-check -c constraints.txt -e '.[e2e,zbar]'
	@touch $@

e2e: e2e-install ## the pages in a real browser
	@$(BIN)/python -m pytest -m e2e -n $(WORKERS) --dist worksteal tests/e2e $(ARGS)

proof-packages: ## what the proofs need from Debian (root): a broker that knows shared subscriptions, a Modbus host
	@{ command -v mosquitto >/dev/null || test -x /usr/sbin/mosquitto; } && command -v mbpoll >/dev/null && test -e /usr/include/linux/input-event-codes.h || \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends mosquitto mbpoll linux-libc-dev >/dev/null; }

# What is not installed is left out of `make test`; where something is to be proven, it is a failure.
proof: proof-schedules proof-processes ## minutes of faults: thousands of simulated schedules, and real processes that are killed

# In virtual time nothing is late, however full the machine is; real processes have it to themselves.
proof-schedules: install ## the first half: simulated schedules and planted bugs
	@ZHANGGUI_MUST=1 $(BIN)/python -m pytest -m "proof and not soak" -n 2 --dist worksteal --ignore tests/processes --ignore tests/edge $(ARGS)

proof-processes: install proof-packages ## the second half: a broker, bridges, a database and stores that die at random
	@ZHANGGUI_MUST=1 $(BIN)/python -m pytest -m "proof and not soak" tests/processes tests/edge $(ARGS)

soak: install proof-packages ## longer runs; not part of the gate
	@ZHANGGUI_MUST=1 $(BIN)/python -m pytest -m soak $(ARGS)

clean: ## forget the environment and everything a demo wrote
	rm -rf $(VENV) var
