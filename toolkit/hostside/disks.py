"""The room on the file systems below the toolkit's root: engines and snapshots may have one of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple


class Room(NamedTuple):
    """Bytes free and in all, files that can still be made (None without a limit), and whether no program runs there.

    A disk that is `read_only` was mounted so, or has failed.
    """

    free: int
    total: int
    files: int | None
    noexec: bool
    read_only: bool = False


def of_root(root: str) -> Room:
    """Return the least room among the file systems of `root`, its engines and its snapshots.

    Only engines are programs, so that `noexec` says nothing of a disk for snapshots alone. Whether it is `read_only` is
    said of the root's own, where the host keeps its state: a disk for engines may be one for reading on purpose.
    """
    return _least(root, lambda room: room.free)


def fullest_of_root(root: str) -> Room:
    """Return the same with the smallest free share in place of the least room: what runs full first may be large."""
    return _least(root, lambda room: room.free / max(1, room.total))


def free_for_temporary() -> int:
    """Return the bytes free where programs put temporary files."""
    # Not `tempfile`, which takes another directory where the usual one is full.
    return _of(os.environ.get("TMPDIR") or "/tmp").free  # noqa: S108


def _least(root: str, of: Callable[[Room], float]) -> Room:
    rooms = {name: _of(os.path.join(root, name)) for name in ("", "engines", "snapshots")}
    limits = [room.files for room in rooms.values() if room.files is not None]
    return min(rooms.values(), key=of)._replace(
        files=min(limits, default=None),
        noexec=rooms[""].noexec or rooms["engines"].noexec,
        read_only=rooms[""].read_only,
    )


def _of(path: str) -> Room:
    while not os.path.isdir(path):
        path = os.path.dirname(path) or "/"
    found = os.statvfs(path)
    # Some file systems make inodes as they need them, and report none at all.
    files = found.f_ffree if found.f_files else None
    return Room(
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        files,
        noexec=bool(found.f_flag & os.ST_NOEXEC),
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )
