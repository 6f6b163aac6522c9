# The commands of a developer. `make` alone lists the targets.
#
# Installs are recorded in stamp files inside the environment: a target whose locks have not changed does nothing.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:

PYTHON ?= python3
PORT   ?= 8000
# ROOM is one folder or file of the tests, for example: make unit ROOM=clinic. PYTEST_ARGS are for pytest, for example:
# make unit PYTEST_ARGS="-k reschedule -x". Three workers run files in parallel, each with its own PostgreSQL server;
# with JOBS=0 everything runs in one process, which a debugger needs.
ROOM ?=
PYTEST_ARGS ?=
JOBS ?= 3

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.docket
PIP   := $(BIN)/python -m pip --disable-pip-version-check --no-input
LOCKED := install --quiet --progress-bar off --no-deps --require-hashes

# The Python code that is checked, as far as it exists.
CODE := $(wildcard webapp alembic tests bench scripts hatch_build.py)
TYPED := $(wildcard webapp tests bench scripts hatch_build.py)

say  = printf '\033[1m%s\033[0m\n' "$(1)"
fail = { printf '%s\n' "$(1)" >&2; exit 1; }

.PHONY: help
help: ## Show this list
	@printf 'Docket: appointment booking for clinics.\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nVariables: ROOM=clinic, PORT=8000, PYTHON=python3, DOCKET_DATABASE_URL=postgresql://…, TEST_DATABASE_URL=postgresql://…\n'
	@printf 'Needed: git, make, and Python 3.11 or newer with venv.\n'

# ---------------------------------------------------------------------------------------------- set-up

.PHONY: install
install: $(STAMP)-install ## Make the environment; the command is then .venv/bin/docket

.PHONY: dev
dev: $(STAMP)-install ## Make the environment for developers: with the test tools, uv and watchfiles
	@$(call say,Installing the developer tools)
	@$(PIP) $(LOCKED) -r requirements/dev.txt
	@touch $(STAMP)-test

$(STAMP)-venv:
	@command -v git >/dev/null || $(call fail,Docket needs git: please install it.)
	@command -v '$(PYTHON)' >/dev/null \
		|| $(call fail,Docket needs Python 3.11 or newer: please install it or name yours with PYTHON=/path/to/python3.)
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| $(call fail,Docket needs Python 3.11 or newer but $(PYTHON) is older: please name a newer one with PYTHON=/path/to/python3.)
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null \
		|| $(call fail,Docket needs the venv module of Python: please install it (on Debian and Ubuntu: apt-get install python3-venv).)
	@$(call say,Making the environment in $(VENV))
	@'$(PYTHON)' -m venv $(VENV)
	@touch $@

$(STAMP)-base: requirements/base.txt requirements/build.txt | $(STAMP)-venv
	@$(call say,Installing the locked packages (half a minute the first time))
	@$(PIP) $(LOCKED) -r requirements/base.txt -r requirements/build.txt
	@touch $@

$(STAMP)-install: pyproject.toml hatch_build.py $(STAMP)-base
	@$(call say,Installing Docket itself)
	@$(PIP) install --quiet --progress-bar off --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMP)-test: requirements/test.txt $(STAMP)-install
	@$(call say,Installing the test tools (half a minute the first time))
	@$(PIP) $(LOCKED) -r requirements/test.txt
	@touch $@

# Always looks for a browser, because it can be removed at any time.
.PHONY: browser
browser: $(STAMP)-test
	@sh scripts/browser.sh $(BIN)/python

.PHONY: lock
lock: $(STAMP)-venv ## Update the locks after a change of dependencies (LOCK_ARGS=--upgrade takes the newest)
	@if command -v uv >/dev/null && [ ! -x $(BIN)/uv ]; then :; \
	elif [ ! -x $(BIN)/uv ]; then $(call say,Installing uv); $(PIP) install --quiet --progress-bar off uv; fi
	@$(call say,Resolving the dependencies)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh scripts/lock.sh $(LOCK_ARGS)

# ---------------------------------------------------------------------------------------------- running

