#!/usr/bin/env bash
# Whether a profile of compose.yaml is on, by COMPOSE_PROFILES from the environment or .env.
#
#   scripts/profile.sh NAME
set -Eeuo pipefail
cd "$(dirname "$0")/.."
case ",$(scripts/setting.sh --set COMPOSE_PROFILES | tr -d ' ')," in
  *",$1,"* | *",*,"*) ;;
  *) exit 1 ;;
esac
