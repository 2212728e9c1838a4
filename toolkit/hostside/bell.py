"""The bell of the watch: a command that has written an order rings it, so that the guard looks at once.

    <root>/watch/bell    a named pipe of the watch that runs

A ring that nobody hears is lost: the watch looks twice a second anyway.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import time

from directory import NotSafe, make_own

PLACE, NAME = "watch", "bell"
_RINGS = 4096


class Bell:
    """The bell of a watch, new with each watch, whose host's toolkit lies in `root`."""

    def __init__(self, root: str) -> None:
        self._handle: int | None = None
        # A disk that takes no files has no bell. Then each look comes in its turn.
        with contextlib.suppress(OSError, NotSafe):
            path = os.path.join(make_own(root, PLACE), NAME)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.mkfifo(path, 0o600)
            # For writing too: a pipe without a writer ends, and would ring for ever.
            self._handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)

    def rest(self, until: float) -> float:
        """Wait until the moment `until` of the monotonic clock, or until somebody rings; return the moment then."""
        left = max(0.0, until - time.monotonic())
        if self._handle is None:
            time.sleep(left)
        elif select.select([self._handle], [], [], left)[0]:
            os.read(self._handle, _RINGS)
        return time.monotonic()


def ring(root: str) -> None:
    """Have the watch look at its orders now; does nothing where none runs."""
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with contextlib.suppress(OSError):
        handle = os.open(os.path.join(root, PLACE, NAME), flags)
        try:
            if stat.S_ISFIFO(os.fstat(handle).st_mode):
                os.write(handle, b"\n")
        finally:
            os.close(handle)
