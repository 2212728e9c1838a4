"""Count how requests end, by the router's access log, into the ledger of the host.

Each look adds one line to the ledger, with its counts and the place in the log up to which they go, so each line of the
log counts once, wherever the watch is killed:

    {"tally": [[hour, model, version, release, how, requests], ...], "log": place, "since", "until", "gap"}

`hour` is in hours since the epoch, `how` is `STATUS` or `STATUS:REASON`. `since` and `until` say which time the line
speaks of; `gap` that lines of the log were gone before they were read. Requests that name no model of this fleet, and
those that came from the router of another host, are not counted: see `access_log`. A row whose `how` is `asleep` has
the seconds in which the replicas of the model slept on this host.
"""

from __future__ import annotations

import calendar
import contextlib
import os
import re
import subprocess
import time
import zlib
from collections.abc import Iterable

import access_log
import processes
from directory import open_plain
from documents import parsed
from use_ledger import Ledger
from wire import Document

SECONDS = 15.0
# While nobody asks for anything, a line of the ledger every few minutes says that the log was read.
SECONDS_OF_SILENCE = 300.0
# Of a longer time between two looks nobody knows whether a model slept.
SECONDS_OF_A_LOOK = 120.0
# Bytes of the log that one look reads.
LOOK_BYTES = 2**21
# Rows of one line of the ledger; beyond them reasons and releases are left out.
MOST_ROWS = 400
_FORMER = 3
# Bytes of the first line of a file that tell it from others: its time and its request's id are within.
_HEAD = 1024
_EARLIEST_HOUR = 1_700_000_000 // 3600
_WORD = re.compile(r"[!-~]{1,200}\Z")
_REASON = re.compile(r"[a-z_]{1,40}\Z")
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_JOURNAL = (
    *("journalctl", "--output=json", "--output-fields=MESSAGE", "--all"),
    *("--no-pager", "--quiet"),
)


class TallyLog:
    """Counts the requests of the host whose toolkit lies in `root`, into its ledger."""

    def __init__(self, root: str, ledger: Ledger) -> None:
        self.root, self.ledger = root, ledger
        self._looked = float("-inf")
        self._more = False
        self._sleepers = Sleepers(root)

    def look(self) -> list[str]:
        """Count what is new, within bounds, where it is time; nothing of it is worth a word in the log."""
        now = time.monotonic()
        if now - self._looked < SECONDS and not self._more:
            return []
        self._looked = now
        # Another process that carries holds the lock: the next look goes on.
        with contextlib.suppress(TimeoutError), self.ledger.held(0.0):
            at = time.time()
            self._sleepers.look(at)
            self._more = self._count(at)
        return []

    def _count(self, now: float) -> bool:
        """Add what is new; return whether the log has more."""
        place, since = self.ledger.log.get("log"), self.ledger.log.get("until", now)
        systemd = processes.init_system() == "systemd"
        read: _Journal | _Files = _Journal(self.root) if systemd else _Files(self.root)
        if place is None or place["kind"] != read.kind:
            # Lines from before belong to no time that was watched.
            self.ledger.append([_line([], read.end(), now, now, False)])
            return False
        lines = read.after(place)
        rows = tallied(lines, now)
        if not rows and not read.gap and 0 <= now - since < SECONDS_OF_SILENCE:
            return read.more
        # Where there is more, the time up to now is not counted yet.
        until = since if read.more else now
        rows += self._sleepers.rows()
        self.ledger.append([_line(rows, read.place, min(since, now), until, read.gap)])
        return read.more


