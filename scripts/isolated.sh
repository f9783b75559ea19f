#!/usr/bin/env bash
# Runs a command on what is a machine of its own to it: its own network with a way out, its own
# processes, its own /run, /tmp and Docker data, bounded in memory and disk. No engine answers there
# until scripts/engine.sh starts one. Ports, networks, containers and images of the machine around
# can neither be seen nor touched from inside.
#
#   scripts/isolated.sh COMMAND…
#
# Everything of it lives in kernel namespaces and in a disk image that is unlinked once it is
# mounted. All of that is gone with the command, however it ends: done, failed, Ctrl-C, kill -9 of
# the command, of this script or of whoever called it. Only empty control groups may stay after a
# kill -9; the next call removes them.
#
#   ISOLATED_DISK_GIB   size of the disk, which takes only what is written (default 20)
#
# Inside, ISOLATED names the folder that the disk is mounted on. Exit codes: the command's; 125 when
# the machine can't be made.
set -Eeuo pipefail
here=$(dirname "$(realpath "$0")")
disk=/run/isolated
say() { printf 'isolated: %s\n' "$*" >&2; }
fail() {
  printf 'isolated: error: %s\n' "$1" >&2
  shift
  [ $# = 0 ] || printf '  %s\n' "$@" >&2
  exit 125
}

# ---- Outside -------------------------------------------------------------------------------------

outside() {
  [ "$(id -u)" = 0 ] || fail "a machine of its own takes root (namespaces, mounts, a Docker engine)" \
    "run the same command as root, for instance: sudo -E env PATH=\"\$PATH\" $0 $*"
  "$here/packages.sh" unshare=util-linux setpriv=util-linux ip=iproute2 mkfs.ext4=e2fsprogs \
    slirp4netns=slirp4netns dockerd=docker.io iptables=iptables >&2
  # Whoever calls this may be killed with no chance to clean up; this script goes with it.
  if [ "${ISOLATED_TIED:-}" != $$ ]; then
    exec env ISOLATED_TIED=$$ setpriv --pdeathsig KILL "$0" "$@"
  fi

  local folder image group gib=${ISOLATED_DISK_GIB:-20}
  folder=$(realpath -m "${CARGO_TARGET_DIR:-$here/../target}")
  mkdir -p "$folder"
  rm -f "$folder"/isolated.*
  remove_groups
  group=causeway-isolated-$$
  make_group "$group"
  image=$(mktemp "$folder/isolated.XXXXXX.img")
  truncate --size "${gib}G" "$image"
  # No journal: nothing in it outlives a crash.
  mkfs.ext4 -q -O ^has_journal -m 0 "$image" || fail "can't make a file system in $image"

  local machine network
  # `unshare` is in the new network itself, and its child the first process of the machine.
  setpriv --pdeathsig KILL unshare --mount --net --uts --ipc --pid --fork --kill-child=KILL --mount-proc \
    -- "$0" --inside "$image" "$group" "$@" <&0 &
  machine=$!
  trap 'kill -KILL "$machine" 2>/dev/null; wait "$machine" 2>/dev/null; remove_groups; rm -f "$image"; exit 130' INT TERM HUP
  until [ "$(readlink "/proc/$machine/ns/net" 2>/dev/null)" != "$(readlink /proc/$$/ns/net)" ]; do
    [ -d "/proc/$machine" ] || break
    sleep 0.02
  done
  # In user space: no interface, rule or route on this machine. It ends with the network it serves.
  setpriv --pdeathsig KILL slirp4netns --configure --mtu=65520 --disable-host-loopback "$machine" tap0 \
    >"$image.log" 2>&1 &
  network=$!

  local status=0
  wait "$machine" || status=$?
  trap - INT TERM HUP
  kill "$network" 2>/dev/null || true
  wait "$network" 2>/dev/null || true
  if [ "$status" = 125 ]; then cat "$image.log" >&2; fi
  rm -f "$image" "$image.log"
  remove_groups
  exit "$status"
}

# Where control groups are made: one hierarchy (version 2), or one for each controller.
hierarchies() {
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    awk '$3 == "cgroup" { print $2 }' /proc/mounts
  fi
}

# Half of the memory, and a bound on processes, for all containers together.
make_group() {
  local hierarchy bytes
  bytes=$(awk '/^MemTotal:/ { printf "%d", $2 * 512 }' /proc/meminfo)
  for hierarchy in $(hierarchies); do
    case "$hierarchy" in
      /sys/fs/cgroup)
        echo '+memory +pids' >"$hierarchy/cgroup.subtree_control"
        mkdir "$hierarchy/$1"
        echo "$bytes" >"$hierarchy/$1/memory.max"
        echo 8192 >"$hierarchy/$1/pids.max" ;;
      */memory) mkdir "$hierarchy/$1"; echo "$bytes" >"$hierarchy/$1/memory.limit_in_bytes" ;;
      */pids) mkdir "$hierarchy/$1"; echo 8192 >"$hierarchy/$1/pids.max" ;;
    esac
  done
}

