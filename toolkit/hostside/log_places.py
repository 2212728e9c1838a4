"""Read the router's access log from where an earlier look ended.

Under systemd the router logs to the journal, elsewhere to <root>/supervisor/router.log, of which supervisord keeps the
former ones. A place says up to where the log was read; it is JSON, and whoever reads keeps it.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
import zlib
from typing import BinaryIO

import access_log
import processes
from directory import open_plain
from documents import parsed
from wire import Document

# Bytes of the log that one look reads.
LOOK_BYTES = 2**21
# Seconds for which journalctl may read: the watch that waits for it does nothing else.
SECONDS = 10.0
# Bytes of the first line of a file that tell it from others: its time and its request's id are within.
_HEAD = 1024
_JOURNAL = (
    *("journalctl", "--output=json", "--output-fields=MESSAGE", "--all"),
    *("--no-pager", "--quiet"),
)


class Unreadable(OSError):
    """The log cannot be read."""


def of(root: str) -> Journal | Files:
    """Return the log of the router whose toolkit lies in `root`."""
    return Journal(root) if processes.init_system() == "systemd" else Files(root)


class Files:
    """The log under supervisord: `router.log`, and the former ones that supervisord keeps.

    A place has inode, offset and the digest of the first line of the file that was read last. Under `files` it has the
    same of the other files. So nobody reads those again where the file that was read last is cut short or lost.
    """

    kind = "file"

    def __init__(self, root: str) -> None:
        self._names = access_log.names(root)
        self.place: Document = {}
        self.gap = self.more = False

    def end(self) -> Document:
        """Return the place of what comes next."""
        with contextlib.ExitStack() as opened:
            found = self._found(opened)
            return self._place([each.mark(each.size) for each in found] or [[0, 0, 0]])

    def after(self, place: Document) -> list[str]:
        """Return the lines from `place` on; `place`, `gap` and `more` are then those of their end."""
        # A place of an older toolkit knows one file.
        last = [place["inode"], place.get("head", 0), int(place["offset"])]
        known: list[list[int]] = [*place.get("files", ()), last]
        lines: list[str] = []
        read: list[list[int]] = []
        budget, self.place = LOOK_BYTES, place
        with contextlib.ExitStack() as opened:
            found = self._found(opened)
            offsets = _offsets(found, known)
            first = _last_read(found, last)
            # Inode 0 says that there was no file yet.
            self.gap = first is None and last[0] != 0
            for number, each in enumerate(found):
                if number < (first or 0):
                    read.append(each.mark(each.size))
                    continue
                offset = offsets.get(each.inode, 0)
                if self.more:
                    # This look has no budget left for the file. The place up to which it was read stays known.
                    read = [*([each.mark(offset)] if offset else []), *read]
                    continue
                data, self.more = self._read(each, offset, budget)
                lines += data.decode("utf-8", "replace").splitlines()
                budget -= len(data)
                read.append(each.mark(offset + len(data)))
        if read:
            self.place = self._place(read)
        return lines

    def _place(self, read: list[list[int]]) -> Document:
        *files, (inode, head, offset) = read
        return {"kind": self.kind, "inode": inode, "offset": offset, "head": head, "files": files}

    def _read(self, opened: _File, offset: int, most: int) -> tuple[bytes, bool]:
        """Return whole lines, of a file that gets no more lines the rest too; and whether the bound cut them off."""
        opened.file.seek(offset)
        data = opened.file.read(most)
        end, full = data.rfind(b"\n") + 1, len(data) == most
        # A line that fills a whole look without an end is not the router's.
        grows = opened.path == self._names[0]
        whole = end if (full and end) or (grows and not full) else len(data)
        return data[:whole], full

    def _found(self, opened: contextlib.ExitStack) -> list[_File]:
        """Return the files, the oldest first. Each is opened once: its name may be another file's a moment later."""
        found: dict[int, _File] = {}
        # A file that is renamed meanwhile is found twice where the newest name is opened first, and never missed.
        for path in self._names:
            with contextlib.suppress(FileNotFoundError):
                each = _File(path, opened.enter_context(open(open_plain(path), "rb")))
                found.setdefault(each.inode, each)
        return [*found.values()][::-1]


