"""Locks on directories, and small questions about files, for the store."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(place: Path) -> Iterator[bool]:
    """Make the directory and lock it; yields False where another holds it or just took it away."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The directory may have been removed, or removed and made again, before the lock.
        held = place.exists() and place.stat().st_ino == os.fstat(handle).st_ino
    except (BlockingIOError, FileNotFoundError):
        held = False
    try:
        yield held
    finally:
        os.close(handle)


def remove_if_abandoned(owner: Path, litter: Path) -> int:
    """Remove `litter` unless a living process holds the directory `owner`; 1 if it went."""
    with locked(owner) as mine:
        if not mine:
            return 0
        if litter.is_dir():
            shutil.rmtree(litter, ignore_errors=True)
        else:
            litter.unlink(missing_ok=True)
        return 1


def entries(place: Path) -> tuple[Path, ...]:
    """Return what the directory holds; nothing where there is none."""
    return tuple(sorted(place.iterdir())) if place.is_dir() else ()


def size_of(path: Path) -> int:
    """Return the file's bytes, -1 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def modified(path: Path) -> float:
    """Return when the file was last written, in epoch seconds; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
