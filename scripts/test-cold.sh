#!/usr/bin/env bash
# `make test-cold`: what a newcomer does, on a machine with nothing. In a bare Debian that has only Rust,
# git and make, from a clone of HEAD: `make deploy`, a request, `make test` beside the running stack,
# then the long commands of the README. Says how long each step took; nothing stays.
#
#   scripts/test-cold.sh [bookworm|trixie] [--test-first]
#
# With --test-first, `make test` comes before `make deploy`. Takes an hour or more, and about 25 GiB.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
bundle=/etc/ssl/certs/ca-certificates.crt

outside() {
  scripts/packages.sh mmdebstrap=mmdebstrap
  export ISOLATED_DISK_GIB=45
  exec scripts/isolated.sh "$0" --inside "$@"
}

# On a machine of its own, whose disk holds the bare system.
inside() {
  local root=$ISOLATED/root release=$1 order=$2 mirror sysroot
  # mmdebstrap knows Debian's own.
  # shellcheck source=/dev/null
  mirror=$(scripts/debian-mirror.sh debian "$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")")
  echo "bare $release"
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,git,make "$release" "$root" ${mirror:+"$mirror"}
  # What this machine trusts (a company's own CA, for one).
  cp "$bundle" "$root$bundle"
  sysroot=$(rustc --print sysroot)
  mkdir "$root/opt/rust"
  cp -a "$sysroot"/{bin,lib,libexec} "$root/opt/rust/"
  git clone --quiet . "$root/root/causeway"

  # The bare system is what this machine starts from now on; what is around it can't be seen.
  mount --make-rprivate /
  mount --bind "$root" "$root"
  local folder
  for folder in proc sys dev; do mount --rbind "/$folder" "$root/$folder"; done
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mkdir -m 1777 "$root/run/lock"
  mkdir -p "$root/etc/docker"
  cp /etc/docker/daemon.json "$root/etc/docker/"
  cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"
  cp "$0" "$root/opt/test-cold.sh"
  mkdir "$root/around"
  cd "$root"
  pivot_root . around
  # The folder that programs put their files into is that of a bare system, too.
  exec env -i PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb ISOLATED="$ISOLATED" \
    SSL_CERT_FILE="$bundle" CARGO_HTTP_CAINFO="$bundle" PIP_CERT="$bundle" NODE_EXTRA_CA_CERTS="$bundle" \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} ${no_proxy:+no_proxy="$no_proxy"} \
    bash /opt/test-cold.sh --bare "$release" "$order"
}

# timed NAME COMMAND…: its output with the time since the start; how long it took goes to the summary.
timed() {
  local name=$1 began=$SECONDS status=0
  shift
  printf '\n== %s\n' "$name"
  "$@" 2>&1 | while IFS= read -r line; do printf '%4d:%02d  %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$line"; done || status=$?
  [ "$status" = 0 ] || failed=1
  summary+=("| $name | $(((SECONDS - began) / 60)) min $(((SECONDS - began) % 60)) s | $([ "$status" = 0 ] && echo ok || echo "failed: $status") |")
}

# Asks the running stack all the while, as a user of it would.
ask() {
  local ok=0 bad=0
  while [ ! -e /tmp/enough ]; do
    if exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 \
      && head -n 1 <&3 | grep -q ' 200 '; then ok=$((ok + 1)); else bad=$((bad + 1)); fi 2>/dev/null
    exec 3>&-
    sleep 0.2
  done
  echo "$ok answered 200, $bad not"
}

bare() {
  umount --lazy /around
  rmdir /around
  mount --make-rshared /
  cd /root/causeway
  summary=() failed=0
  local before after asking
  [ "$2" != --test-first ] || timed 'make test, before any deploy' make test
  timed 'make deploy' make deploy
  timed 'make deploy, a second time' make deploy
  before=$(docker ps --quiet --no-trunc | sort)
  ask >/tmp/asked &
  asking=$!
  timed 'make test, beside the running stack' make test
  touch /tmp/enough
  wait "$asking"
  after=$(docker ps --quiet --no-trunc | sort)
  summary+=("| requests beside it | | $(cat /tmp/asked) |")
  summary+=("| containers' ids | | $([ "$before" = "$after" ] && echo the same before and after || echo CHANGED) |")
  [ "$before" = "$after" ] && grep -q ', 0 not' /tmp/asked || failed=1
  timed 'the other long commands of the README' scripts/try-readme.py --long
  timed 'make down' make down

  printf '\n%s\n' "| on a bare $1, $(nproc) cores | took | |" '|---|--:|---|' "${summary[@]}"
  exit "$failed"
}

case "${1:-}" in
  --inside) inside "$2" "$3" ;;
  --bare) bare "$2" "$3" ;;
  *)
    case "${1:-bookworm} ${2:-}" in
      'bookworm ' | 'trixie ' | 'bookworm --test-first' | 'trixie --test-first') ;;
      *) echo "test-cold: error: '$*': expected bookworm or trixie, and perhaps --test-first" >&2; exit 2 ;;
    esac
    outside "${1:-bookworm}" "${2:---deploy-first}" ;;
esac
