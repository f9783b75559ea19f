#!/usr/bin/env bash
# `make test`: every check and test, on real parts. Installs what it lacks. Whatever needs a Docker
# engine has one of its own (scripts/own-engine.sh): a stack that runs here, its names, ports and
# networks are neither needed nor touched. Nothing stays but target/ and images, so that the next run
# is quick.
#
#   scripts/test.sh                    everything, on this machine's engine
#   scripts/test.sh --check            what needs no engine and little time: format, lints, documents, unit tests
#   scripts/test.sh --engine ENGINE [member]
#                                      `deploy`'s tests alone, on another one (trixie, sid) or its own (own), as root
#                                      or as an ordinary user who may use it (scripts/own-engine.sh)
set -Eeuo pipefail
cd "$(dirname "$0")/.."
# make's job slots aren't meant for cargo, which counts the processors itself.
unset MAKEFLAGS MFLAGS
# What lets a second build of the same crate be quick makes the first one slower.
if [ "${CI:-}" = true ]; then export CARGO_INCREMENTAL=0; fi
# A snapshot that differs is a failure, not a new one.
export INSTA_UPDATE=no
CAUSEWAY_PROBE_BINARY=$(realpath -m "${CARGO_TARGET_DIR:-target}/deploy")
export CAUSEWAY_PROBE_BINARY

# The proxy's suites that are about bytes, whatever carries them.
OVER_TLS='test(/^(error_pages|exactly_once|expect|keep_alive|messages|request_chunks|request_framing)::/)
  | test(/^(request_heads|response_framing|smuggling|streaming|upstream_failures)::/)'

# Those that have a meaning over HTTP/2: not what is about HTTP/1's bytes and versions, about what
# `Connection` says, about a client that ends its side, about when a connection is closed, and about the case of
# field names. For these, HTTP/2 has tests of its own (proxy/tests/it/http2).
OVER_HTTP2='test(/^(balancing|error_pages|exactly_once|metrics|response_framing)::/)
  | (test(/^(drain|expect|headers|keep_alive|limits|messages|observability|streaming|upstream_failures)::/) - (
    test(/::(a_tunnel_|nothing_new_|refused_by_|requests_behind_|what_clients_choose_|what_is_in_flight_)/)
    | test(/::(.*1_0_.*|end_to_end_fields_.*|hop_by_hop_.*|host_is_.*|te_passes_.*|underscores_.*|via_.*)$/)
    | test(/::(a_client_that_(says_close|does_not_read|only_ends)_.*|.*somebody_logs_in.*|pipelined_.*)$/)
    | test(/::(a_body_(may|that_stops)_.*|a_client_that_sends_all_.*|a_head_.*|a_later_head_.*|a_long_method)$/)
    | test(/::(an_endless_.*|empty_lines_.*|large_heads|long_targets|many_fields|.*_makes_room|.*_too_many)$/)
    | test(/::(heads_and_bodies_.*|thousands_of_idle_.*|twenty_thousand_.*|.*forbidden_trailers.*|an_absolute_target_.*)$/)
    | test(/::(interim_responses|methods_and_targets_.*|options_go_.*|trailers_pass_.*|tunnels_are_.*)$/)
    | test(/::(control_characters_.*|failures_are_in_.*|a_backend_that_dies_in_mid_.*)$/)))'

# Most of the tests wait for a container, a clock or a disk.
NEXTEST_TEST_THREADS=$(($(nproc) * 2))
export NEXTEST_TEST_THREADS

# Clippy is the compiler with more lints, so that what it compiles can be run: once for both. Its arguments are
# handed over as `cargo clippy -- -D warnings` does.
by_clippy=(env RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-Dwarnings__CLIPPY_HACKERY__)

step() { printf '\n\033[1m== %s\033[0m (%ds)\n' "$*" "$(($(date +%s) - TEST_STARTED))"; }

start() {
  TEST_STARTED=$(date +%s)
  export TEST_STARTED
  step packages
  scripts/packages.sh cc=gcc /usr/include/stdio.h=libc6-dev cmake=cmake pkg-config=pkg-config python3=python3 git=git "$@"
  PATH=$PATH:$(scripts/cargo-tool.sh nextest)
}

documents() {
  step "format and documents"
  cargo fmt --all --check
  scripts/check-docs.py
}

check() {
  start
  documents
  # What is only checked isn't compiled, so that this is quick after a change.
  step lints
  scripts/steps.sh lints cargo clippy --locked --workspace --all-targets -- -D warnings
  step "unit tests"
  "${by_clippy[@]}" cargo nextest run --locked --workspace --lib --bins --status-level fail
  step "done"
}

begin() {
  scripts/preflight.sh --build
  # Whether the tests can have a machine of their own is found out now rather than in ten minutes.
  scripts/isolated.sh true
  start busybox=busybox-static docker-registry=docker-registry podman=podman curl=curl ip=iproute2 \
    iptables=iptables nsenter=util-linux openssl=openssl strip=binutils
  python3 -c 'import ensurepip, venv' 2>/dev/null || scripts/packages.sh /nonexistent=python3-venv
  COMPOSE2=$(scripts/compose2.sh)
  export COMPOSE2
  # An ACME server, and a clock that can be moved, for the proxy's tests.
  scripts/debian.sh trixie pebble >/dev/null
  scripts/debian.sh bookworm libfaketime >/dev/null
  # An SSH server, for tests of engines on other machines.
  scripts/debian.sh bookworm openssh-server >/dev/null
  scripts/debian.sh bookworm libwrap0 >/dev/null
  # What judges metrics, rules and the dashboard, and what the console asks for alerts.
  scripts/debian.sh trixie promtool >/dev/null
  scripts/debian.sh trixie prometheus >/dev/null
}

