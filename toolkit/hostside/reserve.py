"""Room that is kept for commands where a host's disk is full: files with their blocks, which take the text of others.

A rollback writes a few small files, and may be what ends the flood that filled the disk. The watch keeps the files in
`<root>/watch/reserve` while there is room. A command that finds none renames one of them into the place of its new
file and writes into its blocks, so nobody else can take the room in between. The watch itself takes none: it writes
all the time.
"""

from __future__ import annotations

import contextlib
import os
import time

from directory import Directory, make_own

PLACE = ("watch", "reserve")
# Bytes of a file -> how many there are: 3 MiB in all. The largest takes the routes of a fleet of fifty hosts.
SIZES = {2**14: 24, 2**16: 12, 2**18: 8}
# The watch fills them only where so many bytes, and so many files, stay for others.
LEAST_BYTES, LEAST_FILES = 64 * 2**20, 1000
SECONDS = 60.0
# Directories of the toolkit lie so many levels below the root at most.
_LEVELS = 3


class Reserve:
    """The reserve of the host whose toolkit lies in `root`, as its watch keeps it."""

    def __init__(self, root: str) -> None:
        self._root, self._looked = root, -SECONDS

    def look(self) -> list[str]:
        """Fill what is missing where there is room; return nothing, as nobody needs to hear of it."""
        if time.monotonic() - self._looked < SECONDS:
            return []
        self._looked = time.monotonic()
        with Directory(make_own(self._root, *PLACE)) as opened:
            there = set(opened.names())
            lacking = [name for name in names() if name not in there]
            room = os.statvfs(self._root)
            if (
                lacking
                and room.f_bavail * room.f_frsize > LEAST_BYTES
                and room.f_favail > LEAST_FILES
            ):
                opened.sweep()
                for name in lacking:
                    opened.write(name, "\0" * int(name.partition("-")[0]), 0o600, durable=False)
        return []


def names() -> list[str]:
    """Return the names of all files, `BYTES-NUMBER`, the smallest first."""
    return [f"{size}-{number}" for size, count in SIZES.items() for number in range(count)]


def take(directory: str, size: int, temporary: str) -> bool:
    """Rename a file with blocks for `size` bytes to `temporary` in `directory`; return whether there was one."""
    place = _place(directory)
    for name in names() if place else ():
        if int(name.partition("-")[0]) < size:
            continue
        # It is gone, another command was faster, or it lies on another disk.
        with contextlib.suppress(OSError):
            os.rename(os.path.join(place, name), os.path.join(directory, temporary))
            return True
    return False


def _place(directory: str) -> str:
    """Return the directory of the reserve of the root that `directory` lies in; nothing where there is none."""
    root = os.path.abspath(directory)
    for _ in range(_LEVELS + 1):
        place = os.path.join(root, *PLACE)
        if os.path.isdir(place):
            return place
        root = os.path.dirname(root)
    return ""
