#!/usr/bin/env bash
# Packages of a Debian release, unpacked into a folder below target/ and not installed. Prints the
# folder. apt checks them by Debian's archive key, with lists and a state of its own: this system's
# packages are neither asked nor changed.
#
#   scripts/debian.sh [--libraries] RELEASE PACKAGE…     e.g. trixie docker-compose
#
# With --libraries, the libraries that they need are unpacked too, libc among them.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
exec 3>&1 1>&2
fail() {
  printf 'debian: error: %s\n' "$@" >&2
  exit 1
}

libraries=''
if [ "${1:-}" = --libraries ]; then
  libraries=yes
  shift
fi
[ $# -ge 2 ] || fail "a package is missing; usage: scripts/debian.sh [--libraries] RELEASE PACKAGE…"
release=$1
shift
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")/debian/$release/$(tr ' ' + <<<"$*")
mkdir -p "${folder%/*}"
exec 9>"$folder.lock"
flock 9
if [ -d "$folder" ]; then
  echo "$folder" >&3
  exit
fi

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
command -v apt-get >/dev/null || fail "$* of Debian $release can't be fetched: this takes apt, which isn't here"
scripts/packages.sh "$keyring=debian-archive-keyring"
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
mirror=$(scripts/debian-mirror.sh debian "$codename")
echo "debian: fetching $* of $release"
scratch=$folder.new
rm -rf "$scratch"
mkdir -p "$scratch"/apt/{lists,archives}/partial "$scratch/root"
echo "deb [signed-by=$keyring] ${mirror:-http://deb.debian.org/debian} $release main" >"$scratch/apt/sources.list"
apt() {
  apt-get --quiet --option Dir::Etc::SourceList="$scratch/apt/sources.list" --option Dir::Etc::SourceParts=/dev/null \
    --option Dir::Etc::PreferencesParts=/dev/null --option Dir::State="$scratch/apt" \
    --option Dir::State::Status=/dev/null --option Dir::Cache="$scratch/apt" --option Acquire::Languages=none \
    --option Acquire::Retries=3 --option APT::Sandbox::User=root "$@"
}
# Bash heeds no `set -e` where a status is asked for.
fetch() {
  local packages=("$@") found package
  apt update || return
  if [ -n "$libraries" ]; then
    found=$(apt install --yes --no-install-recommends --print-uris "$@" \
      | sed -n "s/^'[^ ]* \(lib[^_]*\)_.*/\1/p") || return
    mapfile -t -O $# packages <<<"$found"
  fi
  (cd "$scratch/apt/archives" && apt download "${packages[@]}") || return
  for package in "$scratch"/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$scratch/root" || return
  done
}
fetch "$@" >"$folder.log" 2>&1 || {
  tail -n 5 "$folder.log"
  rm -rf "$scratch"
  fail "$* of Debian $release can't be fetched from ${mirror:-http://deb.debian.org/debian}: apt's last lines are above, all of them in $folder.log"
}
mv "$scratch/root" "$folder"
rm -rf "$scratch"
echo "$folder" >&3
