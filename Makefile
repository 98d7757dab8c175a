# How anything is done here. It needs make and Python 3.11 or newer; the rest is brought along or fetched once.
#   make up RUN_DIR=/tmp/other GATEWAY_PORT=0 SANDBOX_PORT=0     a second platform beside the first (0 = any free port)
#   make up REPLICAS='gateway=2 dispatcher-sms=4'                more processes of a service
#   make test T=tests/services/audience                          only these tests
.DEFAULT_GOAL := help
PY := .venv/bin/python
LOCKS := requirements.lock deploy/local/requirements.lock
TEST_LOCKS := $(LOCKS) tests/requirements.lock
PYTEST := $(PY) -m pytest
N ?= 10000

# The first Python that is new enough; PYTHON=... chooses another.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14 python3.15; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)

.PHONY: help setup setup-tests python check format lint types imports test chaos up down run people topics redrive

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

python:
	@test -n "$(PYTHON)" || { echo "carillon: Python 3.11 or newer is needed and was not found (tried python3, python3.11 and newer); make PYTHON=/path/to/python says where one is" >&2; exit 1; }

setup: python ## a virtual environment with everything needed to run
	@$(PYTHON) -m deploy.local.venv $(LOCKS)

setup-tests: python
	@$(PYTHON) -m deploy.local.venv $(TEST_LOCKS)

run: setup ## start everything, follow the logs, stop everything at Ctrl-C
	@exec $(PY) -m deploy.local run

up: setup ## start everything in the background
	@exec $(PY) -m deploy.local up

down: ## stop everything that up started
	@if test -x $(PY); then exec $(PY) -m deploy.local down; else echo "nothing was started from here"; fi

people: setup ## N=10000: generate and load people into the tenant demo-people
	@exec $(PY) -m deploy.local people $(N)

topics: setup ## create the topics that are missing
	@exec $(PY) -m deploy.local topics

redrive: setup ## SERVICE=ingest: send its dead letters round again; ARGS=--dry-run: only count them
	@exec $(PY) -m deploy.local redrive $(SERVICE) $(ARGS)

check: lint types imports ## all that needs neither Kafka nor Postgres, in under a minute
	$(PYTEST) -q -n 2 -m "not kafka and not postgres and not e2e"

format: setup-tests ## bring the code into its form
	$(PY) -m ruff check --fix-only --quiet
	$(PY) -m ruff format

lint: setup-tests ## form and style
	$(PY) -m ruff format --check
	$(PY) -m ruff check

types: setup-tests ## mypy --strict
	$(PY) -m mypy

imports: setup-tests ## who may import whom
	$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

chaos: setup-tests ## break everything in turn and count what is lost, doubled or stuck; S="F1 F4" SEED=7: only these
	@exec $(PY) -m tests.chaos $(S) $(if $(SEED),--seed $(SEED))

ifdef T
test: setup-tests ## everything that continuous integration runs; T=path: only these tests
	$(PYTEST) $(T)
else
test: lint types imports
	$(PYTEST) -n 2 --dist loadgroup
endif
