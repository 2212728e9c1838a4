"""`toolkit provision` ends once the routers of the fleet know where the provisioned hosts listen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.world import World, release
from toolkit.adapters.ansible.certificate import settings_of
from toolkit.adapters.fakes.converge import FakeConverge
from toolkit.cli.commands.provision import _untold
from toolkit.errors import HostError, ToolkitError
from toolkit.workflows.fleet.provision import Provisioned, Provisioning, Result


@pytest.mark.parametrize(("result", "told"), [(Result.CONVERGED, True), (Result.UNCHANGED, False)])
def test_it_tells_them_where_it_converged_a_host(
    tmp_path: Path, result: Result, told: bool
) -> None:
    world = moved(tmp_path)
    assert ended(world, result) is None
    assert told_of_new_port(world, "gpu1") is told_of_new_port(world, "gpu2") is told
    world.history.close()


def test_it_fails_where_a_router_does_not_follow(tmp_path: Path) -> None:
    world = moved(tmp_path)

    def full(*_: object) -> None:
        raise HostError("gpu2: no space left")

    world.hosts["gpu2"].apply_routes = full  # type: ignore[method-assign]
    error = ended(world, Result.CONVERGED)
    assert error is not None
    assert error.message.splitlines()[1:] == ["  gpu2: its router missed the change: no space left"]
    assert error.hint == "toolkit repair tells all routers their routes"
    assert told_of_new_port(world, "gpu1")
    world.history.close()


def moved(path: Path) -> World:
    """Return a fleet that serves, and whose hosts were provisioned with another port since."""
    world = World(path, 2)
    world.deploy(release(1))
    for each in world.hosts.values():
        each.host = replace(each.host, relay_port=29999)
        each.facts = replace(each.facts, settings=settings_of(each.host, ""))
    return world


def ended(world: World, result: Result) -> ToolkitError | None:
    members = world.command()
    how = Provisioning(
        converge=FakeConverge(world.host),
        owner=members[0].owner,
        clock=world.clock,
        say=world.said.append,
        fleet=[each.host for each in members],
    )
    return _untold(how, [Provisioned("gpu1", result)])


def told_of_new_port(world: World, name: str) -> bool:
    (route,) = world.routes(name).routes
    return {each.relay.rpartition(":")[2] for each in route.targets} == {"29999"}