class _File:
    """A file of the log. A mark of it is [inode, digest of the first line, offset].

    It is known by inode and first line, because a new file may have the inode of one that is gone.
    """

    def __init__(self, path: str, file: BinaryIO) -> None:
        seen = os.fstat(file.fileno())
        self.path, self.file, self.inode, self.size = path, file, seen.st_ino, seen.st_size
        self._first = file.readline(_HEAD)

    def mark(self, offset: int) -> list[int]:
        """Return the mark of what was read up to `offset`: the first line may have had no end by then."""
        head = zlib.crc32(self._first[:offset]) if offset else 0
        return [self.inode, head, offset]

    def is_copy(self, mark: list[int]) -> bool:
        """Whether the file begins as the one of a mark, with the line of a request, which has a time and an id."""
        return mark[2] > 0 and self._first.startswith(b"{") and self.mark(mark[2])[1] == mark[1]


def _of(found: list[_File], mark: list[int]) -> list[_File]:
    """Return the file of a mark. Where it is gone or was emptied these are its copies: some rotate logs that way."""
    same = [each for each in found if each.mark(mark[2]) == mark]
    return same or [each for each in found if each.is_copy(mark)]


def _offsets(found: list[_File], marks: list[list[int]]) -> dict[int, int]:
    """Return up to where files were read, by inode."""
    offsets: dict[int, int] = {}
    for mark in marks:
        for each in _of(found, mark):
            offsets[each.inode] = max(offsets.get(each.inode, 0), min(mark[2], each.size))
    return offsets


def _last_read(found: list[_File], mark: list[int]) -> int | None:
    """Return the number of the file that was read last; None where it is lost or was cut short."""
    there = [found.index(each) for each in _of(found, mark) if each.size >= mark[2]]
    return there[0] if there else None


class Journal:
    """The log under systemd: the lines of the router's unit."""

    kind = "journal"

    def __init__(self, root: str) -> None:
        self._unit = access_log.unit(root)
        self.place: Document = {}
        self.gap = self.more = False

    def end(self) -> Document:
        """Return the place of what comes next."""
        since = int(time.time() * 1e6)
        entries, _ = self._entries("--lines=1")
        return {
            "kind": self.kind,
            "cursor": str(entries[-1]["__CURSOR"]) if entries else "",
            "since": since,
        }

    def after(self, place: Document) -> list[str]:
        """Return the lines from `place` on; `place`, `gap` and `more` are then those of their end.

        Raises Unreadable.
        """
        began = int(time.time() * 1e6)
        cursor, self.place = place["cursor"], place
        # Without a cursor the unit had no line. A time to come is from before the clock was set back.
        since = place["since"] if place["since"] <= began else 0
        # The line of the cursor too: it tells whether the journal still has it.
        start = f"--cursor={cursor}" if cursor else f"--since=@{since / 1e6:.6f}"
        entries, self.more = self._entries(start)
        if cursor and entries and entries[0]["__CURSOR"] == cursor:
            entries = entries[1:]
        elif cursor:
            self.gap = True
        if self.gap and not entries:
            # All that it had is gone, once.
            self.place = {**place, "cursor": "", "since": began}
        if entries:
            self.place = {**place, "cursor": str(entries[-1]["__CURSOR"])}
        return [each["MESSAGE"] for each in entries if isinstance(each.get("MESSAGE"), str)]

    def _entries(self, start: str) -> tuple[list[Document], bool]:
        """Return entries from `start` on, within bounds, and whether there are more."""
        try:
            data, more = _output([*_JOURNAL, "--unit", self._unit, start])
        except FileNotFoundError:
            raise Unreadable("journalctl is not installed") from None
        entries = []
        for line in data[: data.rfind(b"\n") + 1].splitlines():
            with contextlib.suppress(ValueError):
                entries.append(parsed(line))
        return [each for each in entries if isinstance(each, dict) and "__CURSOR" in each], more


def _output(argv: list[str]) -> tuple[bytes, bool]:
    """Return what journalctl writes, within bounds of bytes and time, and whether they cut it off."""
    until, data = time.monotonic() + SECONDS, b""
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        assert running.stdout is not None
        try:
            while len(data) < LOOK_BYTES:
                left = max(0.0, until - time.monotonic())
                if not select.select([running.stdout], [], [], left)[0]:
                    break
                part = os.read(running.stdout.fileno(), LOOK_BYTES - len(data))
                if not part:
                    if code := running.wait(max(1.0, until - time.monotonic())):
                        raise Unreadable(f"journalctl ended with {code}")
                    return data, False
                data += part
        except subprocess.TimeoutExpired:
            data = b""
        finally:
            running.kill()
    if b"\n" not in data:
        raise Unreadable(f"journalctl did not end within {SECONDS:g} s")
    return data, True
