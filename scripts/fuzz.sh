#!/usr/bin/env bash
# `make fuzz`: mutates the corpora in tests/fuzz/corpus for FUZZ_SECONDS each, one target after another.
# An input that fails is kept in the target directory, and the run says where.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
# make's job slots aren't meant for cargo.
unset MAKEFLAGS MFLAGS
scripts/packages.sh cc=gcc /usr/include/stdio.h=libc6-dev cmake=cmake
export FUZZ_SECONDS=${FUZZ_SECONDS:-40}
failed=0
for crate in proxy api compose-file; do
  cargo test --quiet --locked -p $crate --test fuzz -- --nocapture --test-threads 1 || failed=1
done
exit $failed
