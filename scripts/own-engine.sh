#!/usr/bin/env bash
# Runs a command with a Docker engine of its own, on a machine of its own (scripts/isolated.sh): a
# stack that runs here is neither needed nor touched.
#
#   scripts/own-engine.sh [--images] COMMAND…
#
# With --images the engine inside has those of the stack, built from the sources as they are by the
# engine outside (which keeps them as causeway-test/…, so that the next time is quick), and the
# database's. What `make deploy` inside then finds is up to date.
#
# CAUSEWAY_TEST_ENGINE names another engine than this machine's: that of a Debian release, `trixie` or
# `sid`. With CAUSEWAY_TEST_USER=member, what cargo runs (tests) isn't root but an ordinary
# user who may use the engine, as members of the group `docker` are.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
images=(listener proxy api console)
# The machine at the end of a pipe is a child of this shell, and so ends with it.
shopt -s lastpipe

outside() {
  docker info >/dev/null 2>&1 || trap 'scripts/engine.sh stop' EXIT
  scripts/engine.sh
  containers/base/ensure.sh rust mongo prometheus
  scripts/steps.sh "deploy command" scripts/tool.sh deploy

  local image
  for image in "${images[@]}"; do
    export "CAUSEWAY_${image^^}_IMAGE=causeway-test/$image:latest"
  done
  "$target/deploy" --project causeway-test build
  read -r CAUSEWAY_RUST_IMAGE CAUSEWAY_MONGO_IMAGE < <(bases)
  CAUSEWAY_PROMETHEUS_IMAGE=$(scripts/setting.sh CAUSEWAY_PROMETHEUS_IMAGE)
  export CAUSEWAY_RUST_IMAGE CAUSEWAY_MONGO_IMAGE CAUSEWAY_PROMETHEUS_IMAGE
  docker save "${images[@]/#/causeway-test/}" "$CAUSEWAY_MONGO_IMAGE" "$CAUSEWAY_PROMETHEUS_IMAGE" \
    | on_its_own --load "$@"
}

# In the background, so that a signal is heeded at once.
on_its_own() {
  local machine
  setpriv --pdeathsig KILL scripts/isolated.sh "$0" --inside "$@" <&0 &
  machine=$!
  trap 'kill -TERM "$machine"' INT TERM HUP
  wait "$machine"
}

# The engine of a Debian release over this machine's /usr, for as long as this machine of its own is
# there: with its libc, which serves what was linked against an older one.
lay_over() {
  local folder
  folder=$(scripts/debian.sh --libraries "$1" docker.io docker-cli containerd runc iptables)
  mkdir -p "$ISOLATED"/usr/{upper,work}
  mount -t overlay overlay /usr \
    -o "lowerdir=$folder/usr:/usr,upperdir=$ISOLATED/usr/upper,workdir=$ISOLATED/usr/work"
}

# An ordinary user who may use the engine runs what cargo would: tests.
run_as_member() {
  local id=64000 home=$ISOLATED/member triple
  triple=$(rustc -vV | sed -n 's/^host: //p')
  local as=(setpriv --reuid "$id" --regid "$id" --groups "$(stat -c %g /var/run/docker.sock)" --inh-caps=-all)
  install --directory --owner "$id" --group "$id" "$home"
  mkdir -p "$target/tmp"
  mount --bind "$home" "$target/tmp"
  "${as[@]}" test -x "$target" || {
    echo "own-engine: error: nobody but root may enter $(realpath "$target"): tests can't be run there as anybody else" >&2
    exit 1
  }
  triple=${triple^^}
  export "CARGO_TARGET_${triple//-/_}_RUNNER=${as[*]} env HOME=$home USER=member"
}

# The base images that compose.yaml takes, by whichever settings: the builder's and the database's.
bases() {
  "$target/deploy" --json config | python3 -c '
import json, sys
services = json.load(sys.stdin)["services"]
print(services["proxy"]["build"]["args"]["RUST_IMAGE"], services["mongo"]["image"])'
}

inside() {
  local image setting user
  case "${CAUSEWAY_TEST_ENGINE:-}" in
    '' | own) ;;
    trixie | sid) lay_over "$CAUSEWAY_TEST_ENGINE" ;;
    *)
      echo "own-engine: error: CAUSEWAY_TEST_ENGINE=$CAUSEWAY_TEST_ENGINE: expected trixie, sid, or own for this machine's engine" >&2
      exit 1 ;;
  esac
  case "${CAUSEWAY_TEST_USER:-}" in
    '' | member) user=${CAUSEWAY_TEST_USER:-} ;;
    *)
      echo "own-engine: error: CAUSEWAY_TEST_USER=$CAUSEWAY_TEST_USER: expected member, or nothing for root" >&2
      exit 1 ;;
  esac
  # Settings of the user's are for the user's stack.
  for setting in $(compgen -e | grep -E '^(CAUSEWAY|PROXY|API|CONSOLE|KEEPER|COMPOSE)_|^RUST_LOG$'); do
    case "$setting" in
      CAUSEWAY_PROBE_BINARY | CAUSEWAY_RUST_IMAGE | CAUSEWAY_MONGO_IMAGE) ;;
      *) unset "$setting" ;;
    esac
  done
  scripts/engine.sh
  if [ -n "$user" ]; then run_as_member; fi
  if [ "$1" = --load ]; then
    shift
    docker load --quiet
    for image in "${images[@]}"; do
      docker tag "causeway-test/$image:latest" "causeway/$image:latest"
      docker image rm "causeway-test/$image:latest" >/dev/null
    done
    # The builder isn't handed over: what is built from it is here. Its name has to lead somewhere.
    docker tag "$CAUSEWAY_MONGO_IMAGE" "$CAUSEWAY_RUST_IMAGE"
  fi
  "$@" </dev/null
}

case "${1:-}" in
  --inside) shift; inside "$@" ;;
  --images) shift; outside "$@" ;;
  *) on_its_own "$@" ;;
esac
