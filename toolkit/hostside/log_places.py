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

    A file is known by its inode and its first line, because a new file may have the inode of one that is gone.
    """

    kind = "file"

    def __init__(self, root: str) -> None:
        self._names = access_log.names(root)
        self.place: Document = {}
        self.gap = self.more = False

    def end(self) -> Document:
        """Return the place of what comes next."""
        found = self._found()
        return self._place(*found[-1]) if found else {"kind": self.kind, "inode": 0, "offset": 0}

    def after(self, place: Document) -> list[str]:
        """Return the lines from `place` on; `place`, `gap` and `more` are then those of their end."""
        found, offset, self.place = self._found(), int(place["offset"]), place
        known = [
            number
            for number, (path, inode, size) in enumerate(found)
            if size >= offset and self._place(path, inode, offset) == place
        ]
        # Inode 0 says that there was no file yet.
        self.gap, offset = not known and place["inode"] != 0, offset if known else 0
        lines: list[str] = []
        budget = LOOK_BYTES
        for path, inode, _ in found[known[0] :] if known else found:
            data, self.more = self._read(path, offset, budget)
            lines += data.decode("utf-8", "replace").splitlines()
            budget -= len(data)
            self.place = self._place(path, inode, offset + len(data))
            if self.more:
                break
            offset = 0
        return lines

    def _place(self, path: str, inode: int, offset: int) -> Document:
        """Return a place in a file; the first line is known where it was read."""
        head = 0
        if offset:
            with open(open_plain(path), "rb") as file:
                head = zlib.crc32(file.readline(_HEAD))
        return {"kind": self.kind, "inode": inode, "offset": offset, "head": head}

    def _read(self, path: str, offset: int, most: int) -> tuple[bytes, bool]:
        """Return whole lines, of a file that gets no more lines the rest too; and whether the bound cut them off."""
        with open(open_plain(path), "rb") as file:
            file.seek(offset)
            data = file.read(most)
        end, full = data.rfind(b"\n") + 1, len(data) == most
        # A line that fills a whole look without an end is not the router's.
        whole = end if (full and end) or (path == self._names[0] and not full) else len(data)
        return data[:whole], full

    def _found(self) -> list[tuple[str, int, int]]:
        """Return path, inode and size of each file, the oldest first."""
        found = []
        for name in reversed(self._names):
            with contextlib.suppress(OSError):
                seen = os.lstat(name)
                found.append((name, seen.st_ino, seen.st_size))
        return found


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
        # The line of the cursor too: it tells whether the journal still has it.
        start = f"--cursor={cursor}" if cursor else f"--since=@{place['since'] / 1e6:.6f}"
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
