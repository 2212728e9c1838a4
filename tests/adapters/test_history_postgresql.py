"""The history in PostgreSQL: logins, messages of refused logins, and concurrent ops machines."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.adapters.history_lab import Clock, at_once, begin
from tests.adapters.postgres_lab import IN_URL, PASSWORD, PostgresLab
from tests.adapters.test_history_use import CHUNK, ROW
from tests.planning.facts import release
from toolkit.adapters.history.database import read_address
from toolkit.adapters.history.history import History
from toolkit.adapters.history.schema import MIGRATIONS, in_postgresql
from toolkit.domain.clients.use import LedgerPlace, UseChunk
from toolkit.errors import InputError, ToolkitError


@pytest.fixture
def url(postgres: PostgresLab) -> str:
    return postgres.new_database()


@pytest.fixture
def history(url: str) -> Iterator[History]:
    found = History(read_address(url), Clock())
    yield found
    found.close()


def opening(url: str) -> ToolkitError:
    """Return the error of a history that cannot be opened. No part of its traceback has the password."""
    with pytest.raises(ToolkitError) as caught:
        History(read_address(url), Clock())
    told = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert PASSWORD not in told
    assert IN_URL not in told
    return caught.value


def database(url: str) -> str:
    return url.rpartition("/")[2]


# logins


def test_a_wrong_password_is_what_the_server_says(url: str) -> None:
    error = opening(url.replace("word@", "@"))
    name = read_address(url).name
    assert error.message.startswith(f"the history {name} cannot be opened: connection failed: ")
    assert error.message.endswith('FATAL:  password authentication failed for user "ops"')
    assert error.hint == f"does its server let this machine in? psql '{name}' -c 'SELECT 1'"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.replace(database(url), "nope"), 'FATAL:  database "nope" does not exist'),
        (
            lambda url: f"{url}?sslmode=verify-full&sslrootcert=/nowhere.pem",
            'root certificate file "/nowhere.pem" does not exist',
        ),
        (lambda url: f"{url}?nope=1", "has an address that PostgreSQL's driver cannot read"),
        (lambda url: f"{url}?nope", "has an address that PostgreSQL's driver cannot read"),
    ],
)
def test_what_keeps_a_history_closed_is_said(url: str, change: object, words: str) -> None:
    assert callable(change)
    assert opening(change(url)).message.endswith(words)


def test_the_server_is_checked_and_what_is_said_encrypted(postgres: PostgresLab, url: str) -> None:
    checked = f"{url}?sslmode=verify-full&sslrootcert={postgres.certificate}"
    history = History(read_address(checked), Clock())
    assert history.unfinished() == []
    seen = postgres.sql(
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        f" WHERE datname = '{database(url)}' AND application_name = 'toolkit'"
    )
    assert seen == [(True,)]
    history.close()
    elsewhere = checked.replace("127.0.0.1", "db.example") + "&hostaddr=127.0.0.1"
    assert 'does not match host name "db.example"' in opening(elsewhere).message


def test_the_password_may_come_from_the_environment_or_from_a_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = url.replace(f":{IN_URL}", "")
    assert "no password supplied" in opening(without).message

    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    History(read_address(without), Clock()).close()
    monkeypatch.delenv("PGPASSWORD")

    escaped = PASSWORD.replace(":", r"\:")
    (tmp_path / "pgpass").write_text(f"127.0.0.1:*:*:ops:{escaped}\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    History(read_address(without), Clock()).close()


def test_a_role_that_may_only_read_reads_through_the_socket(
    postgres: PostgresLab, url: str, history: History
) -> None:
    history.add_release(release(1))
    postgres.sql("CREATE ROLE reader LOGIN")
    postgres.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", database(url))
    socket = str(postgres.directory).replace("/", "%2F")
    reader = History(
        read_address(f"postgresql://reader@{socket}:{postgres.port}/{database(url)}"), Clock()
    )
    assert reader.release("tiny", 1) == release(1)
    with pytest.raises(ToolkitError) as caught:
        begin(reader, 1)
    assert caught.value.message == (
        f"the history {reader.name} does not take this: permission denied for table deployments"
    )
    reader.close()


def test_without_its_driver_the_way_to_it_is_said(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "toolkit.adapters.history.postgresql", None)
    error = opening(url)
    assert isinstance(error, InputError)
    assert error.message == "TOOLKIT_HISTORY names PostgreSQL, and its driver is not installed here"
    assert error.hint == "pip install 'psycopg[binary]>=3.3.9,<3.4'"


# other versions, other ops machines


def test_a_history_from_before_there_were_fleets_is_read_on(
    postgres: PostgresLab, url: str
) -> None:
    for statement in (
        *map(in_postgresql, MIGRATIONS[0]),
        "CREATE TABLE history_schema (version BIGINT PRIMARY KEY)",
        "INSERT INTO history_schema VALUES (1)",
        "INSERT INTO deployments (model, action, release_number, slot, actor, outcome, reason, started_at)"
        " VALUES ('tiny', 'deploy', 1, 'blue', 'ann@ops', 'running', '', 1.5)",
    ):
        postgres.sql(statement, database(url))
    history = History(read_address(url), Clock())
    (found,) = history.unfinished()
    assert (found.id, found.started_at, found.host, found.rollout) == (1, 1.5, "", "")
    assert begin(history, 2, host="gpu-1") == 2
    history.close()


def test_a_history_of_a_newer_toolkit_is_left_alone(
    postgres: PostgresLab, url: str, history: History
) -> None:
    newer = len(MIGRATIONS) + 1
    postgres.sql(f"INSERT INTO history_schema VALUES ({newer})", database(url))
    error = opening(url)
    assert error.message == f"the history has schema {newer}; this toolkit knows up to {newer - 1}"
    assert error.hint == "upgrade the toolkit on this ops machine"


def test_a_migration_that_fails_leaves_nothing_half_made(postgres: PostgresLab, url: str) -> None:
    """Another program's table blocks a migration. The database stays unchanged."""
    postgres.sql("CREATE TABLE steps (of TEXT)", database(url))
    assert opening(url).message.endswith('does not take this: relation "steps" already exists')
    tables = postgres.sql(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database(url)
    )
    assert tables == [("steps",)]


