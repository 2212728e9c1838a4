"""Count how requests end, by the router's access log, into the ledger of the host.

Each look adds one line to the ledger, with its counts and the place in the log up to which they go, so each line of the
log counts once, wherever the watch is killed:

    {"tally": [[hour, model, version, release, how, requests], ...], "log": place, "since", "until", "gap"}

Requests that got no answer have no line. They count for their model as those that a replica broke off: see
`unanswered.py`.

`hour` is in hours since the epoch, `how` is `STATUS` or `STATUS:REASON`. `since` and `until` say which time the line
speaks of; `gap` that lines of the log were gone before they were read. Requests that name no model of this fleet, and
those that came from the router of another host, are not counted: see `access_log`. A row whose `how` is `asleep` has
the seconds in which the replicas of the model slept on this host.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Mapping

import access_log
import log_places
import unanswered
import unlogged
from documents import parsed
from use_ledger import Ledger
from wire import Document

SECONDS = 15.0
# While nobody asks for anything, a line of the ledger every few minutes says that the log was read.
SECONDS_OF_SILENCE = 300.0
# A log that could not be read takes seconds of the watch's time at each try.
SECONDS_OF_FAULT = 300.0
# Of a longer time between two looks nobody knows whether a model slept.
SECONDS_OF_A_LOOK = 120.0
# Rows of one line of the ledger; beyond them reasons and releases are left out.
MOST_ROWS = 400
_EARLIEST_HOUR = 1_700_000_000 // 3600
_WORD = re.compile(r"[!-~]{1,200}\Z")
_REASON = re.compile(r"[a-z_]{1,40}\Z")


class TallyLog:
    """Counts the requests of the host whose toolkit lies in `root`, into its ledger."""

    def __init__(self, root: str, ledger: Ledger) -> None:
        self.root, self.ledger = root, ledger
        self._looked = float("-inf")
        self._more = False
        self._sleepers = Sleepers(root)
        self._answered = unlogged.Answered(root)
        self._unanswered = unanswered.Unanswered(root)

    def look(self) -> list[str]:
        """Count what is new, within bounds, where it is time; return in words where the log lacks lines, or no more."""
        now = time.monotonic()
        if now - self._looked < SECONDS and not self._more:
            return []
        self._looked = now
        # Another process that carries holds the lock: the next look goes on.
        with contextlib.suppress(TimeoutError), self.ledger.held(0.0):
            at = time.time()
            self._sleepers.look(at)
            words = unlogged.note(self.root, self._lacking(at))
            return [words] if words else []
        return []

    def _lacking(self, now: float) -> str:
        """Count what is new; return in words what the log lacks."""
        try:
            self._more, silent = self._count(now)
        except log_places.Unreadable as error:
            # The place stands still, so the lines count once the log can be read.
            self._more = False
            self._looked += SECONDS_OF_FAULT
            return str(error)
        return unlogged.SILENT % access_log.unit(self.root) if silent else ""

    def _count(self, now: float) -> tuple[bool, bool]:
        """Add what is new; return whether the log has more, and whether it lacks what the router has answered."""
        place, since = self.ledger.log.get("log"), self.ledger.log.get("until", now)
        read = log_places.of(self.root)
        if place is None or place["kind"] != read.kind:
            # Lines from before belong to no time that was watched.
            self.ledger.append([_line([], read.end(), now, now, False)])
            return False, False
        lines = read.after(place)
        rows = tallied(lines, now) + _of_no_line(self._unanswered.look(), now)
        silent = self._answered.lacks(bool(lines))
        gap = read.gap or silent
        if not rows and not gap and 0 <= now - since < SECONDS_OF_SILENCE:
            return read.more, silent
        # Where there is more, the time up to now is not counted yet.
        until = since if read.more else now
        rows += self._sleepers.rows()
        self.ledger.append([_line(rows, read.place, min(since, now), until, gap)])
        return read.more, silent


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


def _of_no_line(unanswered: Mapping[str, int], now: float) -> list[list[object]]:
    """Return the rows for requests of each model that got no answer."""
    how = "502:replica_broke_off"
    return [[int(now // 3600), model, "", 0, how, count] for model, count in unanswered.items()]


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
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        return None


def _hour(at: str) -> int:
    """Return the hour of a time such as `27/Nov/2026:02:00:00 +0000`, in hours since the epoch."""
    return access_log.seconds(at) // 3600
