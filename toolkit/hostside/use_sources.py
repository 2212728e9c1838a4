"""The files in which replicas write down their use, each in the directory of another user.

Nothing in such a directory is followed: names are opened relative to it, and only regular files with one name are read.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Iterator

import use_lines
from wire import Document

# Names of a replica's directory that are looked at.
MOST_NAMES = 4096
_NAME = re.compile(r"([0-9a-f]{16})(?:\.([0-9]{1,6}))?\.jsonl\Z")


class Source:
    """A file of a replica, as it was seen."""

    def __init__(
        self, folder: str, program: str, name: str, run: str, seen: os.stat_result
    ) -> None:
        self.folder, self.program, self.name, self.run = folder, program, name, run
        self.inode, self.size = seen.st_ino, seen.st_size

    def read(self, offset: int, most: int) -> bytes:
        """Return at most `most` bytes from `offset` on; nothing where the file is another one by now."""
        try:
            folder = _opened(self.folder)
        except OSError:
            return b""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            handle = os.open(self.name, flags, dir_fd=folder)
        except OSError:
            return b""
        finally:
            os.close(folder)
        try:
            seen = os.fstat(handle)
            if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1 or seen.st_ino != self.inode:
                return b""
            return os.pread(handle, min(most, self.size - offset), offset)
        finally:
            os.close(handle)


def sources(root: str) -> list[Source]:
    """Return the files of all replicas, those of one run in the order in which they were written."""
    caches = os.path.join(root, "caches")
    try:
        programs = sorted(os.listdir(caches))
    except OSError:
        return []
    found = []
    for program in programs:
        folder = os.path.join(caches, program, "use")
        files = [
            (run, part, Source(folder, program, name, run, seen))
            for name, run, part, seen in _names(folder)
        ]
        found += [each for _, _, each in sorted(files, key=lambda file: file[:2])]
    return found


def _names(folder: str) -> Iterator[tuple[str, str, int, os.stat_result]]:
    try:
        handle = _opened(folder)
    except OSError:
        return
    try:
        with os.scandir(handle) as entries:
            for entry in itertools.islice(entries, MOST_NAMES):
                form = _NAME.match(entry.name)
                if form is None:
                    continue
                try:
                    seen = os.stat(entry.name, dir_fd=handle, follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1:
                    yield entry.name, form[1], int(form[2] or 0), seen
    finally:
        os.close(handle)


def _opened(folder: str) -> int:
    """Return a descriptor of `<root>/caches/PROGRAM/use`, of which the last two names must be no links."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    home = os.open(os.path.dirname(folder), flags)
    try:
        return os.open(os.path.basename(folder), flags, dir_fd=home)
    finally:
        os.close(home)


def whole_lines(data: bytes, known: Document) -> tuple[list[bytes], int]:
    """Return the whole lines of `data` and the bytes that they take.

    A line longer than any record is left out, up to its end, wherever that is; `known` notes so and counts it.
    """
    start = 0
    if known.get("skips"):
        end = data.find(b"\n")
        if end < 0:
            return [], len(data)
        del known["skips"]
        start = end + 1
    last = data.rfind(b"\n") + 1
    if len(data) - max(last, start) > use_lines.LINE:
        known["skips"] = True
        known["refused"] = known.get("refused", 0) + 1
        return data[start:last].split(b"\n")[:-1] if last > start else [], len(data)
    if last <= start:
        return [], start
    return data[start:last].split(b"\n")[:-1], last
