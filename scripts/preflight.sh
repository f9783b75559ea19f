#!/usr/bin/env bash
# Looks for what `make deploy` needs and can't get by itself, before anything is installed, compiled or
# created. Everything that is missing or in the way is said at once, with what to run.
#
#   scripts/preflight.sh [PROJECT]   for bringing up the stack
#   scripts/preflight.sh --build     for compiling, testing, measuring
#
# Exit codes: 0 nothing stands in the way (and nothing was printed), 2 something does, 3 only that no
# engine answers and this user can't install one.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
build='' project=$(scripts/setting.sh COMPOSE_PROJECT_NAME)
case "${1:-}" in --build) build=yes ;; ?*) project=$1 ;; esac
target=${CARGO_TARGET_DIR:-target}
problems=() no_engine=''

# problem WHAT [COMMAND…]: what is wrong, and what to run.
problem() {
  local text="- $1" line
  shift
  for line in "$@"; do text+=$'\n'"    $line"; done
  problems+=("$text")
}

root() { [ "$(id -u)" = 0 ]; }
has_image() { engine image inspect "$(scripts/setting.sh "$1")" >/dev/null; }
engine() { command -v docker >/dev/null && timeout 20 docker "$@" 2>/dev/null; }

system() {
  case "$(uname -s) $(uname -m)" in
    'Linux x86_64' | 'Linux aarch64') ;;
    *) problem "this is $(uname -s) on $(uname -m); Causeway is built and tried on Linux, x86_64 and aarch64" ;;
  esac
}

tools() {
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    if [ -x "$HOME/.cargo/bin/cargo" ]; then
      problem "Rust is installed, but not on this shell's PATH; run:" ". \"$HOME/.cargo/env\""
    else
      problem "Rust $wanted or newer is missing; install it as https://rustup.rs says, then open a new shell"
    fi
  else
    have=$(rustc --version | cut -d' ' -f2)
    if [ "$(printf '%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1)" != "$wanted" ]; then
      problem "Rust is $have, and $wanted or newer is needed; run:" "rustup update stable"
    fi
  fi
  command -v git >/dev/null || problem "git is missing; run:" "$(install git)"
}

# install PACKAGE…: how this user installs packages.
install() {
  local sudo=''
  root || sudo='sudo '
  if command -v apt-get >/dev/null; then
    echo "${sudo}apt-get update && ${sudo}apt-get install -y $*"
  else
    echo "install these with your system's package manager: $*"
  fi
}

# What scripts/packages.sh would install, where this user can't.
packages() {
  local missing wanted=(cc=gcc /usr/include/stdio.h=libc6-dev)
  root && command -v apt-get >/dev/null && return
  # For base images that have to be assembled; the look-up tells a registry from a silent firewall.
  if [ -z "$no_engine" ] && ! has_image CAUSEWAY_RUST_IMAGE \
    && ! timeout 15 docker manifest inspect "$(scripts/setting.sh --default CAUSEWAY_RUST_IMAGE)" >/dev/null 2>&1; then
    wanted+=(mmdebstrap=mmdebstrap newuidmap=uidmap python3=python3
      /usr/share/keyrings/debian-archive-keyring.gpg=debian-archive-keyring)
  fi
  missing=$(scripts/packages.sh --missing "${wanted[@]}")
  [ -z "$missing" ] || problem "packages are missing; run:" "$(install "$missing")"
}

checkout() {
  local path
  for path in . "$target" .env secrets .deploy; do
    if [ -e "$path" ] && [ ! -w "$path" ]; then
      problem "$(realpath "$path") can't be written by $(id -un) (owner: $(stat -c %U "$path")); run:" \
        "sudo chown -R $(id -un): '$PWD'"
      return
    fi
  done
}

docker_engine() {
  engine info >/dev/null && return
  no_engine=yes
  if [ -n "${DOCKER_HOST:-}" ]; then
    problem "no engine answers at DOCKER_HOST=$DOCKER_HOST; start it, or run:" "unset DOCKER_HOST"
  elif root; then
    command -v dockerd >/dev/null || command -v apt-get >/dev/null \
      || problem "there is no Docker engine, and no apt to install one with; follow your distribution's guide, for instance:" \
        "dnf install -y docker && systemctl start docker" "apk add docker && service docker start"
  elif [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ]; then
    problem "a Docker engine is there, but $(id -un) may not use it; run this and log in again:" \
      "sudo usermod -aG docker $(id -un)"
  else
    problem "no Docker engine answers; run this and log in again:" \
      "$(install docker.io)" "sudo systemctl start docker" "sudo usermod -aG docker $(id -un)"
  fi
}

# What a first deploy takes and leaves, in MiB; measured, see docs/operations.md.
tool_disk=900
images_disk=6000
compile_memory=2500
run_memory=1000

