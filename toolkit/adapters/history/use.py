"""The tables of use. A chunk of a host's ledger and the place where it ends are stored in one transaction, so each
record counts once, whoever collects, and wherever a collection is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import repeat
from operator import attrgetter

from toolkit.adapters.history import tallies
from toolkit.adapters.history.database import Database, Row
from toolkit.adapters.history.records import record_of
from toolkit.domain.clients.use import (
    KINDS,
    PROBE,
    SUMS,
    Counted,
    LedgerPlace,
    UseChunk,
    UseCursor,
    UseRow,
    UseRun,
)
from toolkit.domain.outside import checked, text_of, whole
from toolkit.errors import UndoneError

# Tables of the same sums without a kind, which have a part of the rows. The second one has no probes.
WITHOUT_HOST, WITHOUT_KEY = "use_of_keys", "use_at_hosts"
# `release` and `end` are words of SQL.
_COLUMNS = {"release": "release_number"}
_RUN = ("ledger", "program", "run")
# All runs, the oldest first; the runs of a ledger; the places up to which ledgers were read.
RUNS = "SELECT * FROM use_runs ORDER BY started, host, program, run"
LAST = "SELECT program, run, last FROM use_runs WHERE ledger = ?"
CURSORS = "SELECT * FROM use_cursors ORDER BY host, at, ledger"


@dataclass(frozen=True, slots=True)
class UseQuery:
    """A choice of rows: from day to day, both included, of one model or adapter and of one key; they differ in `by`.

    A model has its adapters with it. Probes are nobody's use. `sums` are the numbers that are asked for; each of them
    takes its time over millions of rows.
    """

    since: str | None = None
    until: str | None = None
    by: Sequence[str] = KINDS
    model: str = ""
    key: str = ""
    probes: bool = False
    sums: Sequence[str] = SUMS


def add_chunk(db: Database, chunk: UseChunk, at: float) -> bool:
    """Store a chunk; return False, with nothing stored, where its start is not where the last chunk ended.

    `at` is in seconds since the epoch. A chunk that the database undid for another command is tried once more: an older
    toolkit may add to the sums in another order.
    """
    try:
        return _add_whole(db, chunk, at)
    except UndoneError:
        return _add_whole(db, chunk, at)


def _add_whole(db: Database, chunk: UseChunk, at: float) -> bool:
    try:
        with db.transaction():
            _move(db, chunk, at)
            _add_rows(db, chunk.host, chunk.rows)
            for run in chunk.runs:
                _add_run(db, chunk, run)
            tallies.add(db, chunk.tallies, chunk.watched)
    except _MovedError:
        return False
    return True


def rows(db: Database, wanted: UseQuery) -> list[Row]:
    """Return the rows with the sums for each kind that is asked for, in no order; see `use_of`."""
    columns = [_COLUMNS.get(each, each) for each in KINDS if each in wanted.by]
    sums = ", ".join(f"SUM({each}) AS {each}" for each in wanted.sums)
    table = _smallest(wanted)
    (recorded,) = db.run(
        "SELECT (SELECT MIN(day) FROM use) AS first, (SELECT MAX(day) FROM use) AS last", ()
    )
    # Over all days that there are, the table itself is read faster than by its days.
    conditions = {
        "day >= ?": _unless(wanted.since, lambda day: day <= str(recorded["first"] or "")),
        "day <= ?": _unless(wanted.until, lambda day: day >= str(recorded["last"] or "")),
        "? IN (model, base)": wanted.model or None,
        "key = ?": wanted.key or None,
        "key <> ?": None if wanted.probes or table == WITHOUT_KEY else PROBE,
    }
    used = {words: value for words, value in conditions.items() if value is not None}
    where = f" WHERE {' AND '.join(used)}" if used else ""
    groups = f" GROUP BY {', '.join(columns)}" if columns else ""
    found = db.run(
        f"SELECT {', '.join([*columns, sums])} FROM {table}{where}{groups}",  # noqa: S608
        list(used.values()),
    )
    return [each for each in found if each[wanted.sums[0]] is not None]


def _smallest(wanted: UseQuery) -> str:
    """Return the table with the fewest rows that tells what is asked for."""
    if "host" not in wanted.by:
        return WITHOUT_HOST
    return "use" if "key" in wanted.by or wanted.key or wanted.probes else WITHOUT_KEY


def _unless(day: str | None, needless: Callable[[str], bool]) -> str | None:
    return None if day is None or needless(day) else day


def use_of(row: Row) -> UseRow:
    """Return the sums in a row; this and the others raise ValueError, TypeError or OverflowError for a damaged one."""
    # PostgreSQL sums up whole numbers as decimals.
    return checked(
        UseRow(
            day=row.get("day", ""),
            host=row.get("host", ""),
            key=row.get("key", ""),
            model=row.get("model", ""),
            version=row.get("version", ""),
            release=row.get("release_number", 0),
            requests=int(row.get("requests", 0)),
            tokens_in=int(row.get("tokens_in", 0)),
            cached=int(row.get("cached", 0)),
            tokens_out=int(row.get("tokens_out", 0)),
            reasoning=int(row.get("reasoning", 0)),
            unknown=int(row.get("unknown", 0)),
            base=row.get("base", ""),
            ended=row.get("ended", ""),
            audio_seconds=float(row.get("audio_seconds", 0.0)),
        )
    )


def run_of(row: Row) -> UseRun:
    """Return the run in a row."""
    counted = [row[name] for name in _COUNTED]
    return record_of(UseRun, row, counted=None if counted[0] is None else Counted(*counted))


def last_of(row: Row) -> tuple[str, int]:
    """Return the name of a run, `PROGRAM/RUN`, and the number of its last record."""
    program, run = text_of(row["program"], "program"), text_of(row["run"], "run")
    return f"{program}/{run}", whole(row["last"], "last")


def cursor_of(row: Row) -> UseCursor:
    """Return the place up to which a ledger was read."""
    place = LedgerPlace(row["ledger"], row["file"], row["position"])
    refused, lost, set_back = row["refused"], row["lost"], row["set_back"]
    return checked(UseCursor(row["host"], place, row["at"], refused, lost, set_back))


class _MovedError(Exception):
    """Another command has stored this chunk, or a part of it."""


def _move(db: Database, chunk: UseChunk, at: float) -> None:
    """Move the cursor from the chunk's start to its end; the first chunk of a ledger makes it."""
    start, end = chunk.start, chunk.end
    db.run(
        "INSERT INTO use_cursors (ledger, host, file, position, at, refused, lost)"
        " VALUES (?, ?, 0, 0, ?, 0, 0) ON CONFLICT DO NOTHING",
        (end.ledger, chunk.host, at),
    )
    moved = db.run(
        "UPDATE use_cursors SET host = ?, file = ?, position = ?, at = ?, refused = refused + ?,"
        " set_back = set_back + ? WHERE ledger = ? AND file = ? AND position = ? RETURNING ledger",
        (chunk.host, end.file, end.offset, at, chunk.refused, int(chunk.set_back), end.ledger, start.file,
         start.offset),
    )  # fmt: skip
    if not moved:
        raise _MovedError
    if chunk.before is not None:
        (read,) = db.run(
            "SELECT COALESCE(SUM(records), 0) AS records FROM use_runs WHERE ledger = ?",
            (end.ledger,),
        )
        lost = max(0, chunk.before - int(read["records"]))
        db.run("UPDATE use_cursors SET lost = ? WHERE ledger = ?", (lost, end.ledger))


