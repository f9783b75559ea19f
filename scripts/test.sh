#!/usr/bin/env bash
# `make test`: every check and test, on real parts. Installs what it lacks. Whatever needs a Docker
# engine has one of its own (scripts/isolated.sh), which gets the images from yours: a stack that runs
# here, its names, ports and networks are neither needed nor touched. Nothing stays but target/ and
# images, so that the next run is quick.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
# Killed with whoever called it, so that nothing goes on unseen.
if [ "${TEST_TIED:-}" != $$ ]; then
  scripts/packages.sh setpriv=util-linux
  exec env TEST_TIED=$$ setpriv --pdeathsig KILL "$0" "$@"
fi
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# What lets a second build of the same crate be quick makes the first one slower.
if [ "${CI:-}" = true ]; then export CARGO_INCREMENTAL=0; fi
export CAUSEWAY_PROBE_BINARY=$target/deploy

step() { printf '\n\033[1m== %s\033[0m (%ds)\n' "$*" "$SECONDS"; }

# Images of the tests' own, from the same sources and through the same layers as those that are deployed.
images=(listener proxy api)

outside() {
  local engine_was_up
  engine_was_up=$(docker info >/dev/null 2>&1 && echo yes || echo no)
  trap '[ "$engine_was_up" = yes ] || scripts/engine.sh stop' EXIT

  step packages
  scripts/packages.sh cc=gcc /usr/include/stdio.h=libc6-dev cmake=cmake pkg-config=pkg-config \
    python3=python3 busybox=busybox-static docker-registry=docker-registry docker-compose=docker-compose \
    git=git curl=curl ip=iproute2 iptables=iptables nsenter=util-linux strip=binutils
  python3 -c 'import ensurepip, venv' 2>/dev/null || scripts/packages.sh /nonexistent=python3-venv
  PATH=$PATH:$(scripts/cargo-tool.sh nextest)

  step "format and lints"
  cargo fmt --all --check
  cargo clippy --quiet --locked --workspace --all-targets -- -D warnings

  step "documents, dependencies, benchmark harness"
  scripts/check-docs.py
  scripts/deny.sh
  python3 -m unittest discover --start-directory bench/tests --top-level-directory bench

  step "build"
  make --no-print-directory tool
  cargo nextest run --locked --workspace --no-run

  step "engine and images"
  scripts/engine.sh
  images/ensure.sh
  local image kept
  for image in "${images[@]}"; do
    export "CAUSEWAY_${image^^}_IMAGE=causeway-test/$image:latest"
  done
  "$target/deploy" --project causeway-test build
  read -r CAUSEWAY_RUST_IMAGE CAUSEWAY_MONGO_IMAGE < <(bases)
  export CAUSEWAY_RUST_IMAGE CAUSEWAY_MONGO_IMAGE
  kept=("${images[@]/#/causeway-test/}")
  docker save "${kept[@]/%/:latest}" "$CAUSEWAY_MONGO_IMAGE" | scripts/isolated.sh "$0" --inside

  step "done"
}

# The base images that compose.yaml takes, by whichever settings: the builder's and the database's.
bases() {
  "$target/deploy" --json config | python3 -c '
import json, sys
services = json.load(sys.stdin)["services"]
print(services["proxy"]["build"]["args"]["RUST_IMAGE"], services["mongo"]["image"])'
}

# On a machine of its own, with a tar archive of images as standard input. All that is made here goes
# with it.
inside() {
  local image mongo setting
  # Settings of the user's are for the user's stack.
  for setting in $(compgen -e | grep -E '^(CAUSEWAY|PROXY|API|COMPOSE)_|^RUST_LOG$'); do
    case "$setting" in
      CAUSEWAY_PROBE_BINARY | CAUSEWAY_RUST_IMAGE | CAUSEWAY_MONGO_IMAGE) ;;
      *) unset "$setting" ;;
    esac
  done
  scripts/engine.sh
  docker load --quiet
  for image in "${images[@]}"; do
    docker tag "causeway-test/$image:latest" "causeway/$image:latest"
    docker image rm "causeway-test/$image:latest" >/dev/null
  done

  step "unit and integration tests"
  # One mongod for the tests that only need some mongod; those that stop one start their own.
  mongo=$(docker run --detach --label dev.causeway.test=1 --publish 127.0.0.1::27017 \
    "$CAUSEWAY_MONGO_IMAGE" mongod --quiet --wiredTigerCacheSizeGB 0.5)
  timeout 120 bash -c "until docker exec $mongo mongosh --quiet --eval 'db.runCommand({ping: 1})' >/dev/null 2>&1; do :; done"
  TEST_MONGO_URI="mongodb://$(docker port "$mongo" 27017/tcp | head -n 1)"
  export TEST_MONGO_URI
  cargo nextest run --locked --workspace </dev/null

  step "end to end"
  cargo nextest run --locked --profile e2e --workspace </dev/null
}

case "${1:-}" in
  '') outside ;;
  --inside) inside ;;
esac
