#!/usr/bin/env bash
# Compiles a command of this workspace into target/, statically linked: `deploy` also runs as the probe
# inside containers that hold nothing else, and `chaos` as a faulty backend.
#
#   scripts/tool.sh deploy|chaos
set -Eeuo pipefail
cd "$(dirname "$0")/.."
# make's job slots aren't meant for cargo, which counts the processors itself.
unset MAKEFLAGS MFLAGS
# Tests may be compiled by another one (scripts/test.sh).
unset RUSTC_WORKSPACE_WRAPPER CLIPPY_ARGS
command -v cargo >/dev/null || exec scripts/preflight.sh --build
target=${CARGO_TARGET_DIR:-target}
scripts/packages.sh cc=gcc /usr/include/stdio.h=libc6-dev
triple=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS='-C target-feature=+crt-static' \
  cargo build --locked --profile tool --target "$triple" -p "$1"
built=$target/$triple/tool/$1
# Whole or not at all, and not under whoever runs the old one.
if ! cmp --silent "$built" "$target/$1"; then
  cp "$built" "$target/$1.new"
  mv "$target/$1.new" "$target/$1"
fi
