#!/usr/bin/env bash
# `make deny`: the dependencies against deny.toml. Licences, duplicate versions and sources are
# checked from what cargo has here already, so without a network too. Advisories are checked
# wherever their database can be had, and where it can't, that is said.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
# make's job slots aren't meant for cargo.
unset MAKEFLAGS MFLAGS

PATH=$PATH:$(scripts/cargo-tool.sh deny)

# Fails where crates.io can't be reached; then what is here has to do, and cargo-deny says if not.
cargo fetch --quiet --locked 2>/dev/null || true
cargo deny --offline check bans licenses sources

# A database that an earlier run fetched serves too, until it is 90 days old.
if fetched=$(timeout 60 cargo deny fetch db 2>&1) || compgen -G "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs/*/crates" >/dev/null; then
  cargo deny check --disable-fetch advisories
else
  printf '%s\n' "$fetched" | tail -n 2 >&2
  echo 'deny: SKIPPED: advisories: the RustSec database, a git repository, can not be reached from here;' \
    'run `make deny` where it can' >&2
fi