resources() {
  local need_here=0 need_there=0 memory=$run_memory available docker_root here there
  [ -x "$target/deploy" ] || need_here=$tool_disk memory=$compile_memory
  engine image inspect causeway/proxy:latest causeway/api:latest causeway/console:latest >/dev/null \
    || need_there=$images_disk memory=$compile_memory
  docker_root=$(engine info --format '{{.DockerRootDir}}' || echo /var/lib/docker)
  while [ ! -e "$docker_root" ]; do docker_root=$(dirname "$docker_root"); done
  here=$(df -Pm . | awk 'NR == 2 { print $1, $4 }')
  there=$(df -Pm "$docker_root" | awk 'NR == 2 { print $1, $4 }')
  if [ "${here% *}" = "${there% *}" ]; then need_there=$((need_there + need_here)); fi
  if [ "${there#* }" -lt "$need_there" ]; then
    problem "$docker_root has ${there#* } MiB free, and about $need_there MiB are needed"
  elif [ "${here#* }" -lt "$need_here" ]; then
    problem "$PWD has ${here#* } MiB free, and about $need_here MiB are needed"
  fi
  available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
  [ "$available" -ge "$memory" ] \
    || problem "$available MiB of memory are free, and about $memory MiB are needed to $([ "$memory" = "$run_memory" ] && echo run the stack || echo compile)"
}

# Whether the engine's host is this machine, so that its ports and networks can be looked at.
engine_is_here() { case "${DOCKER_HOST:-unix:}" in unix:*) ;; *) return 1 ;; esac; }

# ports: those that are published.
ports() {
  local bind
  bind=$(scripts/setting.sh CAUSEWAY_BIND)
  port CAUSEWAY_PORT "$bind"
  port CAUSEWAY_TLS_PORT "$bind"
  port CAUSEWAY_CONSOLE_PORT 127.0.0.1
  if scripts/profile.sh observe; then port CAUSEWAY_PROMETHEUS_PORT 127.0.0.1; fi
}

# port NAME ADDRESS: that of this setting, published at this address.
port() {
  local port bind=$2 holder
  port=$(scripts/setting.sh "$1")
  if ! [[ "$port" =~ ^[0-9]{1,5}$ ]] || [ "$port" -lt 1 ] || [ "$port" -gt 65535 ]; then
    problem "$1 is '$port'; a number from 1 to 65535 is expected"
    return
  fi
  if [ -z "$no_engine" ]; then
    holder=$(engine ps --filter "publish=$port" --format '{{.Names}} {{.Label "com.docker.compose.project"}}' | head -n 1)
    case "$holder" in
      '') ;;
      *" $project") return ;;
      *) problem "port $port is published by container ${holder% *}, which is not project $project's; stop it, or take another port:" \
          "$1=$((port + 1)) make deploy"
        return ;;
    esac
  fi
  if engine_is_here && holder=$(listener "$port" "$bind"); then
    problem "port $port is in use${holder:+ by $holder}; stop it, or take another port:" \
      "$1=$((port + 1)) make deploy"
  fi
}

# listener PORT ADDRESS: whether something listens there, and what, where it can be seen.
listener() {
  local hex address inode found=1 fd pid
  hex=$(printf '%04X' "$1")
  address=$(awk -F. 'NF == 4 { printf "%02X%02X%02X%02X", $4, $3, $2, $1 }' <<<"$2")
  for inode in $(awk -v port="$hex" -v address="$address" '
      $4 == "0A" {
        split($2, local, ":")
        any = local[1] ~ /^0+$/ || address ~ /^0*$/
        if (local[2] == port && (any || local[1] == address)) print $10
      }' /proc/net/tcp /proc/net/tcp6 2>/dev/null); do
    found=0
    for fd in /proc/[0-9]*/fd/*; do
      if [ "$(readlink "$fd" 2>/dev/null)" = "socket:[$inode]" ]; then
        pid=${fd#/proc/} pid=${pid%%/*}
        echo "$(cat "/proc/$pid/comm") (process $pid)"
        return 0
      fi
    done
  done
  return "$found"
}

# network_label NETWORK LABEL
network_label() { engine network inspect "$1" --format "{{index .Labels \"$2\"}}"; }

networks() {
  local name owner whose removal
  [ -z "$no_engine" ] || return 0
  for name in console-net-1 public-net-1 private-net-1; do
    owner=$(network_label "$name" dev.causeway.project) || continue
    [ "$owner" != "$project" ] || continue
    if [ -n "$owner" ]; then
      whose="project $owner's" removal="$target/deploy -p $owner down"
    elif owner=$(network_label "$name" com.docker.compose.project) && [ -n "$owner" ]; then
      whose="of project $owner, which Docker Compose runs" removal="docker compose -p $owner down"
    else
      whose="not project $project's" removal="docker network rm $name"
    fi
    problem "network $name exists and is $whose; if nobody needs that, run:" "$removal"
  done
}

system
tools
checkout
before=${#problems[@]} lacks_engine=''
docker_engine
[ ${#problems[@]} = "$before" ] || lacks_engine=yes
packages
if [ -z "$build" ]; then
  resources
  ports
  networks
fi
[ ${#problems[@]} = 0 ] && exit
{
  echo "preflight: error: nothing was done yet; $([ ${#problems[@]} = 1 ] && echo 'this stands' || echo "these ${#problems[@]} stand") in the way:"
  printf '%s\n' "${problems[@]}"
} >&2
[ ${#problems[@]} = 1 ] && [ -n "$lacks_engine" ] && exit 3
exit 2
