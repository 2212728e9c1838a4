"""The history in PostgreSQL while its server is down, restarts, or is blocked."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.adapters.history_lab import Clock, begin
from tests.adapters.postgres_lab import PostgresLab
from toolkit.adapters.history.database import read_address
from toolkit.adapters.history.history import History
from toolkit.errors import ToolkitError


@pytest.fixture
def url(postgres: PostgresLab) -> str:
    return postgres.new_database()


@pytest.fixture
def history(url: str) -> Iterator[History]:
    found = History(read_address(url), Clock())
    yield found
    found.close()


@pytest.fixture
def restarted(postgres: PostgresLab) -> Iterator[PostgresLab]:
    """The server. A test may leave it stopped."""
    yield postgres
    if postgres.process is None:
        postgres.start()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a server that went away."""
    monkeypatch.setattr("toolkit.adapters.history.postgresql.RESTART_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_gone_is_said_and_found_again_once_it_is_back(
    restarted: PostgresLab, history: History
) -> None:
    opened = begin(history, 1)
    restarted.stop()
    with pytest.raises(ToolkitError) as caught:
        history.start_step(opened, "start", "blue")
    assert caught.value.message.startswith(f"the history {history.name} does not answer: ")
    assert caught.value.hint == (
        "toolkit doctor says whether it is back; the next deploy, upgrade, rollback or stop "
        "ends what was begun"
    )
    with pytest.raises(ToolkitError, match=r"cannot be opened: connection failed: .*refused"):
        history.unfinished()

    restarted.start()
    assert [each.id for each in history.unfinished()] == [opened]
    assert history.start_step(opened, "start", "blue") == 1


def test_a_restart_between_two_steps_is_not_noticed(
    restarted: PostgresLab, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.adapters.history.postgresql.SILENT_SECONDS", 0.0)
    opened = begin(history, 1)
    restarted.stop()
    restarted.start()
    assert history.start_step(opened, "start", "blue") == 1


def test_a_server_that_is_starting_is_waited_for(
    restarted: PostgresLab, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            restarted.start()

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    monkeypatch.setattr("toolkit.adapters.history.postgresql.time", clock)
    monkeypatch.setattr("toolkit.adapters.history.postgresql.SILENT_SECONDS", 0.0)
    opened = begin(history, 1)
    restarted.stop()
    assert history.start_step(opened, "start", "blue") == 1
    assert len(waits) == 3


def test_a_server_that_hangs_is_not_waited_for_forever(
    postgres: PostgresLab, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its limit on a statement hangs with it, and its machine goes on to take what is sent."""
    monkeypatch.setattr("toolkit.adapters.history.postgresql.ANSWER_SECONDS", 0.3)
    opened = begin(history, 1)
    database = history.name.rpartition("/")[2]
    ((process,),) = postgres.sql(f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'")
    assert isinstance(process, int)
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(ToolkitError, match=r"does not answer: wait timeout expired$"):
            history.start_step(opened, "start", "blue")
        # The one that hangs is given up: another connection takes the next statement.
        assert [each.id for each in history.unfinished()] == [opened]
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_table_that_somebody_holds_is_not_waited_for_forever(
    postgres: PostgresLab, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    # Making the tables may take a statement longer than the limit.
    History(read_address(url), Clock()).close()
    monkeypatch.setattr("toolkit.adapters.history.postgresql.STATEMENT_TIMEOUT", "2s")
    history = History(read_address(url), Clock())
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE deployments")
        with pytest.raises(ToolkitError, match=r"canceling statement due to statement timeout$"):
            history.unfinished()
        other.rollback()
    assert history.unfinished() == []
    history.close()
