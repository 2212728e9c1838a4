"""Room on the disk for making a bundle and for loading one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from toolkit.adapters import bundle as disk
from toolkit.domain.quantity import format_size
from toolkit.errors import SourceError
from toolkit.planning.upkeep.download import RESERVE

WORKERS = 4


def require_room(needed: Mapping[Path, int], what: str) -> None:
    """Raise SourceError unless each file system has room for the bytes `needed` at its places."""
    sums: dict[int, int] = {}
    for path, size in needed.items():
        device, free = disk.room_below(path)
        sums[device] = sums.get(device, 0) + size
        if sums[device] and sums[device] + RESERVE > free:
            raise SourceError(
                f"{what} needs {format_size(sums[device])}, with {format_size(RESERVE)} to spare; "
                f"{path} has {format_size(free)} free",
                hint=f"free {format_size(sums[device] + RESERVE - free)} there, or use another disk",
            )
