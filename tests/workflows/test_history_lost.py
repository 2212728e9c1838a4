"""A history in PostgreSQL whose server goes away while a release changes: what serves goes on serving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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


@pytest.fixture
def world(tmp_path: Path, address: Address) -> Iterator[World]:
    world = World(tmp_path)
    new_command(world, address)
    yield world
    world.history.close()


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
    world.tools = replace(world.tools, history=world.history)


def serving(world: World) -> list[str]:
    return [
        version
        for _, version, state, weight in world.table()
        if (state, weight) == ("healthy", 100)
    ]


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

    def stop(event: str) -> None:
        if event == moment:
            server.stop()

    world.host.before = stop
    with pytest.raises(ToolkitError) as caught:
        world.deploy(release(2))
    assert "does not answer" in caught.value.message
    assert caught.value.hint
    assert serving(world) == [served]

    server.start()
    world.host.before = lambda event: None
    new_command(world, address)
    assert [each.release for each in world.history.unfinished()] == [2]
    world.deploy(release(2))
    assert world.outcomes()[1] == ("deploy", 2, outcome)
    assert world.history.unfinished() == []
    assert serving(world) == ["v2"]


def test_a_server_that_is_gone_at_the_start_changes_nothing(
    world: World, server: PostgresLab
) -> None:
    world.deploy(release(1))
    server.stop()
    with pytest.raises(ToolkitError, match="does not answer"):
        world.deploy(release(2))
    assert world.host.events == []
    assert serving(world) == ["v1"]


def test_a_number_taken_by_another_ops_machine_meanwhile_is_not_used_twice(
    world: World, address: Address, tmp_path: Path
) -> None:
    """Two ops machines, each with a host of its own and one history: both planned #1."""
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    new_command(other, address)
    other.deploy(release(1, "other"))
    with pytest.raises(BusyError, match="another command has just recorded another release #1"):
        world.deploy(release(1))
    assert (serving(world), world.host.events) == ([], [])
    assert serving(other) == ["other"]
    other.history.close()
