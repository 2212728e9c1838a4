"""Use in the history, on SQLite and on PostgreSQL: a chunk and its end are stored in one transaction, once."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.adapters.history_lab import Clock, at_once
from toolkit.adapters.history.database import Address
from toolkit.adapters.history.history import History
from toolkit.adapters.history.schema import MIGRATIONS
from toolkit.domain.clients.use import (
    KINDS,
    PROBE,
    Counted,
    LedgerPlace,
    UseChunk,
    UseCursor,
    UseRow,
    UseRun,
)
from toolkit.errors import ToolkitError

ROW = UseRow(
    day="2026-11-27",
    host="gpu-1",
    key="ann",
    model="tiny",
    version="1.0",
    release=3,
    requests=2,
    tokens_in=30,
    cached=10,
    tokens_out=7,
    reasoning=1,
    unknown=0,
    base="tiny",
    ended="whole",
    audio_seconds=1.5,
)
RUN = UseRun(
    program="tiny-blue",
    run="0123456789abcdef",
    model="tiny",
    version="1.0",
    release=3,
    engine="vllm 0.32.0",
    started=90.0,
    first=1,
    last=2,
    records=2,
    missing=0,
    asked=30,
    tokens_out=7,
    unknown=0,
    counted=Counted(30, 7, 30, 7, 0, 95.0),
)
LEDGER = "ab" * 8
CHUNK = UseChunk(
    "gpu-1",
    LedgerPlace(LEDGER),
    LedgerPlace(LEDGER, 1, 400),
    (ROW,),
    (RUN,),
    refused=1,
    before=2,
    more=True,
)
SECOND = UseChunk(
    "gpu-1",
    LedgerPlace(LEDGER, 1, 400),
    LedgerPlace(LEDGER, 1, 800),
    (replace(ROW, requests=1, tokens_in=5, cached=0, tokens_out=2), replace(ROW, key="bob")),
    (
        replace(
            RUN, first=5, last=7, records=2, missing=1, asked=5, tokens_out=2, unknown=1,
            counted=Counted(36, 10, 4, 2, 1, 99.0),
        ),
    ),
)  # fmt: skip


def test_an_empty_history_has_no_use(history: History) -> None:
    assert (history.use(), history.use_runs(), history.use_cursors()) == ((), (), ())
    assert history.use(by=()) == ()


def test_a_chunk_is_stored_with_the_place_where_it_ends(history: History) -> None:
    assert history.add_use(CHUNK)
    assert history.use() == (ROW,)
    assert history.use_runs() == (replace(RUN, host="gpu-1"),)
    assert history.use_cursors() == (
        UseCursor("gpu-1", LedgerPlace(LEDGER, 1, 400), 101.0, refused=1, lost=2),
    )


def test_the_same_chunk_is_stored_once(history: History) -> None:
    assert history.add_use(CHUNK)
    assert not history.add_use(CHUNK)
    assert history.use() == (ROW,)
    assert history.use_runs()[0].records == 2


def test_chunks_add_up_and_records_between_them_are_missing(history: History) -> None:
    history.add_use(CHUNK)
    assert history.add_use(SECOND)
    assert history.use() == (
        replace(ROW, requests=3, tokens_in=35, cached=10, tokens_out=9, reasoning=2,
                audio_seconds=3.0),
        replace(ROW, key="bob"),
    )  # fmt: skip
    (run,) = history.use_runs()
    assert (run.first, run.last, run.records, run.missing) == (1, 7, 4, 3)
    assert (run.asked, run.tokens_out, run.unknown) == (35, 9, 1)
    # The counters are of a time before the last record: 4 of the second part's 5 tokens were recorded then.
    assert run.counted == Counted(36, 10, 34, 9, 1, 99.0)


def test_a_part_without_counters_leaves_the_former_ones(history: History) -> None:
    history.add_use(CHUNK)
    history.add_use(replace(SECOND, runs=(replace(SECOND.runs[0], counted=None),)))
    assert history.use_runs()[0].counted == RUN.counted


def test_sums_are_made_by_the_database(history: History) -> None:
    history.add_use(CHUNK)
    history.add_use(SECOND)
    (total,) = history.use(by=())
    assert (total.requests, total.tokens_in, total.tokens_out, total.key) == (5, 65, 16, "")
    assert [(each.key, each.requests) for each in history.use(by=("key",))] == [
        ("ann", 3),
        ("bob", 2),
    ]


def test_days_bound_what_is_asked_for_and_both_belong_to_it(history: History) -> None:
    days = ("2026-11-26", "2026-11-27", "2026-11-28")
    history.add_use(replace(CHUNK, rows=tuple(replace(ROW, day=day) for day in days)))

    def seen(since: str | None, until: str | None) -> list[str]:
        return [each.day for each in history.use(since, until)]

    assert seen(None, None) == list(days)
    assert seen("2026-11-27", None) == list(days[1:])
    assert seen(None, "2026-11-27") == list(days[:2])
    assert seen("2026-11-27", "2026-11-27") == [days[1]]
    # Over all days that there are, and over none of them.
    assert seen("2026-11-26", "2026-11-28") == seen("2020-01-01", "2030-01-01") == list(days)
    assert seen("2026-11-29", "2030-01-01") == seen("2020-01-01", "2026-11-25") == []


def test_numbers_that_nobody_asks_for_are_not_summed_up(history: History) -> None:
    history.add_use(CHUNK)
    (whole,), (part,) = history.use(by=("day",)), history.use(by=("day",), sums=("tokens_in",))
    assert part.tokens_in == whole.tokens_in > 0
    assert (part.requests, part.tokens_out, part.audio_seconds) == (0, 0, 0.0)
    assert history.use("2030-01-01", by=(), sums=("tokens_in",)) == ()


def test_records_that_were_dropped_before_anybody_read_them_are_lost(history: History) -> None:
    history.add_use(CHUNK)
    history.add_use(replace(SECOND, before=10))
    assert [each.lost for each in history.use_cursors()] == [8]
    end = SECOND.end
    history.add_use(replace(CHUNK, start=end, end=LedgerPlace(LEDGER, 5, 10), runs=(), before=20))
    assert [each.lost for each in history.use_cursors()] == [16]


def test_a_new_ledger_of_a_host_begins_at_its_start(history: History) -> None:
    """A host that was set up anew has another ledger: its runs and places are others."""
    history.add_use(CHUNK)
    other = "cd" * 8
    assert history.add_use(replace(CHUNK, start=LedgerPlace(other), end=LedgerPlace(other, 1, 50)))
    assert [each.place for each in history.use_cursors()] == [
        LedgerPlace(LEDGER, 1, 400),
        LedgerPlace(other, 1, 50),
    ]
    assert [each.records for each in history.use_runs()] == [2, 2]


def test_a_host_that_was_renamed_keeps_its_place(history: History) -> None:
    history.add_use(CHUNK)
    assert not history.add_use(replace(CHUNK, host="gpu-one"))
    assert history.add_use(replace(SECOND, host="gpu-one"))
    assert [each.host for each in history.use_cursors()] == ["gpu-one"]


def test_a_chunk_that_fails_in_the_middle_leaves_nothing(history: History) -> None:
    broken = replace(CHUNK, runs=(RUN, replace(RUN, run="f" * 16, version=None)))  # type: ignore[arg-type]
    with pytest.raises(ToolkitError):
        history.add_use(broken)
    assert (history.use(), history.use_runs(), history.use_cursors()) == ((), (), ())
    assert history.add_use(CHUNK)


def test_of_many_that_collect_at_once_one_stores_each_chunk(
    history_place: Path | Address, history: History
) -> None:
    many = [History(history_place, Clock()) for _ in range(4)]
    stored: list[bool] = []

    def collect(each: History) -> None:
        for number in range(20):
            chunk = replace(
                CHUNK, start=LedgerPlace(LEDGER, 0, number), end=LedgerPlace(LEDGER, 0, number + 1)
            )
            while not (done := each.add_use(chunk)):
                if each.use_cursors()[0].place.offset > number:
                    break
            stored.append(done)

    assert at_once(partial(collect, each) for each in many) == []
    for each in many:
        each.close()
    assert (len(stored), sum(stored)) == (80, 20)
    assert history.use(by=())[0].requests == 40


def test_ops_machines_that_read_different_hosts_add_to_the_same_sums_in_one_order(
    history_place: Path | Address, history: History
) -> None:
    keys = [f"key-{number:02}" for number in range(60)]
    # Each host's ledger has its keys in the order in which they came there.
    orders = {"gpu-1": keys, "gpu-2": keys[::-1], "gpu-3": keys[::2] + keys[1::2]}

    def collect(host: str, ledger: str) -> None:
        with closing(History(history_place, Clock())) as own:
            for number in range(8):
                rows = tuple(replace(ROW, host=host, key=key, requests=1) for key in orders[host])
                start = LedgerPlace(ledger, 1, number) if number else LedgerPlace(ledger)
                assert own.add_use(UseChunk(host, start, LedgerPlace(ledger, 1, number + 1), rows))

    faults = at_once(partial(collect, host, f"{number:016x}") for number, host in enumerate(orders))
    assert faults == []
    assert {(each.key, each.requests) for each in history.use(by=("key",))} == {
        (key, 24) for key in keys
    }


KIND_SETS = [
    kinds for count in range(len(KINDS) + 1) for kinds in itertools.combinations(KINDS, count)
]
VARIED = tuple(
    replace(
        ROW,
        day=f"2026-11-{20 + number % 2}",
        host="gpu-1",
        key=("alice", "bob", PROBE)[number % 3],
        model=("tiny", "tiny-de")[number // 2 % 2],
        ended=("whole", "left")[number // 4 % 2],
        requests=1 + number,
        audio_seconds=0.5 * number,
    )
    for number in range(24)
)


def add_varied(history: History) -> None:
    """Two hosts with the same use."""
    for number, host in enumerate(("gpu-1", "gpu-2")):
        ledger = f"{number + 7:016x}"
        end = LedgerPlace(ledger, 0, 9)
        assert history.add_use(
            replace(CHUNK, host=host, start=LedgerPlace(ledger), end=end, rows=VARIED, runs=())
        )


def summed(kinds: Sequence[str], *, key: str, probes: bool) -> dict[tuple[object, ...], int]:
    found: dict[tuple[object, ...], int] = {}
    for row in (replace(each, host=host) for each in VARIED for host in ("gpu-1", "gpu-2")):
        if (probes or row.key != PROBE) and key in ("", row.key):
            kind = tuple(getattr(row, name) for name in kinds)
            found[kind] = found.get(kind, 0) + row.requests
    return found


@pytest.mark.parametrize(
    ("key", "probes"), [("", False), ("", True), ("bob", False), (PROBE, True)]
)
def test_sums_over_any_kinds_are_those_of_the_rows(
    history: History, key: str, probes: bool
) -> None:
    add_varied(history)
    for kinds in KIND_SETS:
        found = history.use(by=kinds, key=key, probes=probes)
        counts = {tuple(getattr(row, name) for name in kinds): row.requests for row in found}
        assert counts == summed(kinds, key=key, probes=probes), kinds


def test_a_history_with_use_of_the_former_schema_gets_its_sums(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    now = History(path, Clock())
    add_varied(now)
    now.close()
    with closing(sqlite3.connect(path)) as former, former:
        for table in ("use_of_keys", "use_at_hosts"):
            former.execute(f"DROP TABLE {table}")
        former.execute("ALTER TABLE use_cursors DROP COLUMN set_back")
        former.execute("PRAGMA user_version = 8")
    again = History(path, Clock())
    for kinds in (("key",), ("host", "model")):
        counts = {
            tuple(getattr(row, name) for name in kinds): row.requests for row in again.use(by=kinds)
        }
        assert counts == summed(kinds, key="", probes=False)
    again.close()


def test_a_cursor_of_the_former_schema_was_never_set_back_and_counts_from_then_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.db"
    now = History(path, Clock())
    assert now.add_use(CHUNK)
    now.close()
    with closing(sqlite3.connect(path)) as former, former:
        former.execute("ALTER TABLE use_cursors DROP COLUMN set_back")
        former.execute("PRAGMA user_version = 9")
    again = History(path, Clock())
    (cursor,) = again.use_cursors()
    assert cursor.set_back == 0
    back = UseChunk("gpu-1", cursor.place, replace(cursor.place, offset=1), set_back=True)
    assert again.add_use(back)
    (found,) = again.use_cursors()
    assert (found.set_back, found.place) == (1, back.end)
    again.close()


def test_a_history_of_the_former_schema_gets_the_tables(
    history_place: Path | Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.adapters.history.schema.MIGRATIONS", MIGRATIONS[:5])
    if isinstance(history_place, Path):
        from toolkit.adapters.history import aside

        monkeypatch.setattr(aside, "MIGRATIONS", MIGRATIONS[:5])
    former = History(history_place, Clock())
    with pytest.raises(ToolkitError):
        former.use()
    former.close()
    monkeypatch.undo()
    now = History(history_place, Clock())
    assert now.add_use(CHUNK)
    assert now.use() == (ROW,)
    now.close()
