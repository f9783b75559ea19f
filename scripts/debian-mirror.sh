#!/usr/bin/env bash
# Prints where this machine's own apt finds a Debian archive, if it does: a company's mirror, for one.
# Without credentials, since it may become part of an image.
#
#   scripts/debian-mirror.sh ARCHIVE SUITE     e.g. debian-security bookworm-security
set -Eeuo pipefail
command -v apt-get >/dev/null || exit 0
# shellcheck disable=SC2016 # apt's variables
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 2>/dev/null \
  | awk -v uri="^https?://[^@]*/$1/?\$" -v suite="$2" \
    '$1 ~ uri && $2 == suite && $3 == "main" && !found { sub("/$", "", $1); print $1; found = 1 }' || true