.PHONY: run
run: $(STAMP)-install ## Set everything up, fill an empty database with a demo clinic, and serve it
	@exec $(BIN)/python -m scripts.run '$(PORT)'

# ---------------------------------------------------------------------------------------------- checking

.PHONY: test
test: browser lint types unit ## Set everything up, then check style and types and run every test

.PHONY: lint
lint: $(STAMP)-test ## Check style: Python, templates and the Dockerfile
	@$(call say,Style: ruff check)
	@$(BIN)/ruff check --quiet $(CODE)
	@$(call say,Style: ruff format)
	@$(BIN)/ruff format --quiet --check $(CODE) || $(call fail,Some files are not formatted: run make format.)
	@if [ -d templates ]; then $(call say,Style: djlint); $(BIN)/djlint templates --lint --quiet; fi
	@$(call say,Style: hadolint)
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint Dockerfile; fi

.PHONY: format
format: $(STAMP)-test ## Format the Python files
	@$(BIN)/ruff check --quiet --fix $(CODE) || true
	@$(BIN)/ruff format $(CODE)

.PHONY: types
types: $(STAMP)-test ## Check types with mypy
	@$(call say,Types: mypy)
	@$(BIN)/mypy --no-error-summary $(TYPED)

.PHONY: unit
unit: $(STAMP)-test ## Run the tests alone; one folder of them with ROOM=clinic
	@$(call say,Tests: pytest)
	@$(BIN)/python -m tests.postgres
	@$(BIN)/pytest -n '$(JOBS)' --dist loadfile --no-loadscope-reorder $(addprefix tests/,$(ROOM)) $(PYTEST_ARGS)

.PHONY: prove
prove: $(STAMP)-test ## Run the long proofs: no double booking, no appointment left in leave, nothing lost at a kill
	@$(BIN)/python -m bench.prove $(ARGS)

.PHONY: messages
messages: $(STAMP)-test ## Prove that messages arrive once, whatever is killed and whatever the mail server does
	@$(BIN)/python -m bench.messages $(ARGS)

.PHONY: backups
backups: $(STAMP)-test ## Prove that a backup under a hundred changes a second lacks nothing that was acknowledged
	@$(BIN)/python -m bench.backups $(ARGS)

.PHONY: sso
sso: browser ## Sign in with a real OpenID Connect provider: ARGS="--modules FOLDER", where oidc-provider is installed by npm
	@$(BIN)/python -m bench.sso $(ARGS)

.PHONY: schema
schema: $(STAMP)-test ## Send the API thousands of requests as every kind of user: each answer is as described
	@$(BIN)/python -m bench.schema $(ARGS)

.PHONY: stampede
stampede: $(STAMP)-test ## Watch many patients race for the same times
	@$(BIN)/python -m bench.stampede $(ARGS)

.PHONY: bench
bench: $(STAMP)-test ## Measure how fast Docket is
	@$(BIN)/python -m bench $(ARGS)

.PHONY: lists
lists: $(STAMP)-test ## Measure the staff pages in a large clinic
	@$(BIN)/python -m bench.lists $(ARGS)

.PHONY: availability
availability: $(STAMP)-test ## Measure the free times of 200 doctors over the API
	@$(BIN)/python -m bench.availability $(ARGS)

.PHONY: core
core: $(STAMP)-test ## Measure what pages cost compared with a bare one, with whole servers that take turns
	@$(BIN)/python -m bench.core $(ARGS)

.PHONY: sbom
sbom: $(STAMP)-test ## Write the software bill of materials (CycloneDX) to dist/docket.cdx.json
	@mkdir -p dist
	@$(BIN)/python -m scripts.sbom >dist/docket.cdx.json
	@$(call say,Wrote dist/docket.cdx.json)

.PHONY: screenshots
screenshots: browser ## Take screenshots of the pages
	@$(BIN)/python -m scripts.screenshots $(ARGS)

.PHONY: clean
clean: ## Remove everything that make made, except the data in var/
	@$(call say,Removing the environment and the files of the tools)
	@rm -rf $(VENV) dist build static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis test-results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
