"""The files of the router's directory: one change at a time, each file whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence

from router_socket import RouterError


@contextlib.contextmanager
def alone(directory: str) -> Iterator[None]:
    """Hold the router's lock. The kernel releases it when its holder dies."""
    handle = os.open(os.path.join(directory, ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        until = time.monotonic() + 30
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise RouterError("another change of the router has not ended within 30 s")
                time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def read(path: str) -> str | None:
    """Return the text of a file, None where there is none."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(
    directory: str, files: Mapping[str, str], names: Sequence[str], mode: int = 0o644
) -> None:
    """Replace the named files one by one in that order, each whole or not at all, even if power fails.

    The files get the owner of the directory.
    """
    owner = os.stat(directory)
    for name in names:
        path = os.path.join(directory, name)
        temporary = path + ".new"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(handle, "w") as file:
            os.fchmod(handle, mode)
            file.write(files[name])
            file.flush()
            os.fsync(handle)
        if os.geteuid() == 0:
            os.chown(temporary, owner.st_uid, owner.st_gid)
        os.replace(temporary, path)
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
