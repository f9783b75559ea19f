#!/usr/bin/env bash
# `make deploy`: looks whether anything stands in the way, says what will be done and about how long it
# takes, gets what is missing side by side (engine and base images; the deploy command), and brings the
# stack up. Interrupted anywhere, the next one goes on where it was.
#
#   scripts/deploy.sh [PROJECT [FLAG…]]     PROJECT may be empty; the flags are those of `deploy up`
set -Eeuo pipefail
cd "$(dirname "$0")/.."
project=${1:-}
flags=("${@:2}")
target=${CARGO_TARGET_DIR:-target}

# Seconds that each part adds on two quiet cores (docs/operations.md); engine and base images come beside
# the compiling of the deploy command. What is compiled takes less on more of them, up to what only one
# can do.
cores=$(nproc)
compiled() { echo $(($1 * 2 / (cores > 6 ? 6 : cores))); }
engine_seconds=10 bases_seconds=20 tool_seconds=$(compiled 140) images_seconds=$(compiled 300) start_seconds=30

# have SETTING: whether the engine has the image that is called so.
have() { docker image inspect "$(scripts/setting.sh "$1")" >/dev/null 2>&1; }
about() { if [ "$1" -lt 90 ]; then echo "about $1 seconds"; else echo "about $((($1 + 30) / 60)) minutes"; fi; }

# Images that only a profile takes.
bases=(rust mongo)
if scripts/profile.sh observe; then bases+=(prometheus); fi

scripts/preflight.sh ${project:+"$project"}

missing='' seconds=$start_seconds compile=''
need() { missing+=${missing:+, }$1 seconds=$((seconds + $2)); }
docker info >/dev/null 2>&1 || need "a Docker engine" $engine_seconds
for base in "${bases[@]}"; do
  have "CAUSEWAY_${base^^}_IMAGE" || { need "base images" $bases_seconds; break; }
done
[ -x "$target/deploy" ] || need "the deploy command (compiled)" "$tool_seconds"
have CAUSEWAY_LISTENER_IMAGE && have CAUSEWAY_PROXY_IMAGE && have CAUSEWAY_API_IMAGE && have CAUSEWAY_CONSOLE_IMAGE \
  || { compile=yes; need "images of listener, proxy, api and console (compiled)" "$images_seconds"; }
if [ -n "$missing" ]; then
  echo "to get, once on this machine: $missing"
  echo "$(about $seconds) on $cores cores; from then on \`make deploy\` takes seconds"
fi

scripts/steps.sh "packages" scripts/packages.sh cc=gcc /usr/include/stdio.h=libc6-dev
scripts/steps.sh \
  "engine and base images" bash -c "scripts/engine.sh && containers/base/ensure.sh ${bases[*]}" ::: \
  "deploy command" scripts/tool.sh deploy

if [ -n "$compile" ]; then
  took=$(scripts/steps.sh --took "deploy command")
  # A part of the same kind of work, timed on this machine just now.
  if [ "$took" -ge 20 ]; then images_seconds=$((images_seconds * took / tool_seconds)); fi
  echo "compiling listener, proxy, api and console: $(about "$images_seconds")$([ "$took" -lt 20 ] || echo " at this machine's speed so far")"
fi
exec "$target/deploy" ${project:+-p "$project"} up "${flags[@]}"
