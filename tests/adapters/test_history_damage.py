"""A value of another kind in a cell of the history: named where sums need it whole, passed over elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.history_lab import Clock, begin
from tests.adapters.test_history_use import CHUNK, LEDGER, SECOND
from tests.adapters.test_regular import outcome
from tests.planning.facts import release
from toolkit.adapters.history.glance import releases_in
from toolkit.adapters.history.history import History
from toolkit.adapters.history.records import release_of
from toolkit.adapters.history.schema import MIGRATIONS
from toolkit.adapters.history.tallies import tally
from toolkit.domain.clients.tally import Tally, WatchedHour
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.engines.fit import Actual, FitRecord, Prediction
from toolkit.domain.gates.verdict import GateRecord, GateResult, Verdict
from toolkit.domain.outside import checked
from toolkit.domain.replicas.start import StartRecord
from toolkit.errors import ToolkitError

HOUR = 498_611
ODD = (b"\xff\x00", "{", "[1]", '{"a": []}', 9e999, 2**62, None)
READERS: Mapping[str, Callable[[History], object]] = {
    "release": lambda history: history.release("tiny", 1),
    "releases": lambda history: history.releases("tiny"),
    "models": lambda history: history.models(),
    "unfinished": lambda history: history.unfinished(),
    "deployments": lambda history: history.deployments("tiny"),
    "deployments_until": lambda history: history.deployments_until(1e9),
    "hosts": lambda history: sorted(history.hosts()),
    "last_start": lambda history: history.last_start("tiny"),
    "fits": lambda history: history.fits("tiny"),
    "starts": lambda history: history.starts("tiny"),
    "gates": lambda history: history.gates("tiny"),
    "gates_of": lambda history: history.gates_of("tiny", "gpu-1", "r"),
    "gates_since": lambda history: history.gates_since(0.0),
    "failure": lambda history: history.failure("tiny", 1),
    "use": lambda history: history.use(),
    "bill": lambda history: history.use("2026-01-01", "2026-12-31", by=("day", "key", "model")),
    "use_runs": lambda history: history.use_runs(),
    "use_last": lambda history: sorted(history.use_last(LEDGER).items()),
    "use_cursors": lambda history: history.use_cursors(),
    "tallies": lambda history: history.tallies(0, 10**6, ["tiny"]),
    "asleep": lambda history: sorted(history.asleep(0, 10**6).items()),
    "add_use": lambda history: history.add_use(AFTER),
    "a step": lambda history: history.start_step(begin(history, 1), "start", "blue"),
}
TALLY = Tally(HOUR, "gpu-1", "tiny", "1.0", 3, {"200": 5})
ASLEEP = Tally(HOUR, "gpu-1", "tiny", "", 0, {"asleep": 60})
FIRST = replace(CHUNK, tallies=(TALLY, ASLEEP), watched=(WatchedHour(HOUR, "gpu-1", 600.0),))
AFTER = replace(SECOND, tallies=(TALLY,), watched=(WatchedHour(HOUR, "gpu-1", 60.0),))
PREDICTED = Prediction(10, 5, 1, 4, 1, 128, 4, 1.5, 128, 1)
ACTUAL = Actual(tokens=4, weights=5)


def filled(path: Path) -> None:
    """Write a history with a record of each kind."""
    history = History(path, Clock())
    history.add_release(release(1))
    opened = begin(history, 1, host="gpu-1", rollout="r")
    history.end_step(opened, history.start_step(opened, "start", "blue"), Outcome.DONE)
    history.add_fit(FitRecord("tiny", 1, "gpu-1", PREDICTED, ACTUAL, 1.0))
    history.add_start(StartRecord("tiny", 1, "gpu-1", "vllm-1", {"importing": 9.0}, 1.0))
    history.add_gate(GateRecord("tiny", 1, "gpu-1", "r", 1.0, GateResult("bake", Verdict.FAILED)))
    history.add_use(FIRST)
    history.close()


def cells() -> dict[str, list[str]]:
    """Return the columns of each table of a history."""
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in (each for one in MIGRATIONS for each in one):
            db.execute(statement)
        tables = [
            row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {
            each: [row[1] for row in db.execute(f"PRAGMA table_info({each})")] for each in tables
        }


CELLS = cells()


@pytest.mark.parametrize("table", CELLS)
def test_an_odd_cell_is_named_or_passed_over(tmp_path: Path, table: str) -> None:
    filled(tmp_path / "whole.db")
    path, taken = tmp_path / "history.db", 0
    for column in CELLS[table]:
        for odd in ODD:
            shutil.copy(tmp_path / "whole.db", path)
            with (
                closing(sqlite3.connect(path, isolation_level=None)) as db,
                suppress(sqlite3.Error),
            ):
                taken += db.execute(f"UPDATE {table} SET {column} = ?", (odd,)).rowcount
            for without in (None, lambda _: None):
                with closing(History(path, Clock(), without=without)) as history:
                    for name, reader in READERS.items():
                        read(reader, history, f"{name}: {table}.{column} = {odd!r:.20}")
            for each in tmp_path.glob("history.db*"):
                each.unlink()
    assert taken


def read(reader: Callable[[History], object], history: History, where: str) -> None:
    """Read; whatever comes of it is of the kinds that are declared, or an error of the tree."""
    try:
        for each in parts(reader(history)):
            checked(each) if is_dataclass(each) else hash(each)
    except ToolkitError as error:
        assert error.hint, where
    except Exception as error:
        raise AssertionError(where) from error


def parts(found: Any) -> Iterator[Any]:
    """Yield the records in what a reader returns."""
    if isinstance(found, (list, tuple)):
        for each in found:
            yield from parts(each)
    else:
        yield found


FILES = ("history.db", "history.db-journal", "history.db-wal", "history.db-shm")


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_in_place_of_a_file_of_the_history_is_refused_and_nobody_waits(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "history.db"
    filled(path)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    error = outcome(lambda _: History(path, Clock()), tmp_path)
    assert isinstance(error, ToolkitError)
    assert error.message == f"the history {path} cannot be opened: {name} is no regular file"
    goes_on = outcome(
        lambda _: History(path, Clock(), without=lambda _: None, needed=False).models(), tmp_path
    )
    assert goes_on == []
    assert outcome(lambda _: releases_in(path, "tiny"), tmp_path) == []


@pytest.mark.parametrize("escape", ["\ud800", "a\udfffb"])
def test_half_a_letter_in_a_cell_is_damage(escape: str) -> None:
    """JSON can spell it, and nobody can write or show it."""
    body = json.dumps({**release(1).as_json(), "version": escape})
    assert "\\ud" in body
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        release_of({"body": body})
    row = {
        "counts": json.dumps({escape: 1}),
        "release_number": 1,
        "hour": 1,
        "host": "a",
        "model": "m",
    }
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        tally({**row, "version": "v"})
