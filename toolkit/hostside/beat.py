"""The sign of life of the watch: the age of a file, by which commands see whether it runs."""

from __future__ import annotations

import os
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
            with Directory(make_own(self._root, PLACE)) as opened:
                opened.write(NAME, "", durable=False)
        return []


def is_heard(root: str) -> bool:
    """Return whether the watch of this host has looked in the last half minute."""
    try:
        return time.time() - os.stat(os.path.join(root, PLACE, NAME)).st_mtime < _LATE_SECONDS
    except OSError:
        return False
