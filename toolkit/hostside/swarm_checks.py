"""Hash the files of a swarm while they come, so that little is left to hash at the end."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from trees import Arrival, File, is_right, link

_THREADS = 2
_FLUSH_SECONDS = 300
_READ_SECONDS = 0.5
_CHUNK = 2**20
# Hashing must not slow the threads that pass pieces on.
_NICE = 10


class Growing:
    """The hash of a file whose bytes come from front to back."""

    def __init__(self, path: str, file: File) -> None:
        self._path, self._file = path, file
        self._summary, self.at = hashlib.sha256(), 0
        self._guard = threading.Lock()

    def read(self, upto: int) -> None:
        """Hash the file up to the offset `upto`, as far as the bytes are there."""
        with self._guard, open(self._path, "rb", buffering=0) as opened:
            opened.seek(self.at)
            buffer = memoryview(bytearray(max(0, min(_CHUNK, upto - self.at))))
            while count := opened.readinto(buffer[: max(0, upto - self.at)]):
                self._summary.update(buffer[:count])
                self.at += count

    def is_right(self) -> bool:
        """Whether the whole file is right. On a mismatch, hash it again: a read may have preceded its write."""
        try:
            self.read(self._file.size)
            same_size = os.stat(self._path).st_size == self._file.size
        except OSError:
            return False
        if same_size and self._summary.hexdigest() == self._file.sha256:
            return True
        return is_right(self._path, self._file)


class Checks:
    """The checks of files that come into the directory `top`.

    `flush` makes libtorrent write its memory to the disk; its answer calls `flushed`.
    """

    def __init__(self, tree: Arrival, top: str, flush: Callable[[], None]) -> None:
        self._tree, self._top, self._flush = tree, top, flush
        self._pool = ThreadPoolExecutor(_THREADS, initializer=_step_back)
        self._whole: list[File] = []
        self._in_flush: list[File] = []
        self._flush_began = 0.0
        self._checks: dict[str, Future[bool]] = {}
        self._growing: dict[str, Growing] = {}
        self._came = ("", 0)
        self._reading: Future[None] | None = None
        self._reads_at = 0.0

    def grown(self, file: File, upto: int) -> None:
        """Hash what is on the disk of a file, of which the first `upto` bytes have come."""
        now = time.monotonic()
        if now < self._reads_at or self.is_reading():
            return
        # The newest bytes may still be in memory. Those of the previous call are on the disk by now.
        path, written = self._came
        self._came, self._reads_at = (file.path, upto), now + _READ_SECONDS
        if path == file.path and path not in self._checks:
            self._reading = self._pool.submit(self._growth(file).read, written)

    def is_reading(self) -> bool:
        """Whether an incomplete file is being hashed."""
        return self._reading is not None and not self._reading.done()

    def add(self, files: Iterable[File]) -> None:
        """Check these files, whose pieces have all come. Each file may be added once."""
        self._whole += files
        self._write()

    def flushed(self) -> None:
        """Hash the files that libtorrent has written now."""
        for file in self._in_flush:
            self._checks[file.path] = self._pool.submit(self._check, file)
        self._in_flush = []
        self._write()

    def are_done(self) -> bool:
        """Whether all added files are checked; raises TimeoutError where the disk does not store them."""
        if self._in_flush and time.monotonic() - self._flush_began > _FLUSH_SECONDS:
            raise TimeoutError(f"files are not written after {_FLUSH_SECONDS} s")
        return not self._in_flush and all(check.done() for check in self._checks.values())

    def wrong(self) -> list[str]:
        """Return the paths of files with a wrong digest, once all are checked."""
        return [path for path, check in self._checks.items() if not check.result()]

    def close(self) -> None:
        """Start no further check."""
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
        if not self._growth(file).is_right():
            return False
        link(self._tree, path, file)
        return True

    def _growth(self, file: File) -> Growing:
        return self._growing.setdefault(
            file.path, Growing(os.path.join(self._top, file.path), file)
        )


def _step_back() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
