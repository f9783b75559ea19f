#!/usr/bin/env bash
# Makes sure that commands are there, through apt as root; otherwise says exactly what to run.
#
#   scripts/packages.sh COMMAND=PACKAGE…     e.g. cc=gcc cmake=cmake
#
# A COMMAND with a slash is a file that the package brings.
set -Eeuo pipefail

missing=()
for pair in "$@"; do
  command=${pair%%=*} package=${pair#*=}
  case "$command" in
    */*) [ -e "$command" ] || missing+=("$package") ;;
    *) command -v "$command" >/dev/null || missing+=("$package") ;;
  esac
done
[ ${#missing[@]} = 0 ] && exit
if ! command -v apt-get >/dev/null; then
  echo "packages: error: install these with your system's package manager: ${missing[*]}" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  printf 'packages: error: these are missing; run:\n  sudo apt-get update && sudo apt-get install -y %s\n' "${missing[*]}" >&2
  exit 1
fi
echo "packages: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "packages: error: apt could not install ${missing[*]}; its last lines are above" >&2
  exit 1
fi