def _add_rows(db: Database, host: str, found: Sequence[UseRow]) -> None:
    """Add rows to each table of sums, one after the other and in the order of its keys.

    Commands that collect from different hosts add to the same sums. A database locks each row that it changes, so two
    commands with orders of their own would wait for each other for ever.
    """
    for table, without in (("use", ""), (WITHOUT_HOST, "host"), (WITHOUT_KEY, "key")):
        kinds = [each for each in KINDS if each != without]
        for row in sorted((replace(each, host=host) for each in found), key=attrgetter(*kinds)):
            if table != WITHOUT_KEY or row.key != PROBE:
                _add_to(db, table, {_COLUMNS.get(k, k): getattr(row, k) for k in kinds}, row)


def _add_to(db: Database, table: str, kinds: dict[str, str | int], row: UseRow) -> None:
    more = ", ".join(f"{each} = {table}.{each} + excluded.{each}" for each in SUMS)
    db.run(
        f"INSERT INTO {table} ({', '.join([*kinds, *SUMS])})"  # noqa: S608
        f" VALUES ({', '.join('?' * (len(kinds) + len(SUMS)))})"
        f" ON CONFLICT ({', '.join(kinds)}) DO UPDATE SET {more}",
        [*kinds.values(), *(getattr(row, each) for each in SUMS)],
    )


def _add_run(db: Database, chunk: UseChunk, run: UseRun) -> None:
    """Add a part to what is known of its run."""
    key = (chunk.end.ledger, run.program, run.run)
    where = " AND ".join(f"{each} = ?" for each in _RUN)
    known = db.run(f"SELECT * FROM use_runs WHERE {where}", key)  # noqa: S608
    total = _joined(run_of(known[0]) if known else None, run)
    counted = total.counted
    values = {
        **dict(zip(_RUN, key, strict=True)),
        "host": chunk.host,
        "model": total.model,
        "version": total.version,
        "release_number": total.release,
        "engine": total.engine,
        "started": total.started,
        **{name: getattr(total, name) for name in _RUN_SUMS},
        **dict(zip(_COUNTED, astuple(counted) if counted else repeat(None), strict=False)),
    }
    sets = ", ".join(f"{name} = excluded.{name}" for name in values if name not in _RUN)
    db.run(
        f"INSERT INTO use_runs ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608
        f" ON CONFLICT ({', '.join(_RUN)}) DO UPDATE SET {sets}",
        list(values.values()),
    )


# The columns of `Counted`, in the order of its fields.
_COUNTED = ("counted_in", "counted_out", "summed_in", "summed_out", "open", "at")
_RUN_SUMS = ("first", "last", "records", "missing", "asked", "tokens_out", "unknown")


def _joined(known: UseRun | None, part: UseRun) -> UseRun:
    """Return the run with one more part: records between the two parts are missing."""
    last = known.last if known else 0
    before_asked, before_out = (known.asked, known.tokens_out) if known else (0, 0)
    counted = part.counted
    if counted is not None:
        counted = Counted(
            counted.asked,
            counted.tokens_out,
            counted.records_asked + before_asked,
            counted.records_out + before_out,
            counted.open,
            counted.at,
        )
    between = max(0, part.first - last - 1) if part.records else 0
    return UseRun(
        program=part.program,
        run=part.run,
        model=part.model,
        version=part.version,
        release=part.release,
        engine=part.engine or (known.engine if known else ""),
        started=part.started or (known.started if known else 0.0),
        first=known.first if known and known.records else part.first,
        last=max(last, part.last),
        records=part.records + (known.records if known else 0),
        missing=part.missing + between + (known.missing if known else 0),
        asked=part.asked + before_asked,
        tokens_out=part.tokens_out + before_out,
        unknown=part.unknown + (known.unknown if known else 0),
        counted=counted or (known.counted if known else None),
    )
