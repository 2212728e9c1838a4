#!/bin/bash
# What becomes PID 1 of a test host: run in fresh namespaces (mount, pid, net, uts, ipc), it makes the host's root out
# of the base tree and its disk, and hands over to systemd. All that it mounts lives and dies with its own mount
# namespace; the disk, which disk.sh has mounted, does not.
#   init.sh power|root BASE DIRECTORY CGROUP [SOURCE:TARGET...]
#       DIRECTORY/files is laid over the base tree when the disk is new; each SOURCE shows at TARGET, read-only
set -euo pipefail
stage=$1 base=$2 directory=$3 cgroup=$4
disk=$directory/disk
shift 4

if [ "$stage" = power ]; then
    mount --make-rprivate /
    # A subtree of its own, before the cgroup namespace: else hosts would share their units' cgroups.
    mount -t cgroup2 cgroup2 "$disk/cgroups"
    mkdir "$disk/cgroups/$cgroup"
    echo $$ >"$disk/cgroups/$cgroup/cgroup.procs"
    umount "$disk/cgroups"
    exec unshare --cgroup "$0" root "$base" "$directory" "$cgroup" "$@"
fi

cd "$disk"
root=$disk/root
mount -t overlay overlay -o "lowerdir=$base,upperdir=$disk/upper,workdir=$disk/work" "$root"
if [ ! -e installed ]; then
    cp -r "$directory/files/." "$root/"
    touch installed
fi
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
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for share in "$@"; do
    target=$root${share#*:}
    if [ -d "${share%%:*}" ]; then mkdir -p "$target"; else mkdir -p "${target%/*}" && touch "$target"; fi
    mount --bind "${share%%:*}" "$target"
    mount -o remount,bind,ro "$target"
done
cd "$root"
# A power cut of the former run may have come between these.
mkdir -p outside
pivot_root . outside
umount -l /outside
rmdir /outside
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=0
