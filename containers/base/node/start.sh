#!/bin/sh
# The first program of a machine of the test bed (scripts/swarm-bed.sh): an engine, within the container's
# own control groups. Its socket is in /sock as well, where the machine around sees it.
set -e
rm -rf /sock/docker.sock /run/docker /run/docker.pid /run/containerd
# Control groups of its own namespace, to make those of its containers in.
mount -o remount,bind,rw /sys || true
for group in /sys/fs/cgroup $(awk '$3 == "cgroup" { print $2 }' /proc/mounts); do
  mount -o remount,bind,rw "$group" || true
done
# As on a machine whose init does it.
mount --make-rshared /
exec dockerd -H unix:///var/run/docker.sock -H unix:///sock/docker.sock >/var/log/dockerd.log 2>&1
