#!/usr/bin/env bash
# `make test`: every check and test, on real parts. Installs what it lacks, starts an engine where
# none answers, and leaves the machine as it found it: no container, network, volume or process
# of its own stays. Images and target/ stay, so that the next run is quick.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
# What lets a second build of the same crate be quick makes the first one slower.
if [ "${CI:-}" = true ]; then export CARGO_INCREMENTAL=0; fi

step() { printf '\n\033[1m== %s\033[0m (%ds)\n' "$*" "$SECONDS"; }

engine_was_up=$(docker info >/dev/null 2>&1 && echo yes || echo no)
cleanup() {
  # By our own label: also what a test left behind that was ended half way.
  docker ps --all --quiet --filter label=dev.causeway.test=1 2>/dev/null \
    | xargs -r docker rm --force --volumes >/dev/null
  if [ "$engine_was_up" = no ]; then
    scripts/engine.sh stop
  fi
}
trap cleanup EXIT

step packages
scripts/packages.sh cc=gcc /usr/include/stdio.h=libc6-dev cmake=cmake pkg-config=pkg-config \
  python3=python3 busybox=busybox-static docker-registry=docker-registry docker-compose=docker-compose \
  git=git curl=curl ip=iproute2 iptables=iptables nsenter=util-linux strip=binutils
python3 -c 'import ensurepip, venv' 2>/dev/null || scripts/packages.sh /nonexistent=python3-venv
PATH=$PATH:$(scripts/cargo-tool.sh nextest)

step "format and lints"
cargo fmt --all --check
cargo clippy --quiet --locked --workspace --all-targets -- -D warnings

step "documents and dependencies"
scripts/check-docs.py
scripts/deny.sh

step "engine and base images"
scripts/engine.sh
images/ensure.sh

step "build"
make --no-print-directory tool
export CAUSEWAY_PROBE_BINARY
CAUSEWAY_PROBE_BINARY=$(realpath "$target/deploy")
cargo nextest run --locked --workspace --no-run

step "unit and integration tests"
# One mongod for the tests that only need some mongod; those that stop one start their own.
CAUSEWAY_MONGO_IMAGE=$(sed -n 's/^CAUSEWAY_MONGO_IMAGE=//p' .env 2>/dev/null | tail -n 1)
export CAUSEWAY_MONGO_IMAGE=${CAUSEWAY_MONGO_IMAGE:-mongo:7.0.28}
mongo=$(docker run --detach --label dev.causeway.test=1 --publish 127.0.0.1::27017 \
  "$CAUSEWAY_MONGO_IMAGE" mongod --quiet --wiredTigerCacheSizeGB 0.5)
timeout 120 bash -c "until docker exec $mongo mongosh --quiet --eval 'db.runCommand({ping: 1})' >/dev/null 2>&1; do :; done"
export TEST_MONGO_URI="mongodb://$(docker port "$mongo" 27017/tcp | head -n 1)"
cargo nextest run --locked --workspace
python3 -m unittest discover --start-directory bench/tests --top-level-directory bench

step "end to end"
cargo nextest run --locked --profile e2e --workspace

step "done"
