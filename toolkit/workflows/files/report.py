"""Progress of a pull, and of a bundle that is made or loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from toolkit.workflows.files.pool import StopAskedError


class PullReport(Protocol):
    """Receives the progress of a pull; called from several threads at once."""

    def note(self, text: str) -> None:
        """Take a remark, one sentence."""

    def begin(self, title: str, files: int, size: int) -> None:
        """Take the number of files to fetch, and their `size` in bytes together."""

    def advance(self, path: str, size: int) -> None:
        """Count `size` bytes of a file; a negative size takes back bytes that have to come again."""

    def file_done(self, path: str, size: int) -> None:
        """Take a file that is complete and has the pinned digest."""

    def end(self) -> None:
        """Take the end, after success and failure alike."""


@contextmanager
def reporting(
    report: PullReport, title: str, files: int, size: int, interrupted: str = ""
) -> Iterator[None]:
    """Report the beginning and the end of the block; after Ctrl-C add the remark `interrupted`."""
    report.begin(title, files, size)
    try:
        yield
    except KeyboardInterrupt:
        report.end()
        if interrupted:
            report.note(interrupted)
        raise
    finally:
        report.end()


def counted(stop: threading.Event, report: PullReport, path: str) -> Callable[[int], None]:
    """Return a function that reports bytes of `path`, and ends its thread once `stop` is set."""

    def advance(size: int) -> None:
        if stop.is_set():
            raise StopAskedError
        report.advance(path, size)

    return advance
