#!/usr/bin/env bash
# Makes sure that oha, the load generator, is there, and prints where: target/tools/bin/oha.
#
# It is compiled once, in about two minutes on two processors; scripts/oha.toml says how. What an
# interrupted run has compiled, the next one uses.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
version=1.16.0
tools=$(realpath -m "${CARGO_TARGET_DIR:-target}")/tools
build=$tools/oha-$version
say() { printf 'load: %s\n' "$*" >&2; }

if [ "$("$tools/bin/oha" --version 2>/dev/null)" = "oha $version" ]; then
  echo "$tools/bin/oha"
  exit
fi
scripts/packages.sh cc=gcc ar=binutils /usr/include/stdio.h=libc6-dev >&2
say "compiling oha $version, the load generator: about two minutes on two processors, once only"
mkdir -p "$build"
cc -O2 -fPIC -c -o "$build/oha-malloc.o" scripts/oha-malloc.c
rm -f "$build/liboha-malloc.a"
ar rcs "$build/liboha-malloc.a" "$build/oha-malloc.o"

# Cargo counts the processors itself: make's job slots aren't meant for it. Flags for this project's
# own code (a linter's, a coverage tool's) aren't meant for oha.
log=$build/log
env -u MAKEFLAGS -u MFLAGS -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS JEMALLOC_OVERRIDE="$build/liboha-malloc.a" \
  CARGO_TERM_COLOR=never CARGO_TERM_QUIET=false CARGO_TERM_PROGRESS_WHEN=never \
  cargo install --locked --force --config scripts/oha.toml --root "$tools" --target-dir "$build" "oha@$version" \
  >"$log" 2>&1 &
cargo=$!
# A shell's background jobs don't get Ctrl-C.
trap 'kill "$cargo" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM HUP

compiled() { grep -c '^ *Compiling ' "$log" || true; }
while kill -0 "$cargo" 2>/dev/null; do
  if [ -t 2 ]; then
    printf '\r\033[Kload: compiling oha: %s crates, %ss' "$(compiled)" "$SECONDS" >&2
  elif [ "$SECONDS" -ge "${next:=10}" ]; then
    say "compiling oha: $(compiled) crates, ${SECONDS}s"
    next=$((SECONDS + 10))
  fi
  sleep 0.5
done
if [ -t 2 ]; then printf '\r\033[K' >&2; fi
if ! wait "$cargo"; then
  # From the first error on: what comes before it is what went well.
  { sed -n '/^error/,$p' "$log" | grep . || tail -n 20 "$log"; } | head -n 20 >&2
  say "error: oha could not be compiled; cargo's reason is above, all of its output is in $log"
  printf '  %s\n' "a network that failed, or Ctrl-C: run the same again, it goes on where it was" \
    "an oha $version of your own does as well: cp \"\$(command -v oha)\" $tools/bin/oha" >&2
  exit 1
fi
say "oha is ready after ${SECONDS}s"
rm -rf "$build"
echo "$tools/bin/oha"
