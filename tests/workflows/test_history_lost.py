"""A history in PostgreSQL whose server goes away while a release changes: what serves goes on serving."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.postgres_lab import PostgresLab
from tests.workflows.world import World, release
from toolkit.adapters.history.database import Address, read_address
from toolkit.adapters.history.history import History
from toolkit.errors import BusyError, ToolkitError


@pytest.fixture
def address(postgres: PostgresLab) -> Address:
    return read_address(postgres.new_database())


@pytest.fixture(autouse=True)
def in_postgresql(world: World, address: Address) -> None:
    new_command(world, address)


@pytest.fixture
def server(postgres: PostgresLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresLab]:
    """The server, which the test may leave stopped; nobody waits for it to come back."""
    monkeypatch.setattr("toolkit.adapters.history.postgresql.RESTART_SECONDS", 0.0)
    yield postgres
    if postgres.process is None:
        postgres.start()


def new_command(world: World, address: Address) -> None:
    """What follows is typed anew: another process with a connection of its own."""
    world.history.close()
    world.history = History(address, world.clock)


def serving(world: World) -> list[str]:
    """Return the versions that hosts serve: what else is in their slots may differ by now."""
    return sorted(set(world.serving().values()))


@pytest.mark.parametrize(
    ("moment", "served", "outcome"),
    [
        ("replica started tiny-green", "v1", "undone"),
        ("routes runtime", "v2", "live"),
        # All is done but to say so.
        ("drain tiny-blue", "v2", "live"),
    ],
)
def test_a_server_that_stops_midway_leaves_the_deployment_to_the_next_command(
    world: World, address: Address, server: PostgresLab, moment: str, served: str, outcome: str
) -> None:
    world.deploy(release(1))

    once = threading.Lock()

    def stop(event: str) -> None:
        with once:
            if event == moment and server.process is not None:
                server.stop()

    world.before(stop)
    with pytest.raises(ToolkitError) as caught:
        world.deploy(release(2))
    # What is only kept for people may be the first to meet the lost server, and goes on without it.
    assert any(each in caught.value.message for each in ("does not answer", "cannot be opened"))
    assert caught.value.hint
    assert serving(world) == [served]

    server.start()
    world.go_on()
    new_command(world, address)
    assert world.unfinished() == {2}
    world.deploy(release(2))
    assert world.outcomes()[1] == ("deploy", 2, outcome)
    assert world.unfinished() == set()
    assert serving(world) == ["v2"]


def test_a_server_that_is_gone_at_the_start_changes_nothing(
    world: World, server: PostgresLab
) -> None:
    world.deploy(release(1))
    server.stop()
    with pytest.raises(ToolkitError, match="does not answer"):
        world.deploy(release(2))
    assert world.events == []
    assert serving(world) == ["v1"]


def test_a_number_taken_by_another_ops_machine_meanwhile_is_not_used_twice(
    world: World, address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ops machines, each with hosts of its own and one history: both planned #1."""
    monkeypatch.setattr(world.history, "releases", lambda model: [])
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other", world.count)
    new_command(other, address)
    other.deploy(release(1, "other"))
    with pytest.raises(BusyError, match="another command has just recorded another release #1"):
        world.deploy(release(1))
    assert (serving(world), world.events) == ([], [])
    assert serving(other) == ["other"]
    other.history.close()
