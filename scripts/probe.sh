#!/usr/bin/env bash
# Before the tests of the deploy crate (.config/nextest.toml): builds `deploy` statically, as `make
# tool` does but quickly, because that is the executable that containers can run as a probe.
set -Eeuo pipefail
if [ -z "${CAUSEWAY_PROBE_BINARY:-}" ]; then
  triple=$(rustc -vV | sed -n 's/^host: //p')
  target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
  RUSTFLAGS='-C target-feature=+crt-static' \
    cargo build --quiet --locked -p deploy --bin deploy --target "$triple" --target-dir "$target"
  CAUSEWAY_PROBE_BINARY=$target/$triple/debug/deploy
fi
echo "CAUSEWAY_PROBE_BINARY=$CAUSEWAY_PROBE_BINARY" >>"$NEXTEST_ENV"
