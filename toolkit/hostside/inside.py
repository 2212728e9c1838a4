"""Act where another process is: in its control group, its namespaces, and as its user.

A filter of system calls is not taken over. So what is acted here has at most the fences of that process: what it cannot
reach, the process cannot reach either.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import time
from collections.abc import Callable

from documents import mapping
from wire import Document

# The user's namespace comes last: in it, root has no say over the others any more.
_SPACES = ("mnt", "net", "ipc", "uts", "pid", "user")
_CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
_NO_NEW_PRIVILEGES = 38
_MOST_BYTES = 2**20


class NotInside(Exception):
    """This process could not get where the other one is."""


class Act:
    """`function` at work in a process beside `pid`, as the user `uid` and the group `gid`.

    A process with threads must not begin one.
    """

    def __init__(self, pid: int, uid: int, gid: int, function: Callable[[], Document]) -> None:
        self._reading, writing = os.pipe()
        self._child = os.fork()
        if not self._child:
            os.close(self._reading)
            _be_inside(pid, uid, gid, function, writing)
        os.close(writing)

    def end(self, until: float) -> Document:
        """Return the result of the function; raises NotInside where it fails, or has none by the time `until`."""
        try:
            answer = _read(self._reading, until)
        finally:
            os.close(self._reading)
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(OSError):
                    kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        if "error" in answer:
            raise NotInside(str(answer["error"]))
        found: Document = answer["found"]
        return found


def _be_inside(
    pid: int, uid: int, gid: int, function: Callable[[], Document], writing: int
) -> None:
    """Write the answer and end: this is a process of its own, which never returns."""
    try:
        os.setsid()
        _enter(pid)
        # A namespace of processes is that of the next child.
        below = os.fork()
        if below:
            os.waitpid(below, 0)
            os._exit(0)
        _become(uid, gid)
        _write(writing, {"found": function()})
    except BaseException as error:
        _write(writing, {"error": "%s: %s" % (type(error).__name__, error)})
    finally:
        os._exit(0)


def _enter(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/%d/cgroup" % pid) as file:
        own = [line.strip().partition("::")[2] for line in file if line.startswith("0::")]
    handles = {}
    for space in _SPACES:
        path = "/proc/%d/ns/%s" % (pid, space)
        if os.readlink(path) != os.readlink("/proc/self/ns/%s" % space):
            handles[space] = os.open(path, os.O_RDONLY)
    for top in _CGROUPS:
        # The filter of packets is the group's, for the sockets that are made in it.
        place = os.path.join(top, own[0].lstrip("/"), "cgroup.procs") if own else ""
        if place and os.path.exists(place):
            with open(place, "w") as file:
                file.write(str(os.getpid()))
            break
    for space, handle in handles.items():
        if libc.setns(handle, 0):
            raise NotInside("%s: %s" % (space, os.strerror(ctypes.get_errno())))
        os.close(handle)


def _become(uid: int, gid: int) -> None:
    # In a namespace of users that forbids other groups there are none to lose.
    with contextlib.suppress(OSError):
        os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.geteuid() != uid or os.getegid() != gid:
        raise NotInside("it did not become the replica's user")


def _write(handle: int, answer: Document) -> None:
    with contextlib.suppress(OSError):
        data = json.dumps(answer).encode()
        while data:
            data = data[os.write(handle, data) :]


def _read(handle: int, until: float) -> Document:
    """Return the answer; the other end closes once it is whole."""
    data = b""
    while len(data) < _MOST_BYTES:
        left = until - time.monotonic()
        if left <= 0 or not select.select([handle], [], [], left)[0]:
            return {"error": "it took too long"}
        part = os.read(handle, 65536)
        if not part:
            break
        data += part
    return mapping(data) or {"error": "it ended without an answer"}
