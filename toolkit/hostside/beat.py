"""The signs of life of the watch: the age of a file, by which commands see whether it runs, and a word to systemd,
which kills and starts one that is frozen."""

from __future__ import annotations

import contextlib
import os
import socket
import time

from directory import Directory, make_own

PLACE, NAME = "watch", "beat"
SECONDS = 5.0
# The watch may be late by several beats on a busy host.
_LATE_SECONDS = 30.0


class Beat:
    """The beat of the watch whose host's toolkit lies in `root`."""

    def __init__(self, root: str) -> None:
        self._root, self._beaten = root, 0.0

    def look(self) -> list[str]:
        """Give the sign where it is due; return nothing, as nothing was done."""
        if time.monotonic() - self._beaten >= SECONDS:
            self._beaten = time.monotonic()
            # First, because a full disk is no reason to start it again.
            _tell_systemd()
            with Directory(make_own(self._root, PLACE)) as opened:
                opened.write(NAME, "", durable=False)
        return []


def is_heard(root: str) -> bool:
    """Return whether the watch of this host has looked in the last half minute."""
    try:
        beaten = os.stat(os.path.join(root, PLACE, NAME)).st_mtime
    except OSError:
        return False
    # A beat from the future is one before the clock was set back, and says nothing of now.
    return abs(time.time() - beaten) < _LATE_SECONDS


def _tell_systemd() -> None:
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return
    # "@" stands for the zero byte of a name without a file.
    name = "\0" + place[1:] if place.startswith("@") else place
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.setblocking(False)
        line.sendto(b"WATCHDOG=1", name)
