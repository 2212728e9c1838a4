#!/bin/bash
# Holds the disk of a test host: a file system in memory, in a mount namespace of its own, there until this ends.
#   disk.sh DIRECTORY SIZE      mounts it at DIRECTORY/disk; says "ready"
set -euo pipefail
mount --make-rprivate /
mount -t tmpfs -o "mode=755,size=$2" tmpfs "$1/disk"
cd "$1/disk"
mkdir upper work root cgroups
cd /
echo ready
exec sleep infinity
