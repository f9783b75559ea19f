#!/usr/bin/env bash
# `make chaos`: the real stack under faults or attacks, on an engine of its own that may be restarted.
# Arguments go to the suite. With --project NAME it is that running stack which is tested, on your engine;
# with --nodes a Swarm of three machines (scripts/swarm-bed.sh).
set -Eeuo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

suite() { "$target/chaos" --deploy "$target/deploy" --out "$target/chaos-report" "$@"; }

if [ "${1:-}" = --inside ]; then
  shift
  case " $* " in
    *' --nodes '*) BED_MONGO=all exec scripts/swarm-bed.sh "$0" --bed "$@" ;;
  esac
  suite --own-engine "$@"
  exit
fi
if [ "${1:-}" = --bed ]; then
  shift
  suite "$@"
  exit
fi
scripts/preflight.sh --build
scripts/packages.sh cc=gcc /usr/include/stdio.h=libc6-dev python3=python3 iptables=iptables \
  nsenter=util-linux mkfs.ext4=e2fsprogs
case " $* " in
  *' --nodes '*) scripts/packages.sh docker-registry=docker-registry ;;
esac
scripts/steps.sh "deploy command" scripts/tool.sh deploy
scripts/steps.sh "chaos suite" scripts/tool.sh chaos
case " $* " in
  *' --project'* | *' --list '* | *' --help '*) suite "$@" ;;
  *) exec scripts/own-engine.sh --images "$0" --inside "$@" ;;
esac
