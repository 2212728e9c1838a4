"""The tables of tallies: what hosts counted by the hour. They come with a host's use, in one transaction with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from toolkit.adapters.history.database import Database, Row
from toolkit.domain.clients.tally import Tally, WatchedHour
from toolkit.domain.outside import checked, parse_unbounded

_KEY = ("hour", "host", "model", "version", "release_number")
# The seconds in which hosts read their logs, of hours from one to another, both included.
WATCHED = "SELECT * FROM watched WHERE hour >= ? AND hour <= ? ORDER BY hour, host"
_WHERE = " AND ".join(f"{each} = ?" for each in _KEY)


def add(db: Database, found: Iterable[Tally], seconds: Iterable[WatchedHour]) -> None:
    """Add counts to what is known of their hours; within a transaction that only one command can have for a host."""
    for one in found:
        key = (one.hour, one.host, one.model, one.version, one.release)
        known = db.run(f"SELECT counts FROM tallies WHERE {_WHERE}", key)  # noqa: S608
        counts = json.loads(known[0]["counts"]) if known else {}
        for name, requests in one.counts.items():
            counts[name] = counts.get(name, 0) + requests
        db.run(
            f"INSERT INTO tallies ({', '.join(_KEY)}, counts) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608
            f" ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET counts = excluded.counts",
            (*key, json.dumps(counts, separators=(",", ":"))),
        )
    for each in seconds:
        db.run(
            "INSERT INTO watched (hour, host, seconds) VALUES (?, ?, ?)"
            " ON CONFLICT (hour, host) DO UPDATE SET seconds = watched.seconds + excluded.seconds",
            (each.hour, each.host, each.seconds),
        )


def rows(db: Database, since: int, until: int, models: Sequence[str]) -> list[Row]:
    """Return the rows of hours from `since` to `until`, both included, of some models."""
    named = ", ".join("?" * len(models))
    return db.run(
        f"SELECT * FROM tallies WHERE hour >= ? AND hour <= ? AND model IN ({named})"  # noqa: S608
        " ORDER BY hour, host, model, release_number",
        [since, until, *models],
    )


def asleep(db: Database, since: int, until: int) -> list[Row]:
    """Return the rows that say for how long models slept, of hours from `since` to `until`, both included."""
    return db.run(
        "SELECT * FROM tallies WHERE hour >= ? AND hour <= ? AND release_number = 0"
        " AND counts LIKE ?",
        [since, until, '%"asleep"%'],
    )


def tally(row: Row) -> Tally:
    """Return the tally in a row; raises ValueError, TypeError or AttributeError where it is damaged."""
    counts = {str(name): int(count) for name, count in parse_unbounded(row["counts"]).items()}
    release = int(row["release_number"])
    return checked(
        Tally(int(row["hour"]), row["host"], row["model"], row["version"], release, counts)
    )


def watched_of(row: Row) -> WatchedHour:
    """Return the seconds in a row, in which a host read its log; raises ValueError where it is damaged."""
    return checked(WatchedHour(int(row["hour"]), row["host"], float(row["seconds"])))
