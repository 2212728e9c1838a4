"""Files of a swarm are hashed as soon as each is whole, while the others are still on their way."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from trees import File, Tree, is_right, link

_THREADS = 2
_FLUSH_SECONDS = 300
# Whoever passes pieces on comes first.
_NICE = 10


class Checks:
    """Of files that come into `top`. `flush` begins to write what is still in memory; `flushed` answers it."""

    def __init__(self, tree: Tree, top: str, flush: Callable[[], None]) -> None:
        self._tree, self._top, self._flush = tree, top, flush
        self._pool = ThreadPoolExecutor(_THREADS, initializer=_step_back)
        self._whole: list[File] = []
        self._in_flush: list[File] = []
        self._flush_began = 0.0
        self._checks: dict[str, Future[bool]] = {}

    def add(self, files: Iterable[File]) -> None:
        """Check these files, all pieces of which have come; each is named once."""
        self._whole += files
        self._write()

    def flushed(self) -> None:
        """Hash what is written now."""
        for file in self._in_flush:
            self._checks[file.path] = self._pool.submit(self._check, file)
        self._in_flush = []
        self._write()

    def are_done(self) -> bool:
        """Whether all that were added are checked; raises TimeoutError where the disk does not take them."""
        if self._in_flush and time.monotonic() - self._flush_began > _FLUSH_SECONDS:
            raise TimeoutError(f"files are not written after {_FLUSH_SECONDS} s")
        return not self._in_flush and all(check.done() for check in self._checks.values())

    def wrong(self) -> list[str]:
        """Return the paths of files that are not what they should be, once all are checked."""
        return [path for path, check in self._checks.items() if not check.result()]

    def close(self) -> None:
        """Begin no further check."""
        self._pool.shutdown(cancel_futures=True)

    def _write(self) -> None:
        if self._whole and not self._in_flush:
            self._in_flush, self._whole = self._whole, []
            self._flush_began = time.monotonic()
            self._flush()

    def _check(self, file: File) -> bool:
        path = os.path.join(self._top, file.path)
        if not file.size:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, "wb").close()
        if not is_right(path, file):
            return False
        link(self._tree, path, file)
        return True


def _step_back() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
