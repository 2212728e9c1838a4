"""Copy a local file, by sharing its extents where the file system can."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from toolkit.adapters.store.hashing import BLOCK, GrowingFile
from toolkit.regular import open_regular

# From linux/fs.h: makes two files share their blocks, on btrfs, XFS and others.
FICLONE = 0x40049409


def copy_file(source: Path, into: Path, progress: Callable[[int], None]) -> str:
    """Replace `into` with a copy of `source`; return the sha256 hex of the copied bytes.

    `progress` gets the number of bytes copied. Raises OSError where a file cannot be read or written,
    or `source` is no regular one.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    into.unlink(missing_ok=True)
    with open(source, "rb", buffering=0, opener=open_regular) as origin:
        shared = _share_extents(origin.fileno(), into)
        with GrowingFile(into, progress) as copy:
            if not shared:
                while block := origin.read(BLOCK):
                    copy.write(block)
            return copy.sha256()


def _share_extents(origin: int, into: Path) -> bool:
    target = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.ioctl(target, FICLONE, origin)
    except OSError:
        return False
    finally:
        os.close(target)
    return True
