#!/usr/bin/env bash
# `make load`: loads the published port with oha, and counts what came back. From the environment:
#
#   CONNECTIONS, DURATION, METHOD, BODY   what clients do
#   CAUSEWAY_PORT, CAUSEWAY_BIND          where the stack is; otherwise .env says, then compose.yaml
#
# What counts is 2xx. Exit codes: 0 every request was answered so, 1 not all of them, 2 a value that
# can't be.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
connections=${CONNECTIONS:-64} duration=${DURATION:-10s} method=${METHOD:-GET}

fail() {
  local status=$1
  printf 'load: error: %s\n' "$2" >&2
  shift 2
  [ $# = 0 ] || printf '  %s\n' "$@" >&2
  exit "$status"
}

[[ $connections =~ ^[1-9][0-9]{0,4}$ ]] \
  || fail 2 "CONNECTIONS=$connections: expected a number from 1 to 99999, such as 64"
[[ $duration =~ ^([0-9]+(ms|s|m|h))+$ && $duration =~ [1-9] ]] \
  || fail 2 "DURATION=$duration: expected a time with its unit, such as 500ms, 10s or 2m"
[[ $method =~ ^[A-Z]+$ ]] \
  || fail 2 "METHOD=$method: expected an HTTP method in capitals, such as GET or POST"
# `make load PORT=8081` has always done as well.
if [ -n "${PORT:-}" ]; then
  port_name=PORT port=$PORT
else
  port_name=CAUSEWAY_PORT port=$(scripts/setting.sh CAUSEWAY_PORT)
fi
[[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] \
  || fail 2 "$port_name=$port: expected a port from 1 to 65535, such as 8080"
bind=$(scripts/setting.sh CAUSEWAY_BIND)
case "$bind" in
  0.0.0.0) address=127.0.0.1 ;;
  :: | '[::]' | ::1 | '[::1]') address=::1 ;;
  *)
    [[ $bind =~ ^127(\.[0-9]{1,3}){3}$ ]] \
      || fail 2 "CAUSEWAY_BIND=$bind: not a loopback address of this machine, which is all that load goes to" \
        "CAUSEWAY_BIND=127.0.0.1 make deploy && CAUSEWAY_BIND=127.0.0.1 make load"
    address=$bind ;;
esac

# Before oha is compiled, which takes minutes.
if ! (exec 3<>"/dev/tcp/$address/$port") 2>/dev/null; then
  fail 1 "nothing listens at $address port $port: the stack isn't up there" \
    "make deploy                       bring it up" \
    "CAUSEWAY_PORT=8081 make load      if it is published at another port"
fi
scripts/oha.sh
oha=${CARGO_TARGET_DIR:-target}/tools/bin/oha

case "$address" in *:*) address="[$address]" ;; esac
options=(--no-tui -c "$connections" -z "$duration" -m "$method")
# With the equals sign a body may begin with anything, a dash or another such sign.
if [ -n "${BODY:-}" ]; then options+=("-d=$BODY"); fi
echo "load: $method http://$address:$port/ with $connections connections for $duration"
# Ctrl-C is oha's: it then prints what came of it so far, and that is counted too.
trap : INT
"$oha" "${options[@]}" "http://$address:$port/" | (trap '' INT; awk -f scripts/load.awk)
