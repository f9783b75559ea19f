# Causeway. `make` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO_TARGET_DIR ?= target
TRIPLE := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
DEPLOY := $(CARGO_TARGET_DIR)/deploy
OHA    := $(CARGO_TARGET_DIR)/tools/bin/oha
BENCH_VENV := $(CARGO_TARGET_DIR)/bench/venv

# What users may set on the command line.
PROJECT     ?= causeway
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

.PHONY: help deploy plan verify down ps logs lab load bench bench-quick chaos test fuzz deny sbom images engine tool chaos-tool clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make load CONNECTIONS=64 DURATION=10s METHOD=POST BODY=hello'
	@echo '  make logs SERVICE=api'
	@echo '  make lab SWARM=1                  with the overlay lesson'
	@echo "  make chaos CHAOS='--seed 7 --only kill-api,kill-mongo'"

deploy: engine ## Bring the stack up and verify it: engine, images, networks, containers
	@$(MAKE) --no-print-directory -j2 images tool
	@$(DEPLOY) -p $(PROJECT) up

plan: engine tool ## Show what `make deploy` would change
	@$(DEPLOY) -p $(PROJECT) plan

verify: tool ## Prove that the running stack's network is as drawn
	@$(DEPLOY) -p $(PROJECT) verify

down: tool ## Stop and remove the stack; its data and secrets stay
	@$(DEPLOY) -p $(PROJECT) down

ps: tool ## List the stack's containers
	@$(DEPLOY) -p $(PROJECT) ps

logs: tool ## Follow the logs of all services, or of SERVICE
	@$(DEPLOY) -p $(PROJECT) logs -f $(SERVICE)

lab: engine tool ## Learn container networking: lessons with evidence from the live engine
	@$(DEPLOY) lab run $(if $(SWARM),--allow-swarm) --report $(CARGO_TARGET_DIR)/lab-report.md

load: ## Load the published port with oha (CONNECTIONS, DURATION, METHOD, BODY); 2xx counts
	@scripts/load.sh

bench: engine images $(OHA) $(BENCH_VENV)/ready ## Measure the stack beside its peers: docs/benchmarks (BENCH, see bench/README.md)
	@$(BENCH_VENV)/bin/python bench/run.py run --oha $(OHA) --out $(if $(BENCH),$(CARGO_TARGET_DIR)/bench/some,docs/benchmarks) $(BENCH)

bench-quick: engine images $(OHA) $(BENCH_VENV)/ready ## The same in under three minutes, roughly: target/bench/quick
	@$(BENCH_VENV)/bin/python bench/run.py run --quick --oha $(OHA) --out $(CARGO_TARGET_DIR)/bench/quick $(BENCH)

chaos: ## Break a stack of its own, fault by fault, under load: docs/chaos.md (CHAOS, or CHAOS=--list)
	@scripts/chaos.sh $(CHAOS)

fuzz: ## Fuzz parsers, settings, documents and the Compose reader, FUZZ_SECONDS=40 each
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh

test: ## Run every check and test, on real parts: format, lints, unit, integration, end to end
	@scripts/test.sh

deny: ## Check the dependencies: licences, duplicates, sources, and advisories where they can be had
	@scripts/deny.sh

sbom: ## Write what each binary is made of, as CycloneDX: target/sbom
	@scripts/sbom.sh

images: engine ## Pull the base images, or assemble them where no registry answers
	@images/ensure.sh

clean: ## Remove what was built: target/, assembled images (not the stack, its data or secrets)
	@if docker info >/dev/null 2>&1; then images/ensure.sh --clean; fi
	rm -rf $(CARGO_TARGET_DIR)

engine:
	@scripts/engine.sh

# Statically linked: `deploy` also runs as the probe inside containers that hold nothing else.
# Cargo counts the processors itself: make's job slots aren't meant for it.
tool: export MAKEFLAGS =
tool: export MFLAGS =
tool:
	@scripts/packages.sh cc=gcc /usr/include/stdio.h=libc6-dev
	@RUSTFLAGS='-C target-feature=+crt-static' \
	  cargo build --quiet --locked --profile tool --target $(TRIPLE) -p deploy
	@cp -u $(CARGO_TARGET_DIR)/$(TRIPLE)/tool/deploy $(DEPLOY)

# Statically linked for the same reason: it runs as a faulty backend.
chaos-tool:
	@RUSTFLAGS='-C target-feature=+crt-static' \
	  cargo build --quiet --locked --profile tool --target $(TRIPLE) -p chaos
	@cp -u $(CARGO_TARGET_DIR)/$(TRIPLE)/tool/chaos $(CARGO_TARGET_DIR)/chaos

$(OHA):
	@scripts/oha.sh >/dev/null

$(BENCH_VENV)/ready: bench/requirements.txt
	@scripts/packages.sh python3=python3
	@python3 -c 'import ensurepip, venv' 2>/dev/null || scripts/packages.sh /nonexistent=python3-venv
	@echo 'bench: Python packages in $(BENCH_VENV)'
	@python3 -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@
