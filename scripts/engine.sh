#!/usr/bin/env bash
# A Docker engine that answers. One that already does is left alone; otherwise, as root on a
# Debian-family machine, Debian's own is installed and started; elsewhere this stops with the
# commands to run.
#
#   scripts/engine.sh          make sure that an engine answers
#   scripts/engine.sh stop     stop the engine, if this script started it
#
# Exit codes: 0 an engine answers (or was stopped), 3 none does.
set -Eeuo pipefail

started_here=/run/causeway-dockerd.pid
log=/var/log/causeway-dockerd.log
say() { printf 'engine: %s\n' "$*"; }
answers() { command -v docker >/dev/null && timeout 20 docker info >/dev/null 2>&1; }

fail() {
  printf 'engine: error: %s\n' "$1" >&2
  shift
  [ $# = 0 ] || printf '  %s\n' "$@" >&2
  exit 3
}

stop() {
  [ -f "$started_here" ] || return 0
  local pid
  pid=$(<"$started_here")
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
    kill -TERM "$pid"
    for _ in $(seq 300); do
      [ -d "/proc/$pid" ] || break
      sleep 0.1
    done
    say "stopped (pid $pid)"
  fi
  rm -f "$started_here"
}

start() {
  if [ -d /run/systemd/system ]; then
    say "starting docker.service"
    systemctl start docker
  else
    say "starting dockerd in the background (log: $log)"
    # Its own session: it outlives this shell and doesn't get its Ctrl-C.
    setsid nohup dockerd >"$log" 2>&1 </dev/null &
    echo $! >"$started_here"
  fi
  for _ in $(seq 120); do
    if answers; then
      say "Docker $(docker version --format '{{.Server.Version}}') answers"
      return
    fi
    if [ -f "$started_here" ] && [ ! -d "/proc/$(<"$started_here")" ]; then
      tail -n 20 "$log" >&2
      rm -f "$started_here"
      fail "dockerd ended at its start; its last lines are above, all of them in $log"
    fi
    sleep 0.5
  done
  fail "the engine doesn't answer after a minute; see ${log} or 'journalctl -u docker'"
}

if [ "${1:-}" = stop ]; then
  stop
  exit
fi
if answers; then
  exit
fi
if [ -n "${DOCKER_HOST:-}" ]; then
  fail "no engine answers at DOCKER_HOST=$DOCKER_HOST" "start it, or 'unset DOCKER_HOST' to use the local one"
fi
if [ "$(id -u)" != 0 ]; then
  if [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ]; then
    fail "an engine is there, but $(id -un) may not use it; run once and log in again:" \
      "sudo usermod -aG docker $(id -un)"
  fi
  fail "no Docker engine answers; run:" \
    "sudo apt-get update && sudo apt-get install -y docker.io" \
    "sudo systemctl start docker" \
    "sudo usermod -aG docker $(id -un)    # then log in again"
fi
if ! command -v dockerd >/dev/null; then
  command -v apt-get >/dev/null || fail "no Docker engine, and no apt to install one with; follow your distribution's guide, for instance:" \
    "dnf install -y docker && systemctl start docker" \
    "apk add docker && service docker start"
  echo "note: no Docker engine answers: installing Debian's docker.io"
  apt-get update -qq
  # Since Debian 13 the client is a package of its own.
  client=$(apt-cache pkgnames docker-cli)
  # shellcheck disable=SC2086 # there may be none
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq docker.io iptables $client >/dev/null 2>&1 \
    || fail "apt could not install docker.io; run this to see why:" "apt-get install -y docker.io"
  # The package starts the service itself where there is an init system.
  if answers; then
    say "Docker $(docker version --format '{{.Server.Version}}') answers"
    exit
  fi
fi
start
