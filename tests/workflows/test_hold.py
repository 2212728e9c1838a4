"""A swap whose command is gone: its former replica serves again if it still runs, and the next command goes on."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.planning.rendered import render_files
from tests.workflows.world import GB, Killed, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.host import FakeHost
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import HostError, ReleaseFailedError
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.rollout import Limits
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.wanted import Order
from toolkit.workflows.tools import Timing

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "toolkit/hostside"))

import hold_lease

# Two of them do not fit on a host at once.
LARGE = 15 * GB


def lease_ends(world: World, *, late: bool = False) -> None:
    """Let the watch of each host look at the holds, whose command is gone."""
    world.leave_alone()
    up = {}
    for each in world.hosts.values():
        for slot in each.facts.slots:
            up[f"{each.host.label}.{slot.slot}".lstrip(".")] = slot.healthy
    for each in world.hosts.values():
        found = json.loads(each.files["routes.json"])
        after = Routes.from_json(hold_lease.released(found, {"tiny": up}, late=late))
        each.files.update(render_files(after, each.host.label))


def test_a_plan_promises_no_wait_while_a_host_that_does_not_answer_has_traffic(
    tmp_path: Path,
) -> None:
    """That host may still answer its clients, so its part of the traffic stays."""
    world = World(tmp_path, 2, limits=Limits(serial=2, keep=0))
    world.deploy(release(1, memory=LARGE))

    def silent() -> HostFacts:
        raise HostError("gpu2: no route to host")

    world.hosts["gpu2"].observe = silent  # type: ignore[method-assign]
    held: list[int] = []

    def before(event: str) -> None:
        if event == "wait tiny-green":
            held.append(world.routes("gpu1").routes[0].hold)

    world.host.before = before
    with pytest.raises(HostError, match="not all hosts could be reached"):
        world.deploy(release(2, memory=LARGE))
    plan = world.shown[-1]
    assert "Requests for tiny do not wait while #1 (v1) stops" in plan.traffic
    assert "requests do not wait meanwhile: they go to gpu2, which is not known to serve" in (
        plan.plans["gpu1"].notes
    )
    assert held == [0]
    world.history.close()


def swapping(tmp_path: Path, count: int) -> World:
    """Return a fleet that serves version 1, whose hosts change at once and have room for one replica each."""
    world = World(tmp_path, count)
    world.limits = Limits(serial=count, keep=0)
    world.deploy(release(1, memory=LARGE))
    return world


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("moment", "serves"),
    [
        ("drain tiny-blue", True),
        ("replica absent tiny-blue", True),
        ("wait tiny-green", False),
        ("complete tiny-green", False),
    ],
)
def test_a_former_replica_that_still_runs_serves_again(
    tmp_path: Path, count: int, moment: str, serves: bool
) -> None:
    world = swapping(tmp_path, count)
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(release(2, memory=LARGE))
    assert world.serving() == {}
    assert world.routes(world.host.name).routes[0].hold > 0
    lease_ends(world)
    assert set(world.serving().values()) == ({"v1"} if serves else set())
    lease_ends(world, late=True)
    assert world.routes(world.host.name).routes[0].hold == 0
    world.deploy(release(2, memory=LARGE))
    assert set(world.serving().values()) == {"v2"}
    routes = [world.routes(name) for name in world.hosts]
    assert all(each.routes == routes[0].routes for each in routes)
    assert not any(each.former for each in routes[0].routes[0].targets)
    world.history.close()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("cut", [False, True], ids=["fails", "is killed"])
def test_requests_wait_while_the_former_release_of_a_failed_swap_starts_again(
    tmp_path: Path, count: int, cut: bool
) -> None:
    world = swapping(tmp_path, count)
    new = replace(release(2, memory=LARGE), hold=300.0)
    seen: list[tuple[int, bool]] = []

    def look(event: str, host: FakeHost) -> None:
        if event in ("replica absent tiny-green", "replica started tiny-blue"):
            route = world.routes(host.name).routes[0]
            own = route.weight(f"{host.label}.green".lstrip("."))
            seen.append((own, route.hold == 300 or any(each.weight for each in route.targets)))

    def watch() -> None:
        for each in world.hosts.values():
            each.before = partial(look, host=each)

    if cut:
        world.raise_at("watch tiny-green", Killed)
        with pytest.raises(Killed):
            world.deploy(new)
        for name, host in world.hosts.items():
            slots = (replace(each, healthy=each.slot != "green") for each in host.facts.slots)
            world.see(name, slots=tuple(slots))
        watch()
        world.deploy(release(1, memory=LARGE))
    else:
        world.behave("v2", Behaviour.DIES_UNDER_TRAFFIC)
        watch()
        with pytest.raises(ReleaseFailedError):
            world.deploy(new)
    assert set(world.serving().values()) == {"v1"}
    assert seen == [(0, True)] * 2 * count
    assert world.routes(world.host.name).routes[0].hold == 0
    world.history.close()


@pytest.mark.parametrize("count", [1, 3])
def test_requests_wait_again_once_a_later_command_starts_what_a_killed_swap_had_stopped(
    tmp_path: Path, count: int
) -> None:
    world = swapping(tmp_path, count)
    world.raise_at("wait tiny-green", Killed)
    with pytest.raises(Killed):
        world.deploy(release(2, memory=LARGE))
    lease_ends(world, late=True)
    assert (world.serving(), world.routes(world.host.name).routes[0].hold) == ({}, 0)
    held: list[bool] = []

    def look(event: str) -> None:
        if event == "replica started tiny-blue":
            route = world.routes(world.host.name).routes[0]
            held.append(route.hold == 120 or any(each.weight for each in route.targets))

    world.before(look)
    world.deploy(release(1, memory=LARGE))
    assert held == [True] * count
    assert set(world.serving().values()) == {"v1"}
    assert world.routes(world.host.name).routes[0].hold == 0
    world.history.close()


@pytest.mark.parametrize("count", [1, 3])
def test_requests_wait_in_a_rollback_for_as_long_as_they_did_in_the_upgrade(
    tmp_path: Path, count: int
) -> None:
    world = swapping(tmp_path, count)
    world.deploy(replace(release(2, memory=LARGE), hold=300.0))
    held: list[int] = []

    def look(event: str) -> None:
        if event == "replica started tiny-blue":
            held.append(world.routes(world.host.name).routes[0].hold)

    world.before(look)
    world.rollback()
    assert held == [300] * count
    notes = world.shown[-1].plans[world.host.name].notes
    assert any(each.endswith("each for 5 min 00 s at most") for each in notes)
    assert set(world.serving().values()) == {"v1"}
    world.history.close()


@pytest.mark.parametrize("count", [1, 3])
def test_a_hold_is_armed_while_a_release_that_nothing_serves_beside_is_in_its_bake(
    tmp_path: Path, count: int
) -> None:
    world = swapping(tmp_path, count)
    held: dict[str, set[int]] = {}

    def look(event: str, host: FakeHost) -> None:
        held.setdefault(event, set()).add(world.routes(host.name).routes[0].hold)

    for each in world.hosts.values():
        each.before = partial(look, host=each)
    world.deploy(release(2, memory=LARGE))
    assert held["watch tiny-green"] == {120}
    assert {world.routes(name).routes[0].hold for name in world.hosts} == {0}
    assert set(world.serving().values()) == {"v2"}
    # A rollback has no guard, and is watched like an upgrade.
    world.rollback()
    assert {world.routes(name).routes[0].hold for name in world.hosts} == {0}
    world.history.close()


@pytest.mark.parametrize("count", [1, 3])
def test_a_hold_stays_armed_where_its_command_is_killed_in_the_bake(
    tmp_path: Path, count: int
) -> None:
    world = swapping(tmp_path, count)
    world.raise_at("watch tiny-green", Killed)
    with pytest.raises(Killed):
        world.deploy(release(2, memory=LARGE))
    for late in (False, True):
        lease_ends(world, late=late)
        assert set(world.serving().values()) == {"v2"}
        assert world.routes(world.host.name).routes[0].hold == 120
    world.deploy(release(2, memory=LARGE))
    assert world.routes(world.host.name).routes[0].hold == 0
    assert set(world.serving().values()) == {"v2"}
    world.history.close()


def test_nothing_is_armed_where_another_replica_serves_on(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    world.deploy(release(1))
    held: list[int] = []
    world.before(lambda _: held.append(world.routes(world.host.name).routes[0].hold))
    world.deploy(release(2))
    assert set(held) == {0}
    world.history.close()


@pytest.mark.parametrize(
    ("hold", "timeout", "longest"), [(120.0, 900.0, 115), (120.0, 20.0, 20), (30.0, 900.0, 900)]
)
def test_a_drain_that_others_wait_for_lasts_no_longer_than_they_do(
    tmp_path: Path, hold: float, timeout: float, longest: int
) -> None:
    world = swapping(tmp_path, 1)
    drained: list[float] = []
    former = world.host.drain

    def drain(model: str, slot: str, port: int, seconds: float, heard: object) -> object:
        drained.append(seconds)
        return former(model, slot, port, seconds, heard)  # type: ignore[arg-type]

    world.host.drain = drain  # type: ignore[method-assign, assignment]
    wanted = Wanted("deploy", release(2, memory=LARGE), hold_seconds=hold)
    timing = Timing(drain=timeout, bake=1.0)
    world.order(Order("deploy", "tiny", lambda _: wanted, None, timing, world.limits))
    assert [round(each) for each in drained] == [longest]
    world.history.close()


SWAP_EVENTS = (
    "routes runtime", "drain tiny-blue", "replica absent tiny-blue", "replica started tiny-green", "wait tiny-green",
    "complete tiny-green", "watch tiny-green", "drop deployment",
)  # fmt: skip


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("wanted", [1, 2], ids=["back", "again"])
@pytest.mark.parametrize(
    ("moment", "nth"), [(each, 1) for each in SWAP_EVENTS] + [("routes runtime", 2), ("routes runtime", 3)]
)  # fmt: skip
def test_wherever_a_swap_is_killed_nothing_waits_for_it_and_the_next_command_ends_it(
    tmp_path: Path, count: int, wanted: int, moment: str, nth: int
) -> None:
    world = swapping(tmp_path, count)
    seen = 0

    def die(event: str) -> None:
        nonlocal seen
        seen += event == moment
        if event == moment and seen == nth + (nth - 1) * (count - 1):
            raise Killed

    world.before(die)
    with pytest.raises(Killed):
        world.deploy(release(2, memory=LARGE))
    for late in (False, True):
        lease_ends(world, late=late)
    for name in world.hosts:
        (route,) = world.routes(name).routes
        # Requests wait for nobody: they are served, or refused at once.
        assert not route.hold or any(each.weight for each in route.targets)
    world.deploy(release(wanted, memory=LARGE))
    assert set(world.serving().values()) == {f"v{wanted}"}
    assert {world.routes(name).routes[0].hold for name in world.hosts} == {0}
    assert not any(
        each.former for name in world.hosts for each in world.routes(name).routes[0].targets
    )
    assert [slot.serving for each in world.hosts.values() for slot in each.observe().slots] == [
        True
    ] * count
    world.history.close()
