#!/usr/bin/env bash
# Makes sure that oha, the load generator, is there: target/tools/bin/oha. It is compiled once;
# scripts/oha.toml says how. What an interrupted run has compiled, the next one uses.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
version=1.16.0
tools=$(realpath -m "${CARGO_TARGET_DIR:-target}")/tools
build=$tools/oha-$version

if [ "$("$tools/bin/oha" --version 2>/dev/null)" = "oha $version" ] && [ "$tools/bin/oha" -nt scripts/oha.toml ]; then
  exit
fi
if [ "${1:-}" != --compile ]; then
  echo "oha, the load generator, is compiled: about two minutes on two processors, once only"
  exec scripts/steps.sh oha "$0" --compile
fi

scripts/packages.sh cc=gcc objcopy=binutils /usr/include/stdio.h=libc6-dev \
  /usr/include/jemalloc/jemalloc.h=libjemalloc-dev /usr/include/openssl/ssl.h=libssl-dev pkg-config=pkg-config
mkdir -p "$build"
# Debian's jemalloc, under the names that oha's binding gives its own copy (malloc is _rjem_malloc):
# configuring and compiling that takes longer than all the rest of oha.
jemalloc=$(find /usr/lib -name libjemalloc_pic.a | head -n 1)
nm --extern-only --defined-only "$jemalloc" 2>/dev/null \
  | awk '$2 ~ /[TWDBV]/ && $3 !~ /^(je_|_Z|DW)/ { print $3, "_rjem_" $3 }' | sort -u >"$build/names"
objcopy --redefine-syms="$build/names" "$jemalloc" "$build/liboha-jemalloc.a"
# make's job slots aren't meant for cargo, nor flags for this project's own code for oha.
unset MAKEFLAGS MFLAGS RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export JEMALLOC_OVERRIDE=$build/liboha-jemalloc.a
# Debian's TLS takes no time to compile.
cargo install --locked --force --no-default-features --features native-tls --config scripts/oha.toml \
  --root "$tools" --target-dir "$build" "oha@$version"
"$tools/bin/oha" --version
rm -rf "$build"
