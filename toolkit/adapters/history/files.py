"""The files of a history in SQLite. A pipe in the place of one keeps SQLite waiting, so none is opened."""

from __future__ import annotations

import os
from pathlib import Path

_ENDINGS = ("", "-journal", "-wal", "-shm")


def irregular(path: Path) -> str:
    """Return the name of the first file of the database `path` that is there and no regular file; empty without one."""
    files = (path.with_name(f"{path.name}{ending}") for ending in _ENDINGS)
    found = (each.name for each in files if os.path.lexists(each) and not each.is_file())
    return next(found, "")
