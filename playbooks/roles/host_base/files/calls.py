"""Write the filter of system calls for replicas on a host without systemd, with libseccomp.

    python3 -I calls.py FILE

It keeps a replica from what an engine never needs: namespaces, mounts, other processes, kernel modules, clocks,
multicast groups, and families of sockets other than systemd's sandbox allows. bubblewrap loads the file.
"""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import sys

import seccomp

# By the groups of systemd's SystemCallFilter, see `systemd-analyze syscall-filter`.
REFUSED = (
    # @clock
    *("adjtimex", "clock_adjtime", "clock_settime", "settimeofday"),
    # @cpu-emulation, @raw-io, @obsolete
    *("modify_ldt", "ioperm", "iopl", "uselib", "ustat", "sysfs", "_sysctl", "vserver"),
    # @debug
    *("ptrace", "process_vm_readv", "process_vm_writev", "perf_event_open", "kcmp", "pidfd_getfd"),
    # @keyring
    *("add_key", "keyctl", "request_key"),
    # @module, @reboot, @swap
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"),
    *("reboot", "swapon", "swapoff"),
    # @mount
    *("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick"),
    # @privileged, but the calls with which setpriv gives up root
    *("acct", "bpf", "open_by_handle_at", "quotactl", "syslog", "vhangup", "fanotify_init"),
    # beyond these groups
    *("setns", "unshare", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
)
# linux/sched.h: time, mount, cgroup, UTS, IPC, user, PID and network namespaces.
NAMESPACES = (
    0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
# UNIX, IPv4, IPv6, netlink
FAMILIES = (1, 2, 10, 16)
# linux/in.h and linux/in6.h: level of a socket's options -> those that join a multicast group. The kernel announces its
# groups to the network in packets of its own, which no rule for packets of the replica's user holds.
JOINS = {0: (35, 39, 42, 46), 41: (20, 42, 46)}
# An `int` of the kernel; what a register holds above it is nobody's.
INT = 0xFFFFFFFF


def main(path: str) -> None:
    """Write the filter where it differs, whole or not at all, and say so; say its digest."""
    refuse = seccomp.ERRNO(errno.EPERM)
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in REFUSED:
        try:
            rules.add_rule(refuse, name)
        except (RuntimeError, ValueError, OSError):
            # A call that this architecture or this libseccomp does not have.
            continue
    for flag in NAMESPACES:
        rules.add_rule(refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    # Its flags lie in memory, where no filter looks; without it the C library takes clone.
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    family = seccomp.ERRNO(errno.EAFNOSUPPORT)
    for number in set(range(FAMILIES[-1])) - set(FAMILIES):
        rules.add_rule(family, "socket", seccomp.Arg(0, seccomp.EQ, number))
    rules.add_rule(family, "socket", seccomp.Arg(0, seccomp.GT, FAMILIES[-1]))
    for level, options in JOINS.items():
        for option in options:
            words = [
                seccomp.Arg(n, seccomp.MASKED_EQ, INT, each)
                for n, each in ((1, level), (2, option))
            ]
            rules.add_rule(refuse, "setsockopt", *words)
    os.umask(0o077)
    with open(path + ".new", "wb") as file:
        rules.export_bpf(file)
    with open(path + ".new", "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if not os.path.exists(path) or not filecmp.cmp(path + ".new", path, shallow=False):
        os.replace(path + ".new", path)
        sys.stdout.write("written\n")
    else:
        os.unlink(path + ".new")
    sys.stdout.write(digest + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
