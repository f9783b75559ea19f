#!/bin/sh
# Runs the aarch64 binary behind the name it was called by: `mongod`, or `mongosh`, which here
# is the legacy shell. Its options and its JavaScript are close enough for what we use.
case "${0##*/}" in
  mongosh) program=/opt/mongodb/mongo ;;
  *) program=/opt/mongodb/mongod ;;
esac
if command -v qemu-aarch64 >/dev/null; then
  exec qemu-aarch64 "$program" "$@"
fi
exec "$program" "$@"