def test_a_reader_is_not_stopped_by_a_writer(url: str, history: History) -> None:
    import psycopg

    history.add_release(release(1))
    with psycopg.connect(url) as writer:
        writer.execute("UPDATE releases SET created_at = 5")
        assert history.releases("tiny")[0][1] == 101.0
        writer.commit()
    assert history.releases("tiny")[0][1] == 5.0


# what a server undoes


def undone(postgres: PostgresLab, url: str, code: str, times: int) -> None:
    """Let the server undo the next `times` transactions that add use; what a sequence counts is never undone."""
    for statement in (
        "CREATE SEQUENCE tries",
        "CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('tries') <= {times} THEN"
        f" RAISE EXCEPTION 'undone for another' USING ERRCODE = '{code}'; END IF;"
        " RETURN NEW; END $$",
        "CREATE TRIGGER undo BEFORE INSERT ON use FOR EACH ROW EXECUTE FUNCTION undo()",
    ):
        postgres.sql(statement, database(url))


@pytest.mark.parametrize("code", ["40P01", "40001"], ids=["deadlock", "serialisation"])
def test_use_that_the_server_undid_for_another_command_is_stored_again(
    postgres: PostgresLab, url: str, history: History, code: str
) -> None:
    undone(postgres, url, code, 1)
    assert history.add_use(CHUNK)
    assert history.use() == (ROW,)
    assert not history.add_use(CHUNK)


@pytest.mark.parametrize(
    ("code", "times"), [("40P01", 2), ("40003", 1), ("23514", 1)],
    ids=["undone twice", "maybe stored", "refused"],
)  # fmt: skip
def test_use_is_tried_again_once_and_only_where_nothing_was_stored(
    postgres: PostgresLab, url: str, history: History, code: str, times: int
) -> None:
    undone(postgres, url, code, times)
    with pytest.raises(ToolkitError, match="undone for another"):
        history.add_use(CHUNK)
    assert postgres.sql("SELECT last_value FROM tries", database(url)) == [(times,)]
    assert history.use() == ()
    assert history.add_use(CHUNK)


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_use_of_two_hosts_adds_up_whatever_isolation_the_database_has(
    postgres: PostgresLab, url: str, isolation: str
) -> None:
    name = database(url)
    postgres.sql(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
    History(read_address(url), Clock()).close()

    def collect(host: str, ledger: str) -> None:
        with closing(History(read_address(url), Clock())) as own:
            for number in range(20):
                start = LedgerPlace(ledger, 1, number) if number else LedgerPlace(ledger)
                rows = tuple(replace(ROW, host=host, key=f"key-{each}") for each in range(10))
                assert own.add_use(UseChunk(host, start, LedgerPlace(ledger, 1, number + 1), rows))

    faults = at_once(partial(collect, f"gpu-{number}", f"{number:016x}") for number in range(3))
    assert faults == []
    with closing(History(read_address(url), Clock())) as history:
        assert history.use(by=())[0].requests == 3 * 20 * 10 * ROW.requests
