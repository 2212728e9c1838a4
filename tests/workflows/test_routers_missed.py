"""A router that misses a change routes as before: the command tells it once more, and else ends with an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.world import GB, TIMING, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.domain.replicas.probe import Waited
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.errors import HostError, ReleaseFailedError
from toolkit.planning.routing.agreement import behind, fleet_routes
from toolkit.workflows.change import routers
from toolkit.workflows.change.repair import repair
from toolkit.workflows.change.sleep import put_to_sleep, wake

FULL = "gpu3: apply-routes: No space left on device"
SERVING = ("gpu1", "gpu2")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[World]:
    """Return a fleet whose third host has a router and no replica."""
    world = World(tmp_path, 3)
    world.deploy(release(1), named=SERVING)
    world.deploy(release(2), named=SERVING)
    yield world
    world.history.close()


def refuse(world: World, times: float = float("inf")) -> Callable[[], None]:
    """Let the router of gpu3 refuse so many changes; return what ends that."""
    host, left = world.hosts["gpu3"], [times]
    apply = host.apply_routes

    def refused(files: Mapping[str, str], edits: Mapping[str, Any] | None = None) -> None:
        if left[0] <= 0:
            apply(files, edits or {})
            return
        left[0] -= 1
        raise HostError(FULL)

    host.apply_routes = refused  # type: ignore[method-assign]
    return lambda: left.__setitem__(0, 0)


def rolling(path: Path) -> World:
    """Return a fleet of which each host holds one replica at a time, and serves it."""
    world = World(path, 3)
    world.deploy(release(1, memory=14 * GB))
    return world


def lagging(world: World) -> tuple[str, ...]:
    facts = {name: each.observe() for name, each in world.hosts.items()}
    return behind(facts, fleet_routes(facts))


def test_a_rollback_names_it_and_a_repair_tells_it(fleet: World) -> None:
    end = refuse(fleet)
    with pytest.raises(HostError) as caught:
        fleet.rollback()
    assert caught.value.message == (
        "not all routers follow:\n"
        "  gpu3: its router missed the change: apply-routes: No space left on device\n"
        "  gpu1: live: tiny #1 (v1)\n"
        "  gpu2: live: tiny #1 (v1)"
    )
    assert caught.value.hint == (
        "the rest of the fleet is as ordered; toolkit repair tells all routers their routes"
    )
    assert fleet.serving() == dict.fromkeys(SERVING, "v1")
    assert lagging(fleet) == ("gpu3",)
    end()
    repair(fleet.command(), lambda _: True)
    assert lagging(fleet) == ()
    assert fleet.serving() == dict.fromkeys(SERVING, "v1")


def test_a_router_of_a_host_that_serves_keeps_no_other_from_going_back(tmp_path: Path) -> None:
    world = World(tmp_path, 3)
    world.deploy(release(1))
    world.deploy(release(2))
    # Between two hosts the network is broken: the router sees the other one's standby down, and takes no such change.
    end = refuse(world)
    with pytest.raises(HostError, match="gpu3: apply-routes") as caught:
        world.rollback()
    assert "gpu2: live: tiny #1 (v1)" in caught.value.message
    assert "gpu3: restored: tiny #2 (v2)" in caught.value.message
    assert world.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v2"}
    end()
    world.rollback(1)
    assert world.serving() == dict.fromkeys(world.hosts, "v1")
    assert lagging(world) == ()


def test_a_router_that_refused_for_a_moment_is_told_at_the_end(fleet: World) -> None:
    refuse(fleet, 1)
    fleet.rollback()
    assert lagging(fleet) == ()


def test_a_router_that_missed_a_change_is_told_before_its_own_replica_is_drained(
    tmp_path: Path,
) -> None:
    world = rolling(tmp_path)
    refuse(world, 1)
    leads: list[int] = []

    def before(event: str) -> None:
        if event == "drain tiny-blue":
            route = world.routes("gpu3").of("tiny")
            leads.append(route.weight("gpu3.blue") if route else 0)

    world.hosts["gpu3"].before = before
    world.deploy(release(2, memory=14 * GB))
    assert leads == [0]
    assert lagging(world) == ()
    world.history.close()


def test_a_router_that_missed_a_rollback_is_told_amid_the_drains_that_wait_for_it(
    fleet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = refuse(fleet)
    monkeypatch.setattr(routers, "REMIND", 0.0)
    host = fleet.hosts["gpu1"]
    told = []

    def drain(model: str, slot: str, port: int, timeout: float, report: Any) -> Waited:
        report({"seconds": 1.0, "left": 3})
        told.append(lagging(fleet))
        end()
        report({"seconds": 2.0, "left": 3})
        told.append(lagging(fleet))
        return Waited(True)

    monkeypatch.setattr(host, "drain", drain)
    fleet.rollback()
    assert told == [("gpu3",), ()]
    assert fleet.serving() == dict.fromkeys(SERVING, "v1")


def test_a_host_keeps_its_replica_while_its_router_refuses(tmp_path: Path) -> None:
    world = rolling(tmp_path)
    end = refuse(world)
    with pytest.raises(HostError) as caught:
        world.deploy(release(2, memory=14 * GB))
    reason = "apply-routes: No space left on device"
    assert caught.value.message == (
        f"gpu3: {reason}\n"
        "  the hosts now:\n"
        "  gpu1: live: tiny #2 (v2)\n"
        "  gpu2: live: tiny #2 (v2)\n"
        "  gpu3: restored: tiny #1 (v1)\n"
        f"  gpu3: its router missed the change: {reason}"
    )
    assert "drain tiny-blue" not in world.hosts["gpu3"].events
    assert world.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v1"}
    end()
    world.deploy(release(2, memory=14 * GB))
    assert world.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}
    assert lagging(world) == ()
    world.history.close()


def test_a_host_that_does_not_answer_is_named_beside_it(tmp_path: Path) -> None:
    world = World(tmp_path, 4)
    world.deploy(release(1), named=SERVING)
    world.hosts["gpu4"].observe = _silent  # type: ignore[method-assign]
    refuse(world)
    with pytest.raises(HostError) as caught:
        world.deploy(release(2), named=SERVING)
    assert caught.value.message.splitlines()[:3] == [
        "not all hosts could be reached:",
        "  gpu4: unreachable, no route to host",
        "  gpu3: its router missed the change: apply-routes: No space left on device",
    ]
    assert caught.value.hint == (
        "the rest of the fleet is as ordered; the same command again, once they answer"
    )
    world.history.close()


def test_a_change_that_fails_names_it_too(fleet: World) -> None:
    fleet.behave("v3", Behaviour.DIES_UNDER_TRAFFIC)
    refuse(fleet)
    with pytest.raises(ReleaseFailedError) as caught:
        fleet.deploy(release(3), named=SERVING)
    assert f"\n  gpu3: its router missed the change: {FULL[6:]}" in caught.value.message


def test_a_stop_names_it(fleet: World) -> None:
    end = refuse(fleet)
    with pytest.raises(HostError) as caught:
        fleet.stop()
    assert caught.value.message == (
        f"tiny is stopped where a host answered:\n  gpu3: its router missed the change: {FULL[6:]}"
    )
    assert caught.value.hint == "toolkit repair tells all routers their routes"
    assert not any(each.facts.slots for each in fleet.hosts.values())
    end()
    repair(fleet.command(), lambda _: True)
    assert fleet.routes("gpu3").of("tiny") is None


def test_a_wake_names_it(fleet: World) -> None:
    put_to_sleep(fleet.command(), "tiny", WhenAsleep.WAIT, lambda _: True, TIMING)
    refuse(fleet)
    with pytest.raises(HostError) as caught:
        wake(fleet.command(), "tiny", TIMING, lambda _: True)
    assert caught.value.message == (
        f"tiny wakes on the other hosts:\n  gpu3: its router missed the change: {FULL[6:]}"
    )
    assert caught.value.hint == "toolkit repair tells all routers their routes"


def test_a_rollback_beside_a_silent_host_names_the_release_to_go_on_to(tmp_path: Path) -> None:
    """The same command again would go back to the release before, which is the one just withdrawn."""
    world = World(tmp_path, 3)
    world.deploy(release(1))
    world.deploy(release(2))
    observe = world.hosts["gpu3"].observe
    world.hosts["gpu3"].observe = _silent  # type: ignore[method-assign]
    with pytest.raises(HostError) as caught:
        world.rollback()
    assert caught.value.hint == (
        "the rest of the fleet is as ordered; toolkit rollback tiny --to 1, once they answer"
    )
    world.hosts["gpu3"].observe = observe  # type: ignore[method-assign]
    world.rollback(1)
    assert world.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    world.history.close()


def _silent() -> Any:
    raise HostError("no route to host")
