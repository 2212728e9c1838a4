"""The fences of a replica: those that this host has, and those around a running one.

    user       a user of its own, neither root nor the router's
    rights     no capabilities, and no way to gain any
    files      its own view of the file system
    processes  it sees no process but its own
    network    it sends to loopback and to the other hosts of the same replica alone
    calls      a filter of system calls

Under systemd the unit of a replica has all of them. Elsewhere the script that starts it puts them up, as far as the
host allows.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess

import processes
import router_files

FENCES = ("user", "rights", "files", "processes", "network", "calls")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_NET_ADMIN = 1 << 12
# As a replica's start script begins; before bubblewrap is there, as the kernel is asked for the same.
_BWRAP = (
    *("bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1"),
    *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "true"),
)
_UNSHARE = ("unshare", "--mount", "--ipc", "--uts", "--pid", "--fork", "--mount-proc", "true")
# The command that a start script runs as root before it puts up the fence, and the programs that put it up.
_CHECK = "check-start"
_PREPARE = ("nft", "prlimit", "bwrap", "setpriv")
_RULES = "table inet toolkit_probe { chain any { meta skuid 0 accept; }; }\n"


def of_host(root: str) -> list[str]:
    """Return the fences of a replica that starts now; on a host without the tools yet, of one after provisioning."""
    if processes.init_system() == "systemd":
        return list(FENCES)
    found = ["user", "rights"]
    tools = os.path.join(root, "bin", "calls.")
    ready = os.path.exists(tools + "py")
    if _works(_BWRAP if ready else _UNSHARE):
        found += ["files", "processes"]
        if os.path.exists(tools + "bpf") or not ready:
            found.append("calls")
    if shutil.which("nft", path=_PATH) is None:
        able = bool(int(_status(os.getpid()).get("CapEff", "0"), 16) & _NET_ADMIN)
    else:
        able = _works(("nft", "--check", "--file", "-"), _RULES)
    if able:
        found.append("network")
    return [each for each in FENCES if each in found]


def of_process(root: str, pid: int, family: processes.Family | None = None) -> list[str]:
    """Return the fences around the process `pid` and its descendants; all of them where there is no replica yet.

    `family` is as for `processes.tree`.
    """
    # Without systemd, root waits in the place of a replica that sleeps. A replica's own words could say the same.
    if processes.waits(pid) and _user(pid) == 0:
        return list(FENCES)
    tree = processes.tree(pid, family)
    # Without systemd, root looks at the files, waits for the device and puts up the fence before there is a replica.
    if any(_CHECK in processes.command_line(each) and _user(each) == 0 for each in tree):
        return list(FENCES)
    if all(_prepares(root, each) for each in tree):
        return list(FENCES)
    # Without systemd, what starts the replica stays, as root.
    replica = next((each for each in tree if _user(each) not in (0, None)), pid)
    status = _status(replica)
    if not status:
        return list(FENCES)
    user = _user(replica)
    holds = {
        "user": user not in (0, router_files.reader(root)[0]),
        "rights": status.get("NoNewPrivs") == "1" and not int(status.get("CapBnd", "0"), 16),
        "files": _is_apart(replica, "mnt"),
        "processes": _is_apart(replica, "pid") or _hides_others(replica),
        "network": _is_cut_off(user or 0),
        "calls": status.get("Seccomp") == "2",
    }
    return [each for each in FENCES if holds[each]]


def _prepares(root: str, pid: int) -> bool:
    """Whether the process is a start script of root's, or a program that puts up a fence for it."""
    words = processes.command_line(pid)
    slots = os.path.join(root, "slots", "")
    script = any(word.startswith(slots) and word.endswith("/start") for word in words[:2])
    program = "".join(os.path.basename(word) for word in words[:1])
    return _user(pid) == 0 and (script or program in _PREPARE)


def _works(argv: tuple[str, ...], text: str = "") -> bool:
    try:
        done = subprocess.run(
            argv,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A busy host is slow, and a fence that does not answer in time counts as none.
            timeout=30,
            env={"PATH": _PATH},
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _status(pid: int) -> dict[str, str]:
    """Return the fields of /proc/PID/status (proc(5)); none where the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            pairs = (line.partition(":") for line in file)
            return {name: value.strip() for name, _, value in pairs}
    except OSError:
        return {}


def _user(pid: int) -> int | None:
    uids = _status(pid).get("Uid", "").split()
    return int(uids[0]) if uids else None


def _is_apart(pid: int, kind: str) -> bool:
    """Whether the process has another namespace of this kind than this one."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    except OSError:
        return False


def _hides_others(pid: int) -> bool:
    """Whether the /proc that the process sees hides processes of other users (systemd's ProtectProc)."""
    try:
        with open(f"/proc/{pid}/mountinfo") as file:
            return any(line.split()[4] == "/proc" and "hidepid=" in line for line in file)
    except OSError:
        return False


def _is_cut_off(user: int) -> bool:
    """Whether the user's packets are filtered: by systemd, for the unit, or by the table with the user's name."""
    if processes.init_system() == "systemd":
        return os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    try:
        table = re.sub("[^A-Za-z0-9_]", "_", pwd.getpwuid(user).pw_name)
    except KeyError:
        return False
    return _works(("nft", "list", "table", "inet", table))
