#!/usr/bin/env bash
# Sees that the engine has causeway/base-node:local, the machine that the tests' bed (scripts/swarm-bed.sh)
# and the lab's overlay lesson are made of. Assembled once, and kept in target/images: an engine of its own
# has no images.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
image=causeway/base-node:local
cache=$(realpath -m "${CARGO_TARGET_DIR:-target}")/images/node.tar

docker image inspect "$image" >/dev/null 2>&1 && exit
if [ -f "$cache" ]; then
  exec docker load --quiet --input "$cache" >/dev/null
fi
containers/base/assemble.sh node "$image"
docker save --output "$cache.new" "$image"
mv "$cache.new" "$cache"
