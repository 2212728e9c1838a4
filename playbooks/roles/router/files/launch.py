"""Start the router without systemd: make its socket as root, then run HAProxy as the router's user.

    python3 -I launch.py SOCKET USER HAPROXY...

HAProxy gets the socket as descriptor 3. So root alone can connect to it, and the router need not write anywhere.
A supervisord that was killed leaves its router behind, with a log that leads nowhere. The new router takes its place as
at a reload.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys

FIRST = 3


def left_behind(command: list[str]) -> list[str]:
    """Return the pids of the processes that run `command` already."""
    words = "\0".join(command).encode()
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            # A router that has reloaded has more words behind these.
            if file.read(len(words)) == words:
                found.append(name)
    return found


def main(path: str, user: str, command: list[str]) -> None:
    """Replace this process by `command`."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.umask(0o177)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.umask(0o022)
    listener.listen(128)
    os.dup2(listener.detach(), FIRST)
    os.set_inheritable(FIRST, True)
    # A core holds prompts and keys. With a limit of 0 the kernel still hands one to a program that core_pattern names,
    # with 1 it does not. Root of a container may be unable to raise a limit that is 0.
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    words = [f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"]
    words += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
    former = left_behind(command)
    os.execv(  # noqa: S606
        "/usr/bin/setpriv", ["setpriv", *words, *command, *(["-sf", *former] if former else [])]
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
