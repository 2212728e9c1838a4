"""The room that a file system has left: bytes and files (inodes)."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

# What a system answers where a disk takes no more: no room, no quota, no write access.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# A command writes a history, a lock and a log in less.
LEAST_BYTES = 2**20
LEAST_FILES = 16


@dataclass(frozen=True, slots=True)
class Room:
    """What an ordinary user can still write: `free` bytes and `files`, None where their number has no limit."""

    free: int
    files: int | None

    @property
    def full(self) -> bool:
        """Whether not even a command's own files have room."""
        return self.free < LEAST_BYTES or (self.files is not None and self.files < LEAST_FILES)


def room(path: Path) -> Room:
    """Return the room of the file system that has `path`, or that would have it."""
    while not path.exists() and path != path.parent:
        path = path.parent
    found = os.statvfs(path)
    # Some file systems make inodes as they need them, and report none at all.
    return Room(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)


def way_out(path: Path) -> str:
    """Return the hint for a full disk at `path`."""
    return (
        f"free space there (df -h {path}; df -i {path}), for example with: toolkit prune; "
        "or keep the store on another disk: export TOOLKIT_HOME=DIR"
    )
