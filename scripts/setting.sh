#!/usr/bin/env bash
# Prints a setting of the stack as Compose finds it: the environment's value, else that of .env, else
# the default in compose.yaml.
#
#   scripts/setting.sh [--set|--default] NAME    only what is set; only the default
#
# `deploy` is what reads .env. Its plain lines are understood here too, because preflight and base images
# come before there is a `deploy`.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
only=''
case "$1" in --*) only=$1; shift ;; esac
value=''
if [ "$only" != --default ]; then
  value=${!1:-}
  if [ -z "$value" ] && [ -f .env ]; then
    value=$(sed -n "s/^[[:space:]]*\(export[[:space:]]\+\)\?$1[[:space:]]*=[[:space:]]*//p" .env | tail -n 1)
    case "$value" in
      \"*\" | \'*\') value=${value:1:-1} ;;
      *) value=${value%%[[:space:]]#*} value=${value%"${value##*[![:space:]]}"} ;;
    esac
  fi
fi
if [ -z "$value" ] && [ "$only" != --set ]; then
  case "$1" in
    COMPOSE_PROJECT_NAME) value=$(sed -n 's/^name: //p' compose.yaml) ;;
    *) value=$(sed -n "s/.*\${$1:-\([^}]*\)}.*/\1/p" compose.yaml | head -n 1) ;;
  esac
fi
printf '%s\n' "$value"
