"""A host whose address or relay port changes: every router reaches it at the new one, and no replica is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.workflows.world import GB, World, release
from toolkit.adapters.ansible.certificate import settings_of
from toolkit.errors import HostError
from toolkit.planning.routing.agreement import behind, fleet_routes
from toolkit.workflows.change.repair import repair
from toolkit.workflows.change.routers import tell_addresses

OLD = {"10.0.0.1:8090", "10.0.0.2:8090", "10.0.0.3:8090"}
NEW = {"10.0.0.1:29999", "10.0.0.2:29999", "10.0.0.3:29999"}


def edit_fleet_file(world: World) -> None:
    """Give all hosts another relay port; their routers listen there once they are provisioned."""
    for each in world.hosts.values():
        each.host = replace(each.host, relay_port=29999)
    world.given["provision_digest"] = "base-2"


def provision(world: World) -> None:
    for each in world.hosts.values():
        settings = settings_of(each.host, "")
        each.facts = replace(each.facts, settings=settings, converged="base-2")


def addresses(world: World, name: str) -> set[str]:
    return {each.relay for route in world.routes(name).routes for each in route.targets}


def lagging(world: World) -> tuple[str, ...]:
    facts = {name: each.observe() for name, each in world.hosts.items()}
    return behind(facts, fleet_routes(facts))


def touched(world: World) -> list[str]:
    """Return what the last command did to replicas."""
    events = [event for each in world.hosts.values() for event in each.events]
    return [event for event in events if event.startswith(("replica", "drain", "wait"))]


def full(*_: Any) -> None:
    raise HostError("gpu3: no space left")


def test_a_deployment_of_the_same_release_tells_all_routers(fleet: World) -> None:
    fleet.deploy(release(1))
    edit_fleet_file(fleet)
    provision(fleet)
    assert lagging(fleet) == ("gpu1", "gpu2", "gpu3")
    fleet.deploy(release(1))
    assert [addresses(fleet, name) for name in fleet.hosts] == [NEW] * 3
    assert touched(fleet) == [] and lagging(fleet) == ()
    assert fleet.shown[-1].notes == tuple(
        f"the router of {name} has missed a change and is told the routes of today"
        for name in fleet.hosts
    )
    # and once more there is nothing to do
    fleet.deploy(release(1))
    assert [each.events for each in fleet.hosts.values()] == [[], [], []]


def test_a_deployment_that_provisions_tells_them_before_its_first_batch(fleet: World) -> None:
    fleet.deploy(release(1))
    edit_fleet_file(fleet)
    seen: list[set[str]] = []

    def before(event: str) -> None:
        if event.startswith("replica"):
            seen.append(addresses(fleet, "gpu3"))

    fleet.hosts["gpu1"].before = before
    fleet.deploy(release(2))
    assert seen == [NEW]
    assert [addresses(fleet, name) for name in fleet.hosts] == [NEW] * 3


def test_routers_are_not_told_what_no_host_was_provisioned_with(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    edit_fleet_file(fleet)
    fleet.rollback()
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    assert [addresses(fleet, name) for name in fleet.hosts] == [OLD] * 3


def test_a_repair_tells_them(fleet: World) -> None:
    fleet.deploy(release(1))
    edit_fleet_file(fleet)
    provision(fleet)
    repair(fleet.command(), lambda _: True)
    assert [addresses(fleet, name) for name in fleet.hosts] == [NEW] * 3


def test_the_end_of_a_provisioning_tells_them(fleet: World) -> None:
    fleet.deploy(release(1))
    members = fleet.command()
    hosts, owner = [each.host for each in members], members[0].owner
    tell_addresses(hosts, owner)
    assert [each.events for each in fleet.hosts.values()] == [[], [], []]
    edit_fleet_file(fleet)
    provision(fleet)
    apply = fleet.hosts["gpu3"].apply_routes
    fleet.hosts["gpu3"].apply_routes = full  # type: ignore[method-assign]
    with pytest.raises(HostError) as caught:
        tell_addresses(hosts, owner)
    assert caught.value.message == (
        "not all routers follow:\n  gpu3: its router missed the change: no space left"
    )
    fleet.hosts["gpu3"].apply_routes = apply  # type: ignore[method-assign]
    tell_addresses(hosts, owner)
    assert [addresses(fleet, name) for name in fleet.hosts] == [NEW] * 3


def test_a_release_that_fails_meanwhile_leaves_the_new_addresses(fleet: World) -> None:
    fleet.deploy(release(1, memory=14 * GB))
    edit_fleet_file(fleet)
    fleet.failing = "replica"
    with pytest.raises(HostError, match="a task failed"):
        fleet.deploy(release(2, memory=14 * GB))
    assert [addresses(fleet, name) for name in fleet.hosts] == [NEW] * 3
