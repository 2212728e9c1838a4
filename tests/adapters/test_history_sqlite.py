"""The history in a file: with concurrent processes, of older and newer schemas, and damaged."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.history_lab import Clock, begin
from tests.planning.facts import release
from toolkit.adapters.history.history import History
from toolkit.adapters.history.schema import MIGRATIONS
from toolkit.adapters.history.sqlite import Sqlite
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.gates.verdict import GateRecord, GateResult, Verdict
from toolkit.domain.replicas.start import StartRecord
from toolkit.errors import ToolkitError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    found = History(path, Clock())
    yield found
    found.close()


def test_a_reader_is_not_stopped_by_a_writer_nor_the_other_way_round(
    path: Path, history: History
) -> None:
    history.add_release(release(1))
    writer = sqlite3.connect(path, isolation_level=None, timeout=0)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE releases SET created_at = 5")
    reader = History(path, Clock())
    assert reader.releases("tiny")[0][1] == 101.0

    looking = sqlite3.connect(path, isolation_level=None)
    looking.execute("BEGIN")
    assert looking.execute("SELECT created_at FROM releases").fetchall() == [(101.0,)]
    writer.execute("COMMIT")
    writer.close()
    assert looking.execute("SELECT created_at FROM releases").fetchall() == [(101.0,)]
    looking.close()
    assert reader.releases("tiny")[0][1] == 5.0
    reader.close()


def test_what_is_recorded_outlives_a_loss_of_power(path: Path) -> None:
    # In a process of its own: the tests' own is given a quicker history.
    asked = (
        "import sys, pathlib; from toolkit.adapters.history.sqlite import Sqlite;"
        "print(Sqlite(pathlib.Path(sys.argv[1])).run('PRAGMA synchronous', ()))"
    )
    command = [sys.executable, "-c", asked, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert told == "[{'synchronous': 2}]\n"


def test_a_history_of_a_newer_toolkit_is_left_alone(path: Path, history: History) -> None:
    _set_version(path, len(MIGRATIONS) + 1)
    with pytest.raises(ToolkitError) as caught:
        History(path, Clock())
    assert caught.value.message == (
        f"the history has schema {len(MIGRATIONS) + 1}; this toolkit knows up to {len(MIGRATIONS)}"
    )
    assert caught.value.hint == "upgrade the toolkit on this ops machine"


def test_a_history_from_before_there_were_fleets_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    former = sqlite3.connect(path, isolation_level=None)
    for statement in MIGRATIONS[0]:
        former.execute(statement)
    former.execute("PRAGMA user_version = 1")
    former.execute(
        "INSERT INTO deployments VALUES (5, 'tiny', 'deploy', 1, NULL, 'blue', 'ann@ops', 'running', '', 1.0, NULL)"
    )
    former.close()
    history = History(path, Clock())
    (found,) = history.unfinished()
    assert (found.id, found.actor, found.host, found.rollout) == (5, "ann@ops", "", "")
    assert not found.kept
    assert begin(history, 2, host="gpu-1") == 6
    history.close()


def test_a_history_from_before_there_were_guards_takes_their_results(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    former = sqlite3.connect(path, isolation_level=None)
    for statements in MIGRATIONS[:4]:
        for statement in statements:
            former.execute(statement)
    former.execute("PRAGMA user_version = 4")
    former.close()
    history = History(path, Clock())
    record = GateRecord("tiny", 2, "a", "", 1.0, GateResult("bake", Verdict.FAILED, "slow"))
    assert history.gates("tiny") == []
    history.add_gate(record)
    assert history.failure("tiny", 2) == record
    history.close()


def test_a_history_from_before_phases_were_kept_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    former = sqlite3.connect(path, isolation_level=None)
    for statements in MIGRATIONS[:6]:
        for statement in statements:
            former.execute(statement)
    former.execute("PRAGMA user_version = 6")
    former.close()
    history = History(path, Clock())
    record = StartRecord("tiny", 2, "a", "vllm-1", {"importing": 9.0}, 1.0)
    assert history.starts("tiny") == []
    history.add_start(record)
    assert history.starts("tiny") == [record]
    history.close()


def test_a_migration_cut_short_leaves_nothing_half_made(tmp_path: Path) -> None:
    """A killed migration was not committed, so the next process does it in full."""
    path = tmp_path / "history.db"
    cut = sqlite3.connect(path, isolation_level=None)
    cut.execute("PRAGMA journal_mode=WAL")
    cut.execute("BEGIN IMMEDIATE")
    cut.execute(MIGRATIONS[0][0])
    cut.close()
    history = History(path, Clock())
    history.add_release(release(1))
    history.close()


def test_a_file_that_is_no_history_is_named(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"not a database at all" * 200)
    with pytest.raises(ToolkitError) as caught:
        History(path, Clock())
    assert caught.value.message == f"the history {path} cannot be opened: file is not a database"
    assert path.read_bytes()[:5] == b"not a"


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(ToolkitError, match=r"home/history.db cannot be opened: "):
        History(tmp_path / "home" / "history.db", Clock())


def test_a_file_that_takes_nothing_more_is_named(path: Path, history: History) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("DROP TABLE releases")
    other.close()
    with pytest.raises(ToolkitError) as caught:
        history.add_release(release(1))
    assert caught.value.message == f"the history {path} does not take this: no such table: releases"
    assert caught.value.hint.startswith("look at its disk: toolkit doctor")


def test_a_command_goes_on_where_no_history_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    said: list[ToolkitError] = []
    history = History(tmp_path / "home" / "history.db", Clock(), without=said.append, needed=False)
    history.add_release(release(1))
    assert history.releases("tiny")[0][0] == release(1)
    assert [each.message for each in said] == [history.fault]
    assert "cannot be opened" in history.fault
    history.close()


def test_a_file_that_is_no_history_stops_no_command_that_can_do_without(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"not a database at all" * 200)
    history = History(path, Clock(), without=lambda _: None, needed=False)
    assert (history.unfinished(), history.releases("tiny")) == ([], [])
    assert "file is not a database" in history.fault
    assert path.read_bytes()[:5] == b"not a"
    history.close()


def test_a_history_that_fills_up_midway_is_left_and_its_records_stay_known(
    path: Path, history: History
) -> None:
    history.add_release(release(1))
    opened = begin(history, 1)
    said: list[ToolkitError] = []
    command = History(path, Clock(), without=said.append)
    db = command._db
    assert isinstance(db, Sqlite)
    db.run("PRAGMA max_page_count = 1", ())
    for number in range(2, 200):
        command.add_release(replace(release(number), env={"PADDING": "x" * 4000}))
    assert "database or disk is full" in command.fault
    assert len(said) == 1
    # the change that was under way ends, in memory
    assert [each.id for each in command.unfinished()] == [opened]
    command.end_deployment(opened, Outcome.LIVE)
    assert command.unfinished() == []
    assert len(command.releases("tiny")) == 199
    # the file has the change still open: the next command ends it
    assert [each.id for each in history.unfinished()] == [opened]
    command.close()


@pytest.mark.parametrize("page", [1, 2, 3, 4, 5])
def test_a_damaged_page_is_no_reason_to_know_nothing(path: Path, page: int) -> None:
    whole = History(path, Clock())
    for number in range(1, 60):
        whole.add_release(release(number))
        begin(whole, number)
    whole._db.run("PRAGMA wal_checkpoint(TRUNCATE)", ())
    whole.close()
    text = bytearray(path.read_bytes())
    text[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    path.write_bytes(text)
    said: list[ToolkitError] = []
    history = History(path, Clock(), without=said.append, needed=False)
    known = len(history.unfinished()) + len(history.releases("tiny"))
    assert known > 0
    if known < 118:
        assert history.fault
    history.add_release(release(99))
    assert history.release("tiny", 99) == release(99)
    history.close()


def test_a_fault_that_sqlite_words_with_bytes_of_the_file_is_named(path: Path) -> None:
    """Its message is no UTF-8 then, and Python raises another error than the library's."""
    whole = History(path, Clock())
    whole.add_release(release(1))
    whole._db.run("PRAGMA wal_checkpoint(TRUNCATE)", ())
    whole.close()
    text = path.read_bytes()
    assert text.count(b"CREATE TABLE releases") == 1
    path.write_bytes(text.replace(b"CREATE TABLE releases", b"CREATE \xaaABLE releases"))
    with pytest.raises(ToolkitError) as caught:
        History(path, Clock())
    assert caught.value.message == f"the history {path} cannot be opened: its schema is damaged"
    history = History(path, Clock(), without=lambda _: None, needed=False)
    assert history.releases("tiny") == []
    history.close()


