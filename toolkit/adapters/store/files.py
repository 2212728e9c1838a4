"""Locks on directories, files that are replaced whole, and small questions about files."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(directory: Path) -> Iterator[bool]:
    """Make the directory and lock it; yields False if another process holds or has just removed it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, FileExistsError):
        # `mkdir` looks at an existing directory once more, and may find that it has gone meanwhile.
        if directory.exists() and not directory.is_dir():
            raise
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have removed the directory, or replaced it, before this one got the lock.
        held = directory.exists() and directory.stat().st_ino == os.fstat(handle).st_ino
    except (BlockingIOError, FileNotFoundError):
        held = False
    try:
        yield held
    finally:
        os.close(handle)


def replace_text(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Put a file with this text and these permissions at `path`, whole or not at all, and on disk. Raises OSError."""
    replace_file(path, text.encode(), mode=mode)


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put a file with these bytes and permissions at `path`, whole or not at all, and on disk. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Bring the entries of a directory to the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_if_abandoned(owner: Path, litter: Path) -> int:
    """Remove `litter` unless a living process has locked the directory `owner`; return 1 if it was removed."""
    with locked(owner) as mine:
        if not mine:
            return 0
        if litter.is_dir():
            shutil.rmtree(litter, ignore_errors=True)
        else:
            litter.unlink(missing_ok=True)
        return 1


def entries(directory: Path) -> tuple[Path, ...]:
    """Return the entries of the directory in order; none without a directory."""
    try:
        return tuple(sorted(directory.iterdir()))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def size_of(path: Path) -> int:
    """Return the file's size in bytes, -1 without a file."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def modified(path: Path) -> float:
    """Return the file's modification time in seconds since the epoch, 0 without a file."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
