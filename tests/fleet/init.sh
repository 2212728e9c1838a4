#!/bin/bash
# What becomes PID 1 of a test host: run in fresh namespaces (mount, pid, net, uts, ipc), it makes the host's root out
# of the base tree and hands over to systemd. All that it mounts lives and dies with its own mount namespace.
#   init.sh BASE DIRECTORY CGROUP      DIRECTORY/files is laid over the base tree
set -euo pipefail
base=$1 directory=$2 cgroup=$3

if [ "${4:-}" != inside ]; then
    mount --make-rprivate /
    mount -t tmpfs -o mode=755 tmpfs "$directory/disk"
    cd "$directory/disk"
    mkdir upper work root cgroups
    # A subtree of its own, before the cgroup namespace: else hosts would share their units' cgroups.
    mount -t cgroup2 cgroup2 cgroups
    mkdir "cgroups/$cgroup"
    echo $$ >"cgroups/$cgroup/cgroup.procs"
    umount cgroups
    exec unshare --cgroup "$0" "$base" "$directory" "$cgroup" inside
fi

root=$directory/disk/root
mount -t overlay overlay -o "lowerdir=$base,upperdir=$directory/disk/upper,workdir=$directory/disk/work" "$root"
cp -r "$directory/files/." "$root/"
hostname "$(cat "$root/etc/hostname")"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
# The kernel is this machine's too: the host's systemd must not set what is not of its namespaces.
for shared in proc/sys sys; do
    mount --bind "$root/$shared" "$root/$shared"
    mount -o remount,bind,ro "$root/$shared"
done
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/outside"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
cd "$root"
pivot_root . outside
umount -l /outside
rmdir /outside
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=0