outside() {
  begin
  documents
  step dependencies
  scripts/deny.sh
  "$COMPOSE2" config --quiet

  step "build, and lints"
  scripts/steps.sh "deploy command" scripts/tool.sh deploy
  scripts/steps.sh "chaos suite" scripts/tool.sh chaos
  scripts/steps.sh "lints and tests" "${by_clippy[@]}" cargo test --locked --workspace --all-targets --no-run

  step "scripts and benchmark harness"
  python3 -m unittest discover --start-directory scripts/tests
  python3 -m unittest discover --start-directory bench/tests --top-level-directory bench

  step "other people's clients, over TLS and HTTP/2"
  scripts/try-edge.py

  step "Chromium, to try the console with"
  scripts/try-console.py --install

  step "images, and an engine of the tests' own"
  exec scripts/own-engine.sh --images "$0" --inside
}

engine() {
  local tests='all()' name reason
  begin
  step "build"
  scripts/steps.sh "deploy command" scripts/tool.sh deploy
  scripts/steps.sh "tests" "${by_clippy[@]}" cargo nextest run --locked -p deploy --no-run
  if [ "${2:-}" = member ]; then
    step "left out, since it needs root"
    echo '  lab: it builds with cargo.'
    tests='not test(/^lab::/)'
    while IFS=$'\t' read -r name reason; do
      printf '  %s: %s\n' "$name" "$reason"
      tests+=" and not test(=$name)"
    done < <(needing_root)
  fi
  step "tests of deploy: engine $1, as ${2:-root}"
  CAUSEWAY_TEST_ENGINE=$1 CAUSEWAY_TEST_USER=${2:-} \
    scripts/own-engine.sh "${by_clippy[@]}" cargo nextest run --locked -p deploy -E "$tests"
  step "done"
}

# The tests whose comment says so, and why.
needing_root() {
  git ls-files -z '*/tests/*.rs' | xargs -0 awk -v OFS='\t' '
    FNR == 1 {
      module = FILENAME; gsub(/.*\/tests\/[^\/]*\/|\.rs$/, "", module); gsub(/\//, "::", module); reason = ""
    }
    sub(/^\/\/\/ Needs root: /, "") { reason = $0 }
    reason && sub(/^(async )?fn /, "") { sub(/\(.*/, ""); print module "::" $0, reason; reason = "" }'
}

inside() {
  local mongo
  step "the console in Chromium"
  # One mongod for what only needs some mongod; tests that stop one start their own.
  mongo=$(docker run --detach --label dev.causeway.test=1 --publish 127.0.0.1::27017 \
    "$CAUSEWAY_MONGO_IMAGE" mongod --quiet --wiredTigerCacheSizeGB 0.5)
  timeout 120 bash -c "until docker exec $mongo mongosh --quiet --eval 'db.runCommand({ping: 1})' >/dev/null 2>&1; do :; done"
  TEST_MONGO_URI="mongodb://$(docker port "$mongo" 27017/tcp | head -n 1)"
  export TEST_MONGO_URI
  scripts/try-console.py
  step "unit and integration tests"
  "${by_clippy[@]}" cargo nextest run --locked --workspace
  # Always the whole workspace: the features of one package alone would have all be compiled again.
  step "what clients may send and get, over TLS"
  PROXY_TESTS_OVER=tls "${by_clippy[@]}" cargo nextest run --locked --workspace -E "package(proxy) and ($OVER_TLS)"
  step "and over HTTP/2"
  PROXY_TESTS_OVER=http2 "${by_clippy[@]}" cargo nextest run --locked --workspace -E "package(proxy) and ($OVER_HTTP2)"

  step "end to end"
  "${by_clippy[@]}" cargo nextest run --locked --profile e2e --workspace

  step "on three machines that are one Swarm"
  scripts/swarm-bed.sh "${by_clippy[@]}" cargo nextest run --locked --profile swarm --workspace

  # What a clone would bring, with the changes that aren't committed yet.
  local clone
  clone=$(mktemp -d)
  git ls-files -z --cached --others --exclude-standard | tar -c --null --files-from=- --ignore-failed-read | tar -C "$clone" -x
  CARGO_TARGET_DIR=$(realpath "${CARGO_TARGET_DIR:-target}")
  export CARGO_TARGET_DIR

  # Two of them, for as long as they take to kill what has no budget; all of them: docs/attacks.md.
  step "attacks"
  "$clone/scripts/chaos.sh" --inside --attacks --only heads,tiny-bodies --seconds 8
  rm -r "$clone/secrets"

  step "commands of the README"
  "$clone/scripts/try-readme.py"

  step "done"
}

case "${1:-}" in
  --inside) inside ;;
  --check) check ;;
  --engine) engine "${2:?which one: trixie, sid or own}" "${3:-}" ;;
  *) outside ;;
esac
