#!/usr/bin/env bash
# `make clean`: removes what was built here: target/, our images with their build stages, and assembled
# base images. Says what stays, why, and how that is removed.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
left=()

images() {
  local image users
  for image in $(docker image ls --format '{{.Repository}}:{{.Tag}}' --filter 'reference=causeway/*' --filter 'reference=causeway-test/*'); do
    users=$(docker ps --all --filter "ancestor=$image" --format '{{.Names}}' | paste -sd ' ')
    if [ -n "$users" ]; then
      left+=("image $image: $users runs it (\`make down\` first)")
    elif docker image rm "$image" >/dev/null 2>&1; then
      echo "clean: removed image $image"
    else
      left+=("image $image: the engine does not let it go (\`docker image rm $image\` says why)")
    fi
  done
  # What they were built in, by the label that our Dockerfiles put on it, and what they replaced, by the
  # label that `deploy` puts on what it builds.
  local label unnamed
  for label in dev.causeway.stage dev.causeway.build.hash; do
    unnamed=$(docker image ls --quiet --filter dangling=true --filter "label=$label" | sort -u)
    [ -z "$unnamed" ] || echo "clean: removed $(xargs docker image rm <<<"$unnamed" 2>/dev/null | grep -c '^Deleted:') unnamed layers ($label)"
  done
}

if docker info >/dev/null 2>&1; then
  images
  containers/base/ensure.sh --clean
  project=$(scripts/setting.sh COMPOSE_PROJECT_NAME)
  containers=$(docker ps --all --filter "label=com.docker.compose.project=$project" --format '{{.Names}}' | paste -sd ' ')
  volumes=$(docker volume ls --filter "label=com.docker.compose.project=$project" --format '{{.Name}}' | paste -sd ' ')
  [ -z "$containers" ] || left+=("containers $containers: the stack runs (\`make down\`)")
  [ -z "$volumes" ] || left+=("volumes $volumes: your data (\`deploy down --volumes\`, or \`docker volume rm\`)")
else
  left+=("images, if there are any: no Docker engine answers")
fi
for path in secrets .deploy .env; do
  [ ! -e "$path" ] || left+=("$path: yours, and what the data was made with (\`rm -r $path\`)")
done
rm -rf "${CARGO_TARGET_DIR:-target}"
echo "clean: removed ${CARGO_TARGET_DIR:-target}/"
[ ${#left[@]} = 0 ] || printf 'clean: left %s\n' "${left[@]}"