class Sleepers:
    """Counts for how long models sleep on the host whose toolkit lies in `root`, see warmth.py."""

    def __init__(self, root: str) -> None:
        self._folder = os.path.join(root, "watch", "asleep")
        self._at = 0.0
        self._models: set[str] = set()
        # {(hour, model): seconds}
        self._seconds: dict[tuple[int, str], float] = {}

    def look(self, now: float) -> None:
        """Add the time since the last look for models that slept then and sleep now; a clock that jumped adds none."""
        try:
            models = {name.rpartition("-")[0] for name in os.listdir(self._folder)} - {""}
        except FileNotFoundError:
            models = set()
        if 0 < now - self._at <= SECONDS_OF_A_LOOK:
            for model in models & self._models:
                name = (int(now // 3600), model)
                self._seconds[name] = self._seconds.get(name, 0.0) + now - self._at
        self._at, self._models = now, models

    def rows(self) -> list[list[object]]:
        """Return the whole seconds since the last call, as rows of a line of the ledger."""
        found: list[list[object]] = []
        for (hour, model), seconds in list(self._seconds.items()):
            if seconds >= 1:
                found.append([hour, model, "", 0, "asleep", int(seconds)])
                self._seconds[(hour, model)] = seconds - int(seconds)
        newest = max((hour for hour, _ in self._seconds), default=0)
        self._seconds = {name: rest for name, rest in self._seconds.items() if name[0] == newest}
        return found


def tallied(lines: Iterable[str], now: float) -> list[list[object]]:
    """Return the rows for lines of the log; a time that cannot be counts as `now`."""
    counts: dict[tuple[object, ...], int] = {}
    latest = int(now + 1) // 3600
    for line in lines:
        found = _request(line)
        if found is None:
            continue
        hour, *kind = found
        if not _EARLIEST_HOUR <= hour <= latest:
            hour = latest
        name = (hour, *kind)
        if name not in counts and len(counts) >= MOST_ROWS:
            name = (hour, kind[0], "", 0, str(kind[3]).partition(":")[0])
        counts[name] = counts.get(name, 0) + 1
    return [[*name, count] for name, count in counts.items()]


def _line(rows: object, place: Document, since: float, until: float, gap: bool) -> Document:
    return {
        "tally": rows,
        "log": place,
        "since": round(since, 3),
        "until": round(until, 3),
        "gap": gap,
    }


def _request(line: str) -> tuple[int, str, str, int, str] | None:
    """Return hour, model, version, release and how it ended of a line; None where no model was asked."""
    try:
        found = parsed(line)
        model, path = found["model"], found["path"]
        if not (_WORD.match(model) and model != "-") or path.startswith("/v1/models"):
            return None
        status, reason = access_log.ended(found)
        version, release = found["version"], found["release"]
        sound = isinstance(release, int) and release > 0 and _WORD.match(version)
        how = f"{int(status)}:{reason}" if _REASON.match(reason) else str(int(status))
        return _hour(found["at"]), model, version if sound else "", release if sound else 0, how
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None


def _hour(at: str) -> int:
    """Return the hour of a time such as `27/Nov/2026:02:00:00 +0000`, in hours since the epoch."""
    day, month, year, hour = int(at[:2]), _MONTHS[at[3:6]], int(at[7:11]), int(at[12:14])
    return calendar.timegm((year, month, day, hour, 0, 0)) // 3600


class _Files:
    """The log under supervisord: `router.log`, and the former ones that supervisord keeps.

    A file is known by its inode and its first line, because a new file may have the inode of one that is gone.
    """

    kind = "file"

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, "supervisor", "router.log")
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
        whole = end if (full and end) or (path == self._path and not full) else len(data)
        return data[:whole], full

    def _found(self) -> list[tuple[str, int, int]]:
        """Return path, inode and size of each file, the oldest first."""
        found = []
        for name in [f"{self._path}.{each}" for each in range(_FORMER, 0, -1)] + [self._path]:
            with contextlib.suppress(OSError):
                seen = os.lstat(name)
                found.append((name, seen.st_ino, seen.st_size))
        return found


class _Journal:
    """The log under systemd: the lines of the router's unit."""

    kind = "journal"

    def __init__(self, root: str) -> None:
        self._unit = os.path.basename(os.path.normpath(root)) + "-router.service"
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
        """Return the lines from `place` on; `place`, `gap` and `more` are then those of their end."""
        cursor, self.place = place["cursor"], place
        # The line of the cursor too: it tells whether the journal still has it.
        start = f"--cursor={cursor}" if cursor else f"--since=@{place['since'] / 1e6:.6f}"
        entries, self.more = self._entries(start)
        if cursor and entries and entries[0]["__CURSOR"] == cursor:
            entries = entries[1:]
        elif cursor:
            self.gap = True
        if entries:
            self.place = {**place, "cursor": str(entries[-1]["__CURSOR"])}
        return [each["MESSAGE"] for each in entries if isinstance(each.get("MESSAGE"), str)]

    def _entries(self, start: str) -> tuple[list[Document], bool]:
        """Return entries from `start` on, within bounds, and whether there are more."""
        with subprocess.Popen(
            [*_JOURNAL, "--unit", self._unit, start],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as running:
            assert running.stdout is not None
            data = running.stdout.read(LOOK_BYTES)
            more = len(data) == LOOK_BYTES
            if more:
                running.kill()
        if running.returncode and not more:
            raise OSError(f"journalctl ended with {running.returncode}")
        entries = []
        for line in data[: data.rfind(b"\n") + 1].splitlines():
            with contextlib.suppress(ValueError):
                entries.append(parsed(line))
        return [each for each in entries if isinstance(each, dict) and "__CURSOR" in each], more
