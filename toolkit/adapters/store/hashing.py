"""Hash files while they are written, or afterwards."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from toolkit.domain.files.snapshot import FileDigest
from toolkit.regular import open_regular

BLOCK = 2**20


class GrowingFile:
    """A file that is hashed while it grows. What `path` already holds is its beginning.

    From the first whole block on, a thread of its own hashes, because hashlib releases the interpreter's lock.
    `progress` gets the number of bytes gained; `restarts` counts how often all of them were dropped. All bytes passed
    to `write` are in the file when the `with` block ends, by an exception as well.
    """

    def __init__(self, path: Path, progress: Callable[[int], None]) -> None:
        self._path = path
        self._progress = progress
        self._summary = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._written = 0
        self._blocks: queue.Queue[bytes | None] = queue.Queue(maxsize=8)
        self._hasher: threading.Thread | None = None
        self._file = -1
        self.restarts = 0

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._open()
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self._write_out()
            self._finish_hashing()
        finally:
            os.close(self._file)

    @property
    def size(self) -> int:
        """Bytes so far, those still in memory included."""
        return self._written + self._buffered

    def write(self, piece: bytes) -> None:
        """Append `piece`."""
        self._pieces.append(piece)
        self._buffered += len(piece)
        if self._buffered >= BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write the bytes in memory to the file and report them to `progress`."""
        gained = self._write_out()
        if gained:
            self._progress(gained)

    def restart(self) -> None:
        """Drop all bytes; `progress` gets their number as a negative one."""
        self._finish_hashing()
        self.restarts += 1
        dropped = self._written
        self._pieces, self._buffered, self._written = [], 0, 0
        self._summary = hashlib.sha256()
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        if dropped:
            self._progress(-dropped)

    def replace_with(self, path: Path) -> None:
        """Replace this file with the finished file at `path`, and hash that."""
        self.restart()
        os.close(self._file)
        path.replace(self._path)
        self._open()

    def sha256(self) -> str:
        """Return the sha256 hex of all bytes so far."""
        self.flush()
        self._finish_hashing()
        return self._summary.hexdigest()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while block := os.read(self._file, 4 * BLOCK):
                self._summary.update(block)
                self._written += len(block)
                self._progress(len(block))
        except BaseException:
            os.close(self._file)
            raise

    def _write_out(self) -> int:
        if not self._pieces:
            return 0
        block = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._buffered = [], 0
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._written += len(block)
        self._hash(block)
        return len(block)

    def _hash(self, block: bytes) -> None:
        if self._hasher is None and len(block) >= BLOCK:
            self._hasher = threading.Thread(target=self._hash_blocks, daemon=True)
            self._hasher.start()
        if self._hasher is None:
            self._summary.update(block)
        else:
            self._blocks.put(block)

    def _hash_blocks(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._summary.update(block)

    def _finish_hashing(self) -> None:
        if self._hasher is not None:
            self._blocks.put(None)
            self._hasher.join()
            self._hasher = None


def digest_file(path: Path, name: str, checked: Callable[[int], None] | None = None) -> FileDigest:
    """Return size and digests of the file at `path`, under the name `name`.

    `checked` gets the number of bytes hashed. Files of up to 16 MiB get a git blob id as well. Raises OSError where the
    file cannot be read, or is no regular one.
    """
    summary = hashlib.sha256()
    seen = 0
    with open(path, "rb", buffering=0, opener=open_regular) as file:
        size = os.fstat(file.fileno()).st_size
        blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        small = size <= 16 * BLOCK
        while block := file.read(4 * BLOCK):
            summary.update(block)
            if small:
                blob.update(block)
            seen += len(block)
            if checked is not None:
                checked(len(block))
    return FileDigest(name, seen, summary.hexdigest(), blob.hexdigest() if small else "")


def difference(pinned: FileDigest, found: FileDigest) -> str:
    """Return how a file differs from its pin, as a sentence; empty if it does not."""
    if found.size != pinned.size:
        return f"{pinned.path}: {found.size} bytes, pinned are {pinned.size}"
    if found.sha256 != pinned.sha256:
        return f"{pinned.path}: sha256 {found.sha256}, pinned is {pinned.sha256}"
    if pinned.git_sha1 and found.git_sha1 and found.git_sha1 != pinned.git_sha1:
        return f"{pinned.path}: git blob {found.git_sha1}, pinned is {pinned.git_sha1}"
    return ""
