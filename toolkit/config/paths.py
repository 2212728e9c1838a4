"""Paths that a person wrote, on the command line or in a variable."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """Return the path with its leading `~` replaced; one of a user whom nobody knows stays.

    pathlib raises RuntimeError for such a user.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111


def absolute(path: str | Path) -> Path:
    """Return the path, absolute and without links; a link that leads to itself stays.

    pathlib raises RuntimeError for such a link. Opening the path gives the reason.
    """
    return Path(os.path.realpath(expanded(path)))


def permissions(path: Path) -> int:
    """Return the permissions of the file at `path`, or those that a new one gets there."""
    if path.exists():
        return path.stat().st_mode & 0o7777
    current = os.umask(0o022)
    os.umask(current)
    return 0o666 & ~current
