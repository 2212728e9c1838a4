"""The lines of one process: a file that only grows, by whole lines with one call of the kernel."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

# Bytes after which a file ends and the next one of the run begins, and bytes that all files together may take. The host
# carries the lines away within seconds; where nobody does, the oldest go, and the gap in the numbers shows it.
PART = 16 * 2**20
ALL = 256 * 2**20
# Files beside the one that begins. A replica that dies at each start leaves one each time.
FILES = 255

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


class Book:
    """The file `RUN.jsonl` in `directory`, and `RUN.1.jsonl` and so on after it.

    `head` is the first line of each. Raises OSError where the directory cannot be written to; the lines after that are
    lost, and their numbers with them.
    """

    def __init__(
        self, directory: str, head: Mapping[str, Any], *, part: int = PART, everything: int = ALL
    ) -> None:
        self.run = os.urandom(8).hex()
        self.number = 0
        self._directory, self._head = directory, {"run": self.run, **head}
        self._limit, self._everything = part, everything
        self._part, self._size, self._torn = 0, 0, False
        self._file = -1
        self._begin(0)

    def record(self, *requests: str) -> None:
        """Write the lines of requests under the next numbers, which are used whether or not that works.

        Each is its other fields as JSON without braces, see `lines.py`.
        """
        texts = []
        for fields in requests:
            self.number += 1
            texts.append(f'{{"n":{self.number},{fields}}}')
        self._write("\n".join(texts))

    def write(self, line: Mapping[str, Any]) -> None:
        """Write a line of another kind."""
        self._write(_ENCODE(line))

    def _write(self, line: str) -> None:
        if self._size >= self._limit:
            # Where no file can begin, the former goes on.
            with contextlib.suppress(OSError):
                self._begin(self._part + 1)
        self._append(line)

    def close(self) -> None:
        """Write nothing any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, line: str) -> None:
        text = f"{line}\n".encode()
        # A line that a full disk has cut must not spoil the line after it.
        data = b"\n" + text if self._torn else text
        written = os.write(self._file, data)
        self._size += written
        self._torn = written < len(data)
        if self._torn:
            raise OSError(f"{written} of {len(data)} bytes written")

    def _begin(self, part: int) -> None:
        """Begin a file; raises OSError, and goes on with the former one, where its first line is not written whole.

        A file without it would be none to who reads it, with all that follows.
        """
        os.makedirs(self._directory, 0o700, exist_ok=True)
        self._make_room()
        name = f"{self.run}.{part}.jsonl" if part else f"{self.run}.jsonl"
        path = os.path.join(self._directory, name)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        head = f"{_ENCODE({**self._head, 'part': part})}\n".encode()
        handle = os.open(path, flags, 0o600)
        try:
            written = os.write(handle, head)
            if written < len(head):
                raise OSError(f"{written} of {len(head)} bytes written")
        except OSError:
            os.close(handle)
            os.unlink(path)
            raise
        self.close()
        self._file, self._part, self._size, self._torn = handle, part, written, False

    def _make_room(self) -> None:
        """Remove the oldest files where there are too many, or all together take more than they may."""
        with os.scandir(self._directory) as entries:
            found = [
                (seen.st_mtime_ns, each.path, seen.st_size)
                for each in entries
                if each.name.endswith(".jsonl")
                for seen in (each.stat(follow_symlinks=False),)
            ]
        taken, count = sum(size for _, _, size in found), len(found)
        for _, path, size in sorted(found):
            if taken + self._limit <= self._everything and count <= FILES:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
                taken, count = taken - size, count - 1
