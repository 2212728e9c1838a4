"""A ceiling for the logs of replicas: the replica writes into its log by itself, as much and as fast as it likes.

Rotation looks once a day, and a host without systemd has none. Here the watch looks at each log all the time.
"""

from __future__ import annotations

import contextlib
import os
import stat

from directory import NotSafe, require_own

# Bytes that a log has at most between two looks, and those of its end that stay.
MOST, KEPT = 256 * 2**20, 2**18
_ENDINGS = (".log", ".log.1")
_WORDS = "toolkit: this log had more than %d MiB; all but its end is dropped\n"


class LogCeiling:
    """The logs of the host whose toolkit lies in `root`, as its watch keeps them."""

    def __init__(self, root: str, most: int = MOST) -> None:
        self._directory, self._most = os.path.join(root, "logs"), most

    def look(self) -> list[str]:
        """Cut each log that has more than `most` bytes; return nothing, as the log itself says so."""
        # The next `provision` takes a directory that others can write to into root's hands.
        with contextlib.suppress(NotSafe, FileNotFoundError):
            require_own(self._directory)
            with os.scandir(self._directory) as entries:
                long = [each.path for each in entries if self._is_long(each)]
            for path in long:
                with contextlib.suppress(OSError):
                    _cut(path, self._most)
        return []

    def _is_long(self, entry: os.DirEntry[str]) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return (
                entry.name.endswith(_ENDINGS)
                and entry.stat(follow_symlinks=False).st_size > self._most
            )
        return False


def _cut(path: str, most: int) -> None:
    """Leave the last `KEPT` bytes of a log. Its writer goes on behind them: it appends, see the role `replica`."""
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(os.open(path, flags), "rb+", buffering=0) as log:
        seen = os.fstat(log.fileno())
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1:
            return
        end = os.pread(log.fileno(), KEPT, max(0, seen.st_size - KEPT))
        os.ftruncate(log.fileno(), 0)
        # The end begins amid a line.
        log.write((_WORDS % (most >> 20)).encode() + end[end.find(b"\n") + 1 :])
