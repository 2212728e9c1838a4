"""The files of a history in SQLite. A pipe in the place of one keeps SQLite waiting, so none is opened."""

from __future__ import annotations

import stat
from pathlib import Path

_ENDINGS = ("", "-journal", "-wal", "-shm")


def irregular(path: Path) -> str:
    """Return the name of the first file of the database `path` that is there and no regular file; empty without one."""
    return next((each.name for each in files_of(path) if _is_odd(each)), "")


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that SQLite may keep of the database `path`, whether they are there or not."""
    return tuple(path.with_name(f"{path.name}{ending}") for ending in _ENDINGS)


def _is_odd(path: Path) -> bool:
    try:
        # One look: the journal of another process may have gone before a second one.
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not (path.is_file() if stat.S_ISLNK(mode) else stat.S_ISREG(mode))
