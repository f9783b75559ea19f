#!/usr/bin/env bash
# Makes sure that commands are there, through apt as root; otherwise says exactly what to run.
#
#   scripts/packages.sh COMMAND=PACKAGE…             e.g. cc=gcc cmake=cmake
#   scripts/packages.sh --missing COMMAND=PACKAGE…   prints the packages that would be installed
#
# A COMMAND with a slash is a file that the package brings.
set -Eeuo pipefail

list=''
if [ "${1:-}" = --missing ]; then
  list=yes
  shift
fi
missing=()
for pair in "$@"; do
  command=${pair%%=*} package=${pair#*=}
  case "$command" in
    */*) [ -e "$command" ] || missing+=("$package") ;;
    *) command -v "$command" >/dev/null || missing+=("$package") ;;
  esac
done
if [ -n "$list" ]; then
  echo "${missing[*]}"
  exit
fi
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
# One apt at a time: ours wait for each other here, and for anybody else's at dpkg's lock.
exec 9>/run/lock/causeway-packages
flock 9
options=(-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
if ! {
  apt-get "${options[@]}" update \
    && DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install -y --no-install-recommends "${missing[@]}"
} >"$log" 2>&1 9>&-; then
  tail -n 20 "$log" >&2
  echo "packages: error: apt could not install ${missing[*]}; its last lines are above" >&2
  exit 1
fi
