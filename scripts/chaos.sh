#!/usr/bin/env bash
# `make chaos`: the real stack under faults. Starts an engine where none answers, and only then lets
# the suite restart it; what was not there before is gone afterwards. Arguments go to the suite.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

engine_was_up=$(docker info >/dev/null 2>&1 && echo yes || echo no)
cleanup() {
  if [ "$engine_was_up" = no ]; then
    scripts/engine.sh stop
  fi
}
trap cleanup EXIT

scripts/packages.sh cc=gcc /usr/include/stdio.h=libc6-dev iptables=iptables nsenter=util-linux mkfs.ext4=e2fsprogs
scripts/engine.sh
images/ensure.sh
make --no-print-directory tool chaos-tool
options=()
if [ "$engine_was_up" = no ] && [ -z "${DOCKER_HOST:-}" ]; then
  options+=(--own-engine)
fi
"$target/chaos" --deploy "$target/deploy" --out "$target/chaos-report" "${options[@]}" "$@"
