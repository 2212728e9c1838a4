"""Sum up by the hour how a host's requests ended and how soon answers began, out of its ledger.

How requests ended is counted in the router's access log (`tally_log.py`); times are those of the records of use. Counts
have names: `STATUS` or `STATUS:REASON`; `first<=S` for streams whose first token came within so many seconds, and after
the next smaller bound; `gone<=S` for clients that left so many seconds after they asked, without a token; `gap<=S` for
the mean time between two tokens of a stream. `<=inf` is beyond the last bound.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from wire import Document

# Seconds. Engines' own bounds are among them, so that figures of Prometheus and of hosts can be told beside each other.
FIRST = (
    *(0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5),
    *(3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 120.0, 160.0, 300.0),
)
GAP = (
    *(0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3),
    *(0.4, 0.5, 0.75, 1.0, 2.5, 5.0),
)
PROBE = "probe"
# Hours that one line of the log may speak of; a clock that jumped ahead by more is believed no further.
MOST_HOURS = 1000


class Tallies:
    """Sums over lines of the ledger."""

    def __init__(self) -> None:
        # {(hour, model, version, release): {name: requests}}
        self.rows: dict[tuple[int, str, str, int], dict[str, int]] = {}
        # {hour: seconds of it in which the log was read}
        self.watched: dict[int, float] = {}

    def add_log(self, line: Document) -> None:
        """Add a line of `tally_log`. Raises ValueError, TypeError or KeyError."""
        for hour, model, version, release, how, requests in line["tally"]:
            self._add((hour, model, version, release), how, requests)
        since, until = float(line["since"]), float(line["until"])
        if line["gap"] or until <= since:
            return
        since = max(since, until - MOST_HOURS * 3600)
        for hour in range(int(since // 3600), int(until // 3600) + 1):
            seconds = min(until, (hour + 1) * 3600) - max(since, hour * 3600)
            self.watched[hour] = self.watched.get(hour, 0.0) + max(0.0, seconds)

    def add_record(self, record: Document) -> None:
        """Add a record of use. Raises ValueError, TypeError or KeyError."""
        seconds, first, out = record["seconds"], record["first"], record["out"]
        if record["key"] == PROBE or seconds is None:
            return
        name = (
            int(record["at"] // 3600),
            record["model"],
            record["version"],
            record["release"],
        )
        if first is not None:
            self._add(name, _bound("first", FIRST, first), 1)
            tokens = _of_one_answer(record, out)
            if tokens >= 2:
                self._add(name, _bound("gap", GAP, max(0.0, seconds - first) / (tokens - 1)), 1)
        elif record["end"] == "left" and out == 0:
            self._add(name, _bound("gone", FIRST, seconds), 1)

    def told(self) -> dict[str, Any]:
        """Return the part of the tallies for the ops machine."""
        return {
            "tallies": [[*name, counts] for name, counts in self.rows.items()],
            "watched": [[hour, round(seconds, 3)] for hour, seconds in self.watched.items()],
        }

    def _add(self, name: tuple[int, str, str, int], count: str, requests: int) -> None:
        counts = self.rows.setdefault(name, {})
        counts[count] = counts.get(count, 0) + requests


def _bound(name: str, bounds: tuple[float, ...], value: float) -> str:
    # Records have four digits, so round: the rest of a binary fraction must not lead beyond a bound.
    place = bisect_left(bounds, round(value, 6))
    return f"{name}<={bounds[place]:g}" if place < len(bounds) else f"{name}<=inf"


def _of_one_answer(record: Document, out: int | None) -> float:
    """Return the tokens of one answer of a request, which may have asked for several at once."""
    answers = 1
    if record["in"] and record["asked"]:
        answers = max(1, record["asked"] // record["in"])
    return (out or 0) / answers
