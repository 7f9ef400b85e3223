# Everything a newcomer needs; `make` alone lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help run test test-fast demo lint schema acceptance bench-delivery bench-pipeline bench-ledger clean

# HOST, PORT and every other name of .env.example may be given in the environment or as make's own
# variables: `make run PORT=2002`.
export

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/runtime: requirements.txt
	@echo "Installing the pinned requirements into $(VENV) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/runtime
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

run: $(VENV)/runtime ## start the service: web server and worker on http://127.0.0.1:2001
	@$(BIN)/python -m config.bootstrap
	@$(BIN)/python manage.py migrate --no-input --verbosity 0
	@$(BIN)/python manage.py seed --verbosity 0
	@exec $(BIN)/python manage.py serve

demo: $(VENV)/runtime ## tell the whole story against the running service
	@$(BIN)/python manage.py demo

# Compiled tests are kept between runs, even where the environment says otherwise: it saves seconds.
test test-fast: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/dev ## run the whole suite
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(ARGS)

test-fast: $(VENV)/dev ## run the tests that start neither FFmpeg nor another process
	@$(BIN)/python -m pytest -n auto --dist loadgroup -m "not programs" $(ARGS)

lint: $(VENV)/dev ## check style, formatting and the direction of imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache

schema: $(VENV)/runtime ## check the OpenAPI document
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

acceptance: $(VENV)/runtime ## write the page of promises about money and the tests that hold them
	@$(BIN)/python -m config.tests.acceptance

bench-delivery: $(VENV)/dev ## measure delivery against raw nginx
	@$(BIN)/python benchmarks/delivery.py

bench-pipeline: $(VENV)/dev ## measure processing against bare ffmpeg
	@$(BIN)/python benchmarks/pipeline.py

bench-ledger: $(VENV)/dev ## measure the books at a million transfers
	@$(BIN)/python benchmarks/ledger.py

clean: ## remove the virtual environment (not your data)
	@rm -rf $(VENV)
