#!/usr/bin/env bash
# Runs a command beside three machines that are one Swarm: containers with an engine of their own in
# each (Debian trixie's), on a bridge of their own. They are gone with the command.
#
#   scripts/own-engine.sh scripts/swarm-bed.sh COMMAND…
#
# The stack's images that the engine around has (causeway/…) are loaded into each machine, the database's
# into the first, where its data is to be; with BED_MONGO=all into each. COMMAND finds
#
#   DOCKER_HOST   the first machine's engine, which is the manager
#   BED           a folder with each machine's socket: n1/docker.sock, n2/…, n3/…
#   BED_NODES     their addresses
#   BED_HOST      this machine's, as they see it
#
# and may kill a machine: `docker -H "$BED_AROUND" kill bed-n3`.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
image=causeway/base-node:local
nodes=(n1 n2 n3)
started=$SECONDS
say() { printf 'bed: %s (%d s)\n' "$*" $((SECONDS - started)); }
fail() { printf 'bed: error: %s\n' "$*" >&2; exit 1; }

[ $# -gt 0 ] || fail "a command is missing; usage: scripts/own-engine.sh scripts/swarm-bed.sh COMMAND…"
# Ports and images are made without asking: this isn't for an engine with somebody's stack on it.
[ -n "${ISOLATED:-}" ] || fail "run it on a machine of its own: scripts/own-engine.sh scripts/swarm-bed.sh COMMAND…"

# Called by the traps.
# shellcheck disable=SC2317
remove() {
  trap - EXIT INT TERM HUP
  unset DOCKER_HOST
  docker rm --force --volumes "${nodes[@]/#/bed-}" >/dev/null 2>&1 || true
  docker network rm bed >/dev/null 2>&1 || true
  rm -rf "$BED"
}

on() { docker --host "unix://$BED/$1/docker.sock" "${@:2}"; }

# node NAME ADDRESS: with what an engine needs, where the machine around gives it: every capability
# but one that a container may lack, and no filter.
node() {
  mkdir -p "$BED/$1"
  docker run --detach --init --name "bed-$1" --hostname "$1" --network bed --ip "$2" \
    --cap-add ALL --cap-drop SYS_RESOURCE --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --security-opt systempaths=unconfined --device-cgroup-rule 'a *:* rwm' --cgroupns private \
    --memory 4g --pids-limit 4096 \
    --volume /var/lib/docker --tmpfs /run:exec,mode=755 --volume "$BED/$1:/sock" \
    --volume "$BED/daemon.json:/etc/docker/daemon.json:ro" \
    "$image" start.sh >/dev/null
  for _ in $(seq 300); do
    if on "$1" version >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  docker exec "bed-$1" tail -n 20 /var/log/dockerd.log >&2 || docker logs "bed-$1" >&2
  fail "the engine of $1 doesn't answer within 30 s; its last lines are above"
}

load() {
  local name=$1 images=()
  mapfile -t images < <(docker image ls --format '{{.Repository}}:{{.Tag}}' 'causeway/*' \
    | grep -E '^causeway/(listener|proxy|api|console):latest$')
  if [ "$name" = n1 ] || [ "${BED_MONGO:-}" = all ]; then
    mapfile -t -O ${#images[@]} images < <(docker image ls --format '{{.Repository}}:{{.Tag}}' | grep -E '(^|/)(base-)?mongo:' || true)
  fi
  if [ ${#images[@]} -gt 0 ]; then
    docker save "${images[@]}" | on "$name" load --quiet >/dev/null
  fi
}

BED=$(mktemp -d /run/bed.XXXXXX)
# A registry of a test's own, on this machine, has no certificate.
echo '{"insecure-registries": ["10.77.0.0/24"]}' >"$BED/daemon.json"
trap remove EXIT
trap 'remove; exit 130' INT
trap 'remove; exit 143' TERM HUP
scripts/node-image.sh
say "the machines' image is there"
docker network create --subnet 10.77.0.0/24 --gateway 10.77.0.1 bed >/dev/null
jobs=() address=10 addresses=()
for name in "${nodes[@]}"; do
  address=$((address + 1))
  addresses+=("10.77.0.$address")
  { node "$name" "10.77.0.$address" && load "$name"; } &
  jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job"; done
say "three engines answer"
on n1 swarm init --advertise-addr "${addresses[0]}" >/dev/null
token=$(on n1 swarm join-token --quiet worker)
for name in "${nodes[@]:1}"; do on "$name" swarm join --token "$token" "${addresses[0]}:2377" >/dev/null; done
say "they are one Swarm"
export BED BED_NODES="${addresses[*]}" BED_HOST=10.77.0.1 BED_AROUND=unix:///var/run/docker.sock DOCKER_HOST="unix://$BED/n1/docker.sock"
status=0
"$@" &
wait $! || status=$?
exit "$status"
