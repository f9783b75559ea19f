#!/usr/bin/env bash
# Docker Compose 2, and prints the path of its binary: COMPOSE2, where that is set; otherwise this
# machine's own, or Debian trixie's, which needs no library and runs anywhere.
#
#   "$(scripts/compose2.sh)" --project-name causeway config
set -Eeuo pipefail
cd "$(dirname "$0")/.."
plugin=libexec/docker/cli-plugins/docker-compose
for binary in "${COMPOSE2:-}" {/usr/local,/usr}/{lib/docker/cli-plugins/docker-compose,"$plugin"}; do
  if [ -n "$binary" ] && "$binary" version --short 2>/dev/null | grep -qE '^v?[2-9]\.'; then
    echo "$binary"
    exit
  fi
done
[ -z "${COMPOSE2:-}" ] || {
  echo "compose2: error: COMPOSE2=$COMPOSE2 is no Docker Compose 2: unset it, and Debian's is fetched" >&2
  exit 1
}
folder=$(scripts/debian.sh trixie docker-compose) || {
  echo 'compose2: error: name a Docker Compose 2 that you have: COMPOSE2=/path/to/docker-compose' >&2
  exit 1
}
echo "$folder/usr/$plugin"