# Removes the groups that no process is in, of this run and of any that was killed.
remove_groups() {
  local hierarchy group
  for hierarchy in $(hierarchies); do
    for group in "$hierarchy"/causeway-isolated-*/; do
      find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    done
  done
}

# ---- Inside --------------------------------------------------------------------------------------

inside() {
  local image=$1 group=$2
  shift 2
  own_sys
  # As on a machine whose init did it: containers may see what is mounted later.
  mount --make-rshared /
  local resolver
  resolver=$(realpath -m /etc/resolv.conf)
  mount -t tmpfs -o mode=755,size=256m tmpfs /run
  mkdir -m 1777 /run/lock
  mkdir "$disk"
  mount -o loop "$image" "$disk" \
    || fail "can't mount a disk image: this needs a loop device (/dev/loop-control)"
  rm -f "$image"
  mkdir -p "$disk"/{docker,log} /var/lib/docker /etc/docker
  mkdir -m 1777 "$disk/tmp"
  mount --bind "$disk/docker" /var/lib/docker
  mount --bind "$disk/log" /var/log
  mount -t tmpfs -o mode=755,size=1m tmpfs /etc/docker
  printf '{"cgroup-parent": "/%s", "exec-opts": ["native.cgroupdriver=cgroupfs"]}\n' "$group" \
    >/etc/docker/daemon.json
  mkdir -p "$(dirname "$resolver")"
  echo 'nameserver 10.0.2.3' >"$disk/resolv.conf"
  [ -e "$resolver" ] || touch "$resolver"
  mount --bind "$disk/resolv.conf" "$resolver"

  ip link set lo up
  local tries=0
  until ip route show default | grep -q tap0; do
    tries=$((tries + 1))
    [ "$tries" -lt 500 ] || fail "the machine got no network from slirp4netns within 10 s"
    sleep 0.02
  done

  # The client's settings of the user around may name another engine.
  unset DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH ISOLATED_TIED
  mkdir "$disk/docker-client"
  export DOCKER_CONFIG=$disk/docker-client TMPDIR=$disk/tmp ISOLATED=$disk
  trap 'exit 130' INT TERM HUP
  # Not exec: this shell is the first process, and takes care of those that lose their parent.
  local status=0
  "$@" || status=$?
  exit "$status"
}

# /sys of the own network, with everything that is mounted below the one around.
own_sys() {
  local old=/mnt target
  mount --rbind /sys "$old"
  mount -t sysfs sysfs /sys
  awk -v old="$old/" 'index($2, old) == 1 { print substr($2, length(old) + 1) }' /proc/mounts \
    | while read -r target; do
      case "$target" in
        */*/*) ;; # comes along with the one that it is in
        *) mount --rbind "$old/$target" "/sys/$target" ;;
      esac
    done
  umount --recursive --lazy "$old"
}

case "${1:-}" in
  '') fail "a command is missing; usage: scripts/isolated.sh COMMAND…" ;;
  --inside) shift; inside "$@" ;;
  *) outside "$@" ;;
esac
