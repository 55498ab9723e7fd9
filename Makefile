# Piaolian. A fresh machine needs Python 3.11 and make, nothing else: every target that runs Python
# first makes its own environment in .venv from the hash-locked requirements.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# A distribution's build first: made with profiles, it needs a tenth less of processor than one that
# a version manager compiled. It must be able to make environments.
PYTHON ?= $(shell /usr/bin/python3.11 -c 'import ensurepip, sys; print(sys.executable)' 2>/dev/null \
	|| command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
DEPENDENCIES := $(VENV)/.dependencies
INSTALLED := $(VENV)/.installed
PEERS := $(VENV)/.peers
SUPPLY := $(VENV)-supply

IMAGE ?= piaolian:local
BASE ?= python:3.11-slim-bookworm
ENGINE ?= ../shared/tools/docker-engine
SEEDS ?= 1000
DATA ?= ../shared/data/online-retail-2010-12_2011-08.csv.gz
UV_VERSION := 0.13.8

LOCK := --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	$(if $(UPGRADE),--upgrade)
# Slow tests wait for clocks and elections half of their time: more workers than cores.
WORKERS ?= 3
FAST := not slow and not compose and not soak
SLOW := slow and not compose and not soak

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Environment ------------------------------------------------------------------------------

$(DEPENDENCIES): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: -r requirements-dev.txt
	@touch $@

$(INSTALLED): $(DEPENDENCIES) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --no-index --editable .
	@touch $@

.PHONY: install
install: $(INSTALLED) ## make .venv from the locked requirements

# --- Run --------------------------------------------------------------------------------------

.PHONY: demo
demo: $(INSTALLED) ## four nodes, real invoices, a killed leader, a proof; KEEP=1 leaves them running
	$(BIN)/piaolian demo $(if $(KEEP),--keep)

.PHONY: retail
retail: $(INSTALLED) ## import the whole retail file into four nodes, twice, and compare sums; DATA=FILE
	$(BIN)/piaolian demo --full --dir .retail --data $(DATA) $(ARGS)

$(PEERS): $(DEPENDENCIES) requirements-bench.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements-bench.txt
	@touch $@

.PHONY: etcd
etcd: ## install Debian's etcd, which bench-raft measures beside ours, and its load generator
	@command -v etcd >/dev/null && command -v h2load >/dev/null \
		|| { apt-get update -q && apt-get install -y -q etcd-server nghttp2-client; }

.PHONY: bench-raft
bench-raft: $(INSTALLED) $(PEERS) etcd ## measure consensus beside PySyncObj and etcd; ARGS="--json"
	$(BIN)/python -m tests.bench.raft $(ARGS)

.PHONY: failover
failover: $(INSTALLED) ## kill 50 leaders and measure; ARGS="--steady 600" looks for needless elections
	$(BIN)/python -m tests.bench.failover $(ARGS)

.PHONY: bench
bench: $(INSTALLED) ## measure a local cluster of four; ARGS="--batch 50" and so on
	$(BIN)/piaolian bench $(ARGS)

.PHONY: bench-rejoin
bench-rejoin: $(INSTALLED) ## time until a voter with an empty folder signs again, under load and idle (6 minutes)
	$(BIN)/python -m tests.bench.rejoin $(ARGS)

.PHONY: bench-observers
bench-observers: $(INSTALLED) ## what ten observers cost the voters, as processor time a transaction (4 minutes)
	$(BIN)/python -m tests.bench.observers $(ARGS)

.PHONY: bench-raft-log
bench-raft-log: $(INSTALLED) ## size of the Raft log's file while a million invoices are issued; ARGS="--invoices 200000"
	$(BIN)/python -m tests.bench.raft_log $(ARGS)

.PHONY: bench-import
bench-import: $(INSTALLED) $(PEERS) ## read and plan a workbook of 150,000 rows beside other readers; ARGS="--rows 50000"
	$(BIN)/python -m tests.bench.imports $(ARGS)

.PHONY: bench-index
bench-index: $(INSTALLED) ## write the query index, on SQLite and on PostgreSQL where it is installed; ARGS="--invoices 50000"
	$(BIN)/python -m tests.bench.index $(ARGS)

.PHONY: bench-audit
bench-audit: $(INSTALLED) ## measure `piaolian audit` beside bare signatures; ARGS="--invoices 50000"
	$(BIN)/python -m tests.bench.audit $(ARGS)

# Debian's PDF and browser tools, which the tests of documents look with. Without the right to
# install them those tests are skipped, and in CI they fail.
.PHONY: browser-tools
browser-tools: ## install chromium, its driver and poppler-utils (Debian)
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null && command -v pdftotext >/dev/null \
		|| { apt-get update -q && apt-get install -y -q chromium chromium-driver poppler-utils; } \
		|| { [[ $${CI:-} != true ]] && echo 'browser-tools: not installed, their tests are skipped'; }

# Debian's PostgreSQL, on which the tests try the index's SQL too: they start a server of their own. Without
# the right to install it those tests are skipped, and in CI they fail.
.PHONY: postgres-tools
postgres-tools: ## install PostgreSQL's server (Debian)
	@compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null \
		|| { apt-get update -q && apt-get install -y -q --no-install-recommends postgresql; } \
		|| { [[ $${CI:-} != true ]] && echo 'postgres-tools: not installed, their tests are skipped'; }

# Go with Debian's sources of golang.org/x/mod: its note and tlog packages check our proofs. 81 MB, half
# a minute. Without the right to install them the test is skipped, in CI too: our own verifiers ran.
.PHONY: go-tools
go-tools: ## install Go and golang-golang-x-mod-dev (Debian), which check proofs beside us
	@command -v go >/dev/null && [[ -d /usr/share/gocode/src/golang.org/x/mod ]] \
		|| { apt-get update -q && apt-get install -y -q --no-install-recommends golang-go golang-golang-x-mod-dev; } \
		|| echo 'go-tools: not installed, its test is skipped'

# --- Check ------------------------------------------------------------------------------------

.PHONY: test
ifneq ($(T)$(K),)
test: $(INSTALLED) ## every test but containers and soak; T=FILE_OR_FOLDER and K=EXPRESSION run some
	$(BIN)/pytest -m 'not compose and not soak' $(if $(K),-k '$(K)') $(T)
else
test: $(INSTALLED) browser-tools postgres-tools
	$(BIN)/pytest -m '$(FAST)' -n 2 --dist worksteal
	$(BIN)/pytest -m '$(SLOW)' -n $(WORKERS) --dist loadgroup
endif

.PHONY: test-compose
test-compose: $(INSTALLED) ## the four containers of docker/compose.yaml
	@if [[ -x $(ENGINE) ]]; then $(ENGINE); fi
	@if ! docker info >/dev/null 2>&1; then \
		if [[ $${CI:-} == true ]]; then echo 'test-compose: no Docker engine answers' >&2; exit 1; fi; \
		echo 'test-compose: skipped, no Docker engine answers'; \
	else \
		$(BIN)/pytest -m compose tests/compose; \
	fi

.PHONY: outsiders
outsiders: $(INSTALLED) go-tools ## what outsiders verify: proofs, evidence, the log, also by verifiers not ours
	$(BIN)/pytest -n 2 --dist worksteal tests/chain tests/outsider tests/api/test_public_log.py \
		tests/cli/test_comparing.py tests/cli/test_network_keys.py
	$(BIN)/pytest tests/cluster/test_outsider.py

.PHONY: lint
lint: $(INSTALLED) ## format, lint, types, layer contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: check
check: lint test ## `make lint`, then `make test`

.PHONY: soak
soak: $(INSTALLED) ## simulate SEEDS=1000 Raft clusters in bad worlds
	$(BIN)/python -m tests.sim.soak --seeds $(SEEDS)

.PHONY: rejoin-model
rejoin-model: $(INSTALLED) ## search the rules of rejoining for two histories, and weaker ones, which have them
	$(BIN)/python -m tests.rejoin

.PHONY: soak-nodes
soak-nodes: $(INSTALLED) ## the long campaigns over real files and daemons
	$(BIN)/pytest -m soak --timeout 0

.PHONY: audit-flips
audit-flips: $(INSTALLED) ## flip FLIPS=200 bits in a stopped and in a killed node's folder; each is found or harmless
	FLIPS=$(or $(FLIPS),200) $(BIN)/pytest -q -s --timeout 0 tests/cluster/test_audit.py -k flipped

.PHONY: mutants
mutants: $(INSTALLED) ## plant known bugs in consensus; each must be caught; ARGS="--only NAME"
	$(BIN)/python -m tests.mutants $(ARGS)

.PHONY: coverage
coverage: $(INSTALLED) ## branches of consensus that no test takes
	$(BIN)/coverage run -m pytest -q -m 'not compose and not soak' tests/consensus tests/raftkv tests/sim tests/storage
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

# --- Maintain ---------------------------------------------------------------------------------

.PHONY: docker
docker: ## build the image; IMAGE=, BASE=
	docker build --network host --build-arg BASE=$(BASE) --tag $(IMAGE) --file docker/Dockerfile .

.PHONY: modules
modules: $(INSTALLED) ## write MODULES.md from the modules' docstrings
	$(BIN)/python -m tests.modules

.PHONY: lock
lock: ## solve the requirements again; UPGRADE=1 takes newer versions
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(VENV)-lock/bin/uv pip compile --quiet pyproject.toml $(LOCK) -o requirements.txt
	$(VENV)-lock/bin/uv pip compile --quiet pyproject.toml --group dev $(LOCK) -o requirements-dev.txt
	$(VENV)-lock/bin/uv pip compile --quiet --group pyproject.toml:bench $(LOCK) -o requirements-bench.txt
	$(VENV)-lock/bin/uv pip compile --quiet --group pyproject.toml:supply $(LOCK) -o requirements-supply.txt
	echo hatchling | $(VENV)-lock/bin/uv pip compile --quiet - --constraint requirements-dev.txt \
		$(LOCK) --no-annotate -o requirements-build.txt

$(SUPPLY)/.made: requirements-supply.txt
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: -r requirements-supply.txt
	@touch $@

.PHONY: pip-audit
pip-audit: $(SUPPLY)/.made ## known weaknesses of the locked requirements; needs the public package index
	$(SUPPLY)/bin/pip-audit --require-hashes --disable-pip --requirement requirements.txt

.PHONY: sbom
sbom: $(SUPPLY)/.made ## dist/sbom.json: what an installation is made of (CycloneDX)
	@mkdir -p dist
	$(SUPPLY)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file dist/sbom.json requirements.txt

.PHONY: clean
clean: ## remove the environment, caches and the demo's network
	rm -rf $(VENV) $(VENV)-lock $(SUPPLY) .demo .retail dist .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
