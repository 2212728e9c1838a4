"""Room, threads and progress: what making a bundle and taking one in have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from toolkit.adapters import bundle as disk
from toolkit.domain.quantity import format_size
from toolkit.errors import SourceError
from toolkit.planning.upkeep.download import RESERVE
from toolkit.workflows.files.pool import StopAskedError, Stopped, run_all
from toolkit.workflows.files.pull import PullReport

WORKERS = 4


def require_room(needed: Mapping[Path, int], what: str) -> None:
    """Raise SourceError unless there are so many bytes for each place, summed up by file system."""
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


def run_jobs(jobs: Sequence[Callable[[threading.Event], None]]) -> None:
    """Run the jobs in a few threads; raises what the first failure raised."""
    try:
        run_all(jobs, WORKERS)
    except Stopped as stopped:
        raise stopped.cause from stopped.cause.__cause__


def counted(stop: threading.Event, report: PullReport, path: str) -> Callable[[int], None]:
    """Return a function that counts the bytes of `path` and ends its thread when asked to stop."""

    def advance(size: int) -> None:
        if stop.is_set():
            raise StopAskedError
        report.advance(path, size)

    return advance
