"""The file of the audit log: lines are only ever added to it, each on the disk before the command goes on.

A kernel lock on the file keeps the chain while several commands write. A command that is killed while it writes leaves
a part of a line. The next writer removes that part and says so in a line of its own, so that the repair is no secret.
"""

from __future__ import annotations

import errno
import fcntl
import getpass
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.adapters.audit.late import keep_late, late_records
from toolkit.adapters.disk import FULL, way_out
from toolkit.adapters.store.files import sync_directory
from toolkit.domain.trail.audit import MOST_LINE, Event, Head, Line, next_line, parse_line, sound
from toolkit.errors import ToolkitError
from toolkit.regular import claim, open_private, read_regular

# A writer holds the lock for one write and its fsync.
LOCK_SECONDS = 10.0
_TICK_SECONDS = 0.01
# The characters of a removed part that the line about it repeats.
_SHOWN = 200
# Where a pipe, a device, a link or a directory has the name of the log.
_IN_PLACE = (errno.EINVAL, errno.ELOOP, errno.EISDIR)


class AuditLog:
    """The log below `home`. `clock` returns seconds since the epoch."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.time) -> None:
        self.home, self._clock = home, clock
        self.path = home / "audit" / "log.jsonl"

    def append(self, record: Mapping[str, Any]) -> tuple[Line, Head]:
        """Add a line with `record` and the time; return it with its head once it is on the disk.

        Raises ToolkitError where the file takes nothing, or where its last line is damaged.
        """
        try:
            with self._opened() as file:
                first, last = self._mended(file)
                line = next_line(last, {"at": self._now(), **sound(record)})
                self._write(file, line)
                return line, line.head(first)
        except OSError as error:
            raise self._unwritable(error) from error

    def catch_up(self) -> None:
        """Add the records of commands that could not write the log when they ran; raises ToolkitError."""
        for path, records in late_records(self.home):
            mine = claim(path)
            if mine is None:
                continue
            try:
                for record in records:
                    self.append(record)
                path.unlink(missing_ok=True)
            finally:
                os.close(mine)

    def keep_late(self, records: Sequence[Mapping[str, Any]]) -> bool:
        """Keep records outside the log for the next command that can write it; false where nothing takes them."""
        return keep_late(self.home, records) is not None

    def read(self, path: Path | None = None) -> tuple[list[bytes], bytes]:
        """Return the lines, and the part of a line behind them; raises ToolkitError. A missing log has no lines.

        `path` is a log that was put aside. The log itself is never a link: nothing can be added to what it leads to.
        """
        path = path or self.path
        try:
            if path == self.path and path.is_symlink():
                raise OSError(errno.ELOOP, "is a link, and no log that this toolkit wrote")
            data = read_regular(path)
        except FileNotFoundError:
            if path.is_symlink():
                raise ToolkitError(f"{path}: is a link to nothing", hint=f"rm {path}") from None
            return [], b""
        except OSError as error:
            hint = "the log is for the user of the commands alone"
            if error.errno in _IN_PLACE and path == self.path:
                hint = _anew(path)
            raise ToolkitError(f"{path}: {error.strerror}", hint=hint) from error
        *lines, rest = data.split(b"\n")
        return lines, rest

    def put_aside(self) -> tuple[Path, ...]:
        """Return the logs that somebody put aside, beside the log."""
        return tuple(sorted(self.path.parent.glob(f"{self.path.name}.*")))

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Yield the file, locked."""
        self.path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        file = open_private(str(self.path), flags)
        try:
            _lock(file, self.path)
            yield file
        finally:
            os.close(file)

    def _unwritable(self, error: OSError) -> ToolkitError:
        hint = f"let {getpass.getuser()} write to {self.path.parent}"
        if error.errno in FULL:
            hint = way_out(self.home)
        elif error.errno in _IN_PLACE:
            hint = _anew(self.path)
        return ToolkitError(f"{self.path}: {error.strerror or error}", hint=hint)

    def _mended(self, file: int) -> tuple[Line, Line]:
        """Return the first and the last line; begin a log that is empty, and remove a part of a line."""
        size = os.fstat(file).st_size
        tail = os.pread(file, min(size, 2 * MOST_LINE), max(0, size - 2 * MOST_LINE))
        torn = tail[tail.rfind(b"\n") + 1 :]
        if torn:
            os.ftruncate(file, size - len(torn))
            tail = tail[: -len(torn)]
        first, last = self._ends(file, tail)
        if torn:
            last = next_line(last, {"at": self._now(), **_mending(torn)})
            self._write(file, last)
        return first, last

    def _ends(self, file: int, tail: bytes) -> tuple[Line, Line]:
        if not tail:
            first = next_line(None, {"at": self._now(), **_genesis(self.home)})
            self._write(file, first)
            sync_directory(self.path.parent)
            return first, first
        head = os.pread(file, MOST_LINE, 0)
        try:
            first = parse_line(head[: head.index(b"\n")])
            last = parse_line(tail[:-1][tail[:-1].rfind(b"\n") + 1 :])
        except ValueError as error:
            raise self._damaged(f"a line is damaged: {error}") from error
        if not last.is_whole:
            raise self._damaged("the last line is not as it was written")
        return first, last

    def _damaged(self, what: str) -> ToolkitError:
        return ToolkitError(
            f"{self.path}: {what}",
            hint="toolkit audit verify; then keep the file as evidence and begin a new log: "
            f"mv {self.path} {self.path}.damaged",
        )

    def _write(self, file: int, line: Line) -> None:
        data, size = line.text.encode(errors="replace"), os.fstat(file).st_size
        try:
            written = os.write(file, data)
            if written != len(data):
                # A full disk took a part of the line only.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        except BaseException:
            os.ftruncate(file, size)
            raise

    def _now(self) -> float:
        return round(self._clock(), 3)


def machine_of(home: Path) -> str:
    """Return how hosts name the ops machine of this home."""
    return f"{socket.gethostname()}:{home}"


def _anew(path: Path) -> str:
    return f"move it away, and the next command begins a new log: mv {path} ELSEWHERE"


def _genesis(home: Path) -> dict[str, Any]:
    return {"event": Event.GENESIS, "log": secrets.token_hex(16), "machine": machine_of(home)}


def _mending(torn: bytes) -> dict[str, Any]:
    return {
        "event": Event.MENDED,
        "bytes": len(torn),
        "sha256": hashlib.sha256(torn).hexdigest(),
        "text": torn[:_SHOWN].decode("utf-8", "replace"),
    }


def _lock(file: int, path: Path) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise ToolkitError(
                    f"{path}: another command holds it", hint="the same command again"
                ) from None
            time.sleep(_TICK_SECONDS)
        else:
            return
