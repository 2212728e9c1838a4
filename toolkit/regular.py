"""Regular files alone: a pipe or a device in the place of one is an error, and nobody waits for it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

_IRREGULAR = "is no regular file"


def open_regular(name: str, flags: int) -> int:
    """Open a regular file, or a link to one: an `opener` for `open`.

    Raises OSError for a pipe, a device or a directory: the first two say that they are empty, and may never end.
    """
    return _opened(name, flags, 0o666)


def open_private(name: str, flags: int) -> int:
    """Open a regular file, and make it for its user alone where it is absent: an `opener` for `open`.

    Raises OSError as `open_regular` does.
    """
    return _opened(name, flags, 0o600)


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file, or of what a link leads to. Raises OSError as `open_regular` does."""
    with open(path, "rb", opener=open_regular) as file:
        return file.read()


def claim(path: Path) -> int | None:
    """Return a descriptor that keeps a file for this process alone until it is closed, or the process has ended.

    None where another process has it, has removed it since, or where it is no regular file.
    """
    try:
        file = open_regular(str(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The process that had it may have removed it since it was opened here.
        mine = os.fstat(file).st_nlink > 0
    except OSError:
        mine = False
    if not mine:
        os.close(file)
        return None
    return file


def _opened(name: str, flags: int, mode: int) -> int:
    try:
        handle = os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY, mode)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        # A socket, or a pipe that nobody reads.
        raise OSError(errno.EINVAL, _IRREGULAR, name) from None
    kind = os.fstat(handle).st_mode
    if not stat.S_ISREG(kind):
        os.close(handle)
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        raise OSError(errno.EINVAL, _IRREGULAR, name)
    return handle
