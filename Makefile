# Causeway. `make` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO_TARGET_DIR ?= target
DEPLOY := $(CARGO_TARGET_DIR)/deploy
OHA    := $(CARGO_TARGET_DIR)/tools/bin/oha
# Killed with make, if that is killed with no chance to end it.
TIED   := setpriv --pdeathsig KILL
BENCH_VENV := $(CARGO_TARGET_DIR)/bench/venv

# What users may set on the command line.
PROJECT     ?=
FLAGS       ?=
PROFILE     ?=
SERVICE     ?=
SWARM       ?=
CONNECTIONS ?= 64
DURATION    ?= 10s
METHOD      ?= GET
BODY        ?=
# For scripts/load.sh, as they were given: a dollar sign in them is no variable of make's.
$(foreach name,CONNECTIONS DURATION METHOD BODY,$(eval override $(name) := $$(value $(name))))
export CONNECTIONS DURATION METHOD BODY
BENCH       ?=
FUZZ_SECONDS ?= 40
CHAOS       ?=
COLD        ?= bookworm
ENGINE      ?= trixie
AS          ?=

# PROFILE=observe, for what reads COMPOSE_PROFILES: scripts, deploy, Compose.
ifneq ($(PROFILE),)
export COMPOSE_PROFILES := $(PROFILE)
endif

# Where no PROJECT is given, `deploy` finds the name as Compose does.
NAMED       := $(PROJECT:%=-p %)

.PHONY: help deploy plan console verify down ps logs lab load bench bench-quick chaos check test test-engine test-cold fuzz deny sbom images engine tool clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make load CONNECTIONS=64 DURATION=10s METHOD=POST BODY=hello'
	@echo '  make logs SERVICE=api'
	@echo '  make deploy FLAGS=--take-over     flags of the deploy command: deploy, plan, down, console'
	@echo '  make deploy PROFILE=observe       with Prometheus: docs/metrics.md'
	@echo '  make lab SWARM=1                  with the overlay lesson, on an engine of its own'
	@echo "  make chaos CHAOS='--seed 7 --only kill-api,kill-mongo'"
	@echo '  make chaos CHAOS=--attacks        many clients that misbehave: docs/attacks.md'

deploy: ## Bring the stack up and verify it: engine, images, networks, containers
	@scripts/deploy.sh "$(PROJECT)" $(FLAGS)

plan: engine tool ## Show what `make deploy` would change
	@$(DEPLOY) $(NAMED) plan $(FLAGS)

console: tool ## Open the console, where what was recorded can be seen: requests, live, the stack
	@$(DEPLOY) $(NAMED) console $(FLAGS)

verify: tool ## Prove that the running stack's network is as drawn
	@$(DEPLOY) $(NAMED) verify

down: tool ## Stop and remove the stack; its data and secrets stay
	@$(DEPLOY) $(NAMED) down $(FLAGS)

ps: tool ## List the stack's containers
	@$(DEPLOY) $(NAMED) ps

logs: tool ## Follow the logs of all services, or of SERVICE
	@$(DEPLOY) $(NAMED) logs -f $(SERVICE)

lab: engine tool ## Learn container networking: lessons with evidence from the live engine
ifeq ($(SWARM),)
	@$(DEPLOY) lab run --report $(CARGO_TARGET_DIR)/lab-report.md
else
	@$(TIED) scripts/own-engine.sh $(DEPLOY) lab run --allow-swarm --report $(CARGO_TARGET_DIR)/lab-report.md
endif

load: ## Load the published port with oha (CONNECTIONS, DURATION, METHOD, BODY); 2xx counts
	@scripts/load.sh

bench: engine images tool $(OHA) $(BENCH_VENV)/ready ## Measure the stack beside its peers: docs/benchmarks (BENCH, see bench/README.md)
	@$(BENCH_VENV)/bin/python bench/run.py run --oha $(OHA) --deploy $(DEPLOY) --out $(if $(BENCH),$(CARGO_TARGET_DIR)/bench/some,docs/benchmarks) $(BENCH)

bench-quick: engine images tool $(OHA) $(BENCH_VENV)/ready ## The same in under three minutes, roughly: target/bench/quick
	@$(BENCH_VENV)/bin/python bench/run.py run --quick --oha $(OHA) --deploy $(DEPLOY) --out $(CARGO_TARGET_DIR)/bench/quick $(BENCH)

chaos: ## Break a stack of its own, fault by fault, under load: docs/chaos.md (CHAOS, or CHAOS=--list)
	@$(TIED) scripts/chaos.sh $(CHAOS)

fuzz: ## Fuzz parsers, settings, documents and the Compose reader, FUZZ_SECONDS=40 each
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh

check: ## Format, lints, documents and unit tests: the loop for a change; no engine, seconds when warm
	@scripts/test.sh --check

test: ## Run every check and test, on real parts: format, lints, unit, integration, end to end
	@$(TIED) scripts/test.sh

test-engine: ## Run deploy's tests on another Docker engine (ENGINE=trixie, sid or own; AS=member: not as root)
	@$(TIED) scripts/test.sh --engine $(ENGINE) $(AS)

test-cold: ## Both README commands on a bare Debian with only Rust, git and make (COLD=trixie), with their times
	@$(TIED) scripts/test-cold.sh $(COLD)

deny: ## Check the dependencies: licences, duplicates, sources, and advisories where they can be had
	@scripts/deny.sh

sbom: ## Write what each binary is made of, as CycloneDX: target/sbom
	@scripts/sbom.sh

images: engine ## Pull the base images, or assemble them where no registry answers
	@containers/base/ensure.sh

clean: ## Remove what was built: target/, images, build stages (not the stack, its data or secrets)
	@scripts/clean.sh

engine:
	@scripts/engine.sh

tool:
	@scripts/steps.sh "deploy command" scripts/tool.sh deploy

$(OHA):
	@scripts/oha.sh

$(BENCH_VENV)/ready: bench/requirements.txt
	@scripts/packages.sh python3=python3
	@python3 -c 'import ensurepip, venv' 2>/dev/null || scripts/packages.sh /nonexistent=python3-venv
	@echo 'bench: Python packages in $(BENCH_VENV)'
	@python3 -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@
