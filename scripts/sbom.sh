#!/usr/bin/env bash
# `make sbom`: what each binary is made of, as CycloneDX, in target/sbom. The images hold a binary
# and nothing else, so its document is that of its image. Its components are exactly what cargo
# resolves from Cargo.lock; the rest of what is said of them is cargo-cyclonedx's.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
# make's job slots aren't meant for cargo.
unset MAKEFLAGS MFLAGS
target=${CARGO_TARGET_DIR:-target}
version=0.5.9
triple=$(rustc -vV | sed -n 's/^host: //p')
out=$target/sbom

scripts/packages.sh cc=gcc /usr/include/stdio.h=libc6-dev jq=jq
if ! cargo cyclonedx --version >/dev/null 2>&1; then
  tools=$target/tools
  if ! [ -x "$tools/bin/cargo-cyclonedx" ]; then
    echo "sbom: installing cargo-cyclonedx into $tools (a few minutes, once)"
    cargo install --quiet --locked --root "$tools" "cargo-cyclonedx@$version"
  fi
  PATH=$PATH:$(realpath "$tools/bin")
fi

# It writes beside each crate's manifest, whatever it is told.
trap 'rm -f ./*/*_bin.cdx.json crates/*/*_bin.cdx.json' EXIT
mkdir -p "$out"

# describe FOLDER…: the document of the binary in the first FOLDER, as it is built together with the others.
describe() {
  local folder=$1 binary=${1##*/} packages=() document resolved absent
  # Not by their names alone: another package is called console, too.
  for each; do
    packages+=("--package=$(cargo pkgid --manifest-path "$each/Cargo.toml")")
  done
  document=$out/$binary.cdx.json
  cargo cyclonedx --quiet --manifest-path "$folder/Cargo.toml" --format json --spec-version 1.5 \
    --describe binaries --target "$triple" --no-build-deps
  resolved=$(cargo tree --quiet --locked "${packages[@]}" --edges normal --target "$triple" \
    --no-dedupe --prefix depth --format '{p}' \
    | awk -v own="$binary" '/^0/ { on = $1 == "0" own; next } on && NF { sub(/^[0-9]+/, ""); print $1, substr($2, 2) }' \
    | sort -u)

  # It also lists optional dependencies that nothing turns on; what cargo resolves decides.
  jq --arg resolved "$resolved" '
    ($resolved | split("\n")) as $kept
    | .components |= map(select("\(.name) \(.version)" | IN($kept[])))
    | ([.metadata.component["bom-ref"]] + [.components[]["bom-ref"]]) as $refs
    | .dependencies |= [.[] | select(.ref | IN($refs[])) | .dependsOn |= ((. // []) | map(select(IN($refs[]))))]
  ' "$folder/${binary}_bin.cdx.json" >"$document"

  absent=$(comm -13 <(jq -r '.components[] | "\(.name) \(.version)"' "$document" | sort -u) <(echo "$resolved"))
  if [ -n "$absent" ]; then
    printf 'sbom: error: cargo resolves what %s lacks:\n%s\n' "$document" "$absent" >&2
    exit 1
  fi
  echo "$document: $(wc -l <<<"$resolved") components"
}

# As the Dockerfiles build them: all three together, with the features that any of them asks for.
describe proxy api console
describe api proxy console
describe console proxy api
describe crates/listener
describe deploy