@pytest.mark.parametrize("body", ['{"model": 1', "[" * 100_000], ids=["half", "deep"])
def test_a_record_that_cannot_be_read_is_named_or_passed_over(
    path: Path, history: History, body: str
) -> None:
    history.add_release(release(1))
    history.add_release(release(2))
    history._db.run("UPDATE releases SET body = ? WHERE number = 2", (body,))
    with pytest.raises(ToolkitError, match="has a damaged record"):
        history.releases("tiny")
    with pytest.raises(ToolkitError, match="has a damaged record"):
        history.release("tiny", 2)
    command = History(path, Clock(), without=lambda _: None)
    assert [each.number for each, _ in command.releases("tiny")] == [1]
    assert "has a damaged record" in command.fault
    command.close()


def test_a_release_without_a_time_is_a_damaged_record(path: Path, history: History) -> None:
    for number in (1, 2):
        history.add_release(release(number))
    history._db.run("UPDATE releases SET created_at = '{' WHERE number = 2", ())
    with pytest.raises(ToolkitError, match="has a damaged record"):
        history.releases("tiny")
    command = History(path, Clock(), without=lambda _: None)
    assert [each.number for each, _ in command.releases("tiny")] == [1]
    command.close()


def test_a_needed_history_must_open_even_where_a_command_could_go_on_later(
    tmp_path: Path,
) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(ToolkitError, match="cannot be opened"):
        History(tmp_path / "home" / "history.db", Clock(), without=lambda _: None)


def _set_version(path: Path, number: int) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA user_version = {number}")
    db.close()
