#!/usr/bin/env bash
# Makes sure that images of others are there: the official ones where a container registry answers,
# otherwise ones that assemble.sh makes. Which of those are in use is written to .env, where compose.yaml
# (through `deploy` and `docker compose` alike) finds them.
#
#   containers/base/ensure.sh [rust|mongo|prometheus]…
#                                       pull, or assemble what is missing: what is named, otherwise the Rust
#                                       builder and mongo, which every stack needs
#   containers/base/ensure.sh --clean   remove the assembled images and forget them
#
# Calls may run side by side.
set -Eeuo pipefail
cd "$(dirname "$0")/../.."
self=containers/base/${0##*/}

declare -A assembled=([rust]=causeway/base-rust:local [mongo]=causeway/base-mongo:local [prometheus]=causeway/base-prometheus:local)
declare -A variable=([rust]=CAUSEWAY_RUST_IMAGE [mongo]=CAUSEWAY_MONGO_IMAGE [prometheus]=CAUSEWAY_PROMETHEUS_IMAGE)
pull_timeout=${PULL_TIMEOUT:-600}
env_file=$(realpath -m .env)

say() { printf 'images: %s\n' "$*"; }
fail() { printf 'images: error: %s\n' "$*" >&2; exit 1; }
have() { docker image inspect "$1" >/dev/null 2>&1; }

# run COMMAND…: so that a signal ends it now, not when it is done.
jobs=()
run() {
  "$@" &
  jobs+=($!)
  wait $!
}
stop() {
  kill "${jobs[@]}" 2>/dev/null || true
  wait
  exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM HUP

setting() { scripts/setting.sh --set "$1"; }

# set_env NAME [VALUE]: sets it in .env, or removes it; every other line, the file's mode and its
# owner stay, those of an emptied file too. One writer at a time, and readers see the old file or
# the new one.
set_env() (
  umask=$(umask)
  umask 077
  exec 9<. && flock 9
  line=${2+$1=$2}
  if [ -f "$env_file" ]; then
    [ "$(grep "^$1=" "$env_file")" != "$line" ] || exit 0
  elif [ -z "$line" ]; then
    exit 0
  fi
  new=$(mktemp "$(dirname "$env_file")/.$(basename "$env_file").XXXXXX.new")
  trap 'rm -f "$new"' EXIT
  if [ -f "$env_file" ]; then
    { grep -v "^$1=" "$env_file" || [ $? = 1 ]; } >"$new"
    chown --reference="$env_file" "$new" 2>/dev/null || say "$env_file is $(id -un)'s now: only root can leave it its owner"
    chmod --reference="$env_file" "$new"
  else
    chmod "$(printf %o $((0666 & ~umask)))" "$new"
  fi
  [ -z "$line" ] || printf '%s\n' "$line" >>"$new"
  sync "$new"
  mv "$new" "$env_file"
)

# A registry that doesn't exist fails at once; one behind a silent firewall would hang for
# minutes. A manifest lookup tells the two from a slow but working download.
registry_has() { timeout 15 docker manifest inspect "$1" >/dev/null 2>&1; }

pull() {
  local attempt
  for attempt in 1 2 3; do
    say "pulling $1"
    run timeout "$pull_timeout" docker pull "$1" && return
    [ "$attempt" = 3 ] || sleep 5
  done
  fail "pulling $1 failed three times or took over ${pull_timeout}s (PULL_TIMEOUT): try again, or name another image in .env ($2=…)"
}

ensure() {
  local theirs ours=${assembled[$1]} name=${variable[$1]} chosen
  theirs=$(scripts/setting.sh --default "$name")
  chosen=$(setting "$name")
  case "$chosen" in
    "$ours") ;;
    "")
      have "$theirs" && return
      if registry_has "$theirs"; then
        pull "$theirs" "$name"
        return
      fi
      echo "note: no container registry answers: assembling $ours instead of pulling $theirs"
      ;;
    *)
      say "$1: $chosen, as $name says"
      return
      ;;
  esac
  have "$ours" || run containers/base/assemble.sh "$1" "$ours"
  set_env "$name" "$ours"
}

clean() {
  local what image
  # base-debian: what earlier versions built the two on.
  for image in "${assembled[@]}" causeway/base-debian:local; do
    have "$image" || continue
    if docker image rm "$image" >/dev/null; then say "removed $image"; fi
  done
  for what in "${!variable[@]}"; do
    [ "$(setting "${variable[$what]}")" != "${assembled[$what]}" ] || set_env "${variable[$what]}"
  done
}

if [ "${1:-}" = --clean ]; then
  clean
  exit
fi
for what in "$@"; do
  [ -n "${assembled[$what]:-}" ] || fail "unknown image '$what': rust, mongo or prometheus"
done
docker version >/dev/null 2>&1 || fail "no Docker engine answers: run scripts/engine.sh"

case $# in
  1) ensure "$1" ;;
  *)
    [ $# != 0 ] || set -- rust mongo
    for what in "$@"; do
      "$self" "$what" &
      jobs+=($!)
    done
    result=0
    for job in "${jobs[@]}"; do wait "$job" || result=$?; done
    exit "$result"
    ;;
esac
