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
# the command or of this script (callers who want to take it with them when they are killed prefix
# `setpriv --pdeathsig KILL`). Only empty control groups and a log may stay after a kill -9; the next
# call removes them.
#
#   ISOLATED_DISK_GIB   size of the disk, which takes only what is written (default 20)
#
# Inside, ISOLATED names the folder that the disk is mounted on. Exit codes: the command's; 125 when
# the machine can't be made.
set -Eeuo pipefail
here=$(dirname "$(realpath "$0")")
disk=/run/isolated
machine='' network='' image='' group=''
fail() {
  printf 'isolated: error: %s\n' "$1" >&2
  shift
  [ $# = 0 ] || printf '  %s\n' "$@" >&2
  exit 125
}

# ---- Outside -------------------------------------------------------------------------------------

outside() {
  [ "$(id -u)" = 0 ] || fail "a machine of its own takes root (namespaces, mounts, a Docker engine)" \
    "run the same command as root, in a target folder of its own so that nothing here becomes root's:" \
    "sudo env PATH=\"\$PATH\" CARGO_TARGET_DIR=/var/tmp/causeway-target …"
  "$here/packages.sh" unshare=util-linux setpriv=util-linux ip=iproute2 mkfs.ext4=e2fsprogs \
    slirp4netns=slirp4netns dockerd=docker.io iptables=iptables >&2
  unshare --mount --net --uts --ipc --pid --fork --mount-proc true \
    || fail "this machine, or the container that this runs in, allows no new namespaces; the reason is above"
  local folder gib=${ISOLATED_DISK_GIB:-20}
  folder=$(realpath -m "${CARGO_TARGET_DIR:-$here/../target}")
  mkdir -p "$folder"
  image=$(mktemp "$folder/isolated.$$.XXXXXX.img")
  remove_forsaken "$folder"
  # The random part keeps machines within machines apart, whose processes may bear the same number.
  group=causeway-$(basename "$image" .img)
  trap 'stop $?' EXIT
  make_group "$group"
  truncate --size "${gib}G" "$image"
  # No journal: nothing in it outlives a crash.
  mkfs.ext4 -q -O ^has_journal -m 0 "$image" || fail "can't make a file system in $image"

  # `unshare` is in the new network itself, and its child the first process of the machine.
  setpriv --pdeathsig KILL unshare --mount --net --uts --ipc --pid --fork --kill-child=KILL --mount-proc \
    -- "$0" --inside "$image" "$group" "$@" <&0 &
  machine=$!
  # Ctrl-C reaches the command too, which may have something to say before it ends.
  trap 'for _ in $(seq 100); do kill -0 "$machine" 2>/dev/null || break; sleep 0.1; done; stop 130' INT
  trap 'stop 143' TERM HUP
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
  machine=''
  if [ "$status" = 125 ]; then cat "$image.log" >&2; fi
  stop "$status"
}

# stop STATUS: ends the machine, if it is still there, and clears up after it.
stop() {
  trap - EXIT INT TERM HUP
  # shellcheck disable=SC2086 # either may not be there
  kill -KILL $machine $network 2>/dev/null || true
  wait 2>/dev/null || true
  rm -f "$image" "$image.log"
  remove_group "$group"
  exit "$1"
}

# Where control groups are made: one hierarchy (version 2), or one for each controller.
hierarchies() {
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    awk '$3 == "cgroup" && $2 ~ "^/sys/fs/cgroup/" { print $2 }' /proc/mounts | sort -u
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

remove_group() {
  local hierarchy
  for hierarchy in $(hierarchies); do
    find "$hierarchy/$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
}

# What runs left that were killed. On a machine within one, process numbers say nothing about others.
remove_forsaken() {
  local hierarchy group file pid
  [ -z "${ISOLATED:-}" ] || return 0
  for hierarchy in $(hierarchies); do
    for group in "$hierarchy"/causeway-isolated.*/; do
      group=$(basename "$group") pid=${group#causeway-isolated.}
      [ -d "/proc/${pid%%.*}" ] || remove_group "$group"
    done
  done
  for file in "$1"/isolated.*; do
    pid=${file##*/isolated.} pid=${pid%%.*}
    [ -d "/proc/$pid" ] || rm -f "$file"
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
  unset DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
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
