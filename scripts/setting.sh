#!/usr/bin/env bash
# Prints a setting of the stack as Compose finds it: the environment, else `.env`, else DEFAULT.
#
#   scripts/setting.sh NAME [DEFAULT]
set -Eeuo pipefail
cd "$(dirname "$0")/.."
value=${!1:-}
if [ -z "$value" ] && [ -f .env ]; then
  value=$(sed -n "s/^[[:space:]]*\(export[[:space:]]\+\)\?$1[[:space:]]*=[[:space:]]*//p" .env | tail -n 1)
  case "$value" in
    \"*\" | \'*\') value=${value:1:-1} ;;
    *) value=${value%%[[:space:]]#*} value=${value%"${value##*[![:space:]]}"} ;;
  esac
fi
printf '%s\n' "${value:-${2:-}}"
