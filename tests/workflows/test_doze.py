"""A former release dozes beside the one that took its device, and wakes for a rollback; whatever fails, one serves."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import pytest

from tests.workflows.test_hold import lease_ends
from tests.workflows.world import GB, TIMING, Killed, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.host import FakeHost, gpu
from toolkit.cli.views.slot import state_words
from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import Verdict
from toolkit.domain.hosts.facts import ProcessState, SlotFacts
from toolkit.errors import NothingSuitableError, RefusedError, ReleaseFailedError
from toolkit.planning.change.deploy import Wanted
from toolkit.workflows.change.gating import gate_version
from toolkit.workflows.change.wanted import Order

BACK = [
    "drain tiny-green",
    "replica absent tiny-green",
    "rouse tiny-blue",
    "complete tiny-blue",
    "probe tiny-blue",
    "complete tiny-blue",
]


def sleepy(number: int) -> Release:
    """Return a release that fills a device, and whose engine can sleep."""
    held = release(number, memory=15 * GB)
    return replace(held, accelerator="cuda", args=(*held.args, "--enable-sleep-mode"))


@pytest.fixture
def swapped(world: World) -> World:
    """A world with one device for each host, in which v2 serves and v1 dozes."""
    begin(world)
    world.deploy(sleepy(2))
    return world


def begin(world: World) -> None:
    world.see(devices=gpu(24 * GB), memory=96 * GB, memory_available=96 * GB)
    world.deploy(sleepy(1))


def without_routes(events: list[str]) -> list[str]:
    return [each for each in events if not each.startswith("routes")]


def dozing(world: World) -> set[str]:
    """Return the versions that doze, on any host."""
    slots = [slot for each in world.hosts.values() for slot in each.facts.slots if slot.dozes]
    return {slot.release.version for slot in slots if slot.release}


def flags(world: World) -> set[bool]:
    """Whether the former replica has a part in the traffic, or stands by."""
    targets = [
        each
        for name in world.hosts
        for route in json.loads(world.hosts[name].files["routes.json"])["routes"]
        for each in route["targets"]
        if each["slot"] == "blue"
    ]
    return {bool(each["weight"] or each.get("standby")) for each in targets}


def test_a_swap_lets_the_former_release_doze_and_a_rollback_wakes_it(world: World) -> None:
    begin(world)
    world.deploy(sleepy(2))
    begun = without_routes(world.host.events)
    assert begun[begun.index("drain tiny-blue") :][:3] == [
        "drain tiny-blue",
        "doze tiny-blue",
        "replica started tiny-green",
    ]
    assert dozing(world) == {"v1"}
    assert set(world.serving().values()) == {"v2"}
    assert flags(world) == {False}
    assert words(world) == {"blue": "dozing", "green": "serving"}
    world.rollback()
    assert without_routes(world.host.events)[: len(BACK)] == BACK
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert dozing(world) == set()
    assert "while #2 (v2) stops and #1 (v1) wakes (about 5 s)" in world.shown[-1].traffic
    assert "while #1 (v1) falls asleep and #2 (v2) starts" in world.shown[-2].traffic


def words(world: World) -> dict[str, str]:
    """Return what an operator reads of each slot, the same on all hosts."""
    found = [
        {slot.slot: state_words(slot) for slot in each.observe().slots}
        for each in world.hosts.values()
    ]
    assert all(each == found[0] for each in found)
    return found[0]


def test_nothing_starts_in_a_rollback_to_what_dozes(swapped: World) -> None:
    swapped.rollback()
    assert not [each for each in swapped.host.events if each.startswith("replica started")]


def well_again(host: FakeHost, event: str) -> None:
    """A new start mends the former release."""
    if event == "replica started tiny-blue":
        host.behaviour["v1"] = Behaviour.GOOD


@pytest.mark.parametrize("behaviour", [Behaviour.NEVER_WAKES, Behaviour.EMPTY])
def test_what_does_not_wake_or_answer_starts_anew(swapped: World, behaviour: Behaviour) -> None:
    swapped.behave("v1", behaviour)
    for each in swapped.hosts.values():
        each.before = functools.partial(well_again, each)
    swapped.rollback()
    assert "replica started tiny-blue" in swapped.host.events
    assert swapped.table() == [("blue", "v1", "healthy", 100)]
    assert any("it starts anew" in each for each in swapped.said)


def test_an_engine_that_does_not_fall_asleep_is_stopped_and_the_swap_goes_on(world: World) -> None:
    begin(world)
    world.behave("v1", Behaviour.NEVER_SLEEPS)
    world.deploy(sleepy(2))
    assert world.table() == [("green", "v2", "healthy", 100)]
    assert any("it does not doze" in each for each in world.said)


def test_memory_that_went_away_meanwhile_has_it_stopped(world: World) -> None:
    begin(world)

    def taken(event: str) -> None:
        if event == "drain tiny-blue":
            world.see(memory_available=20 * GB)

    world.before(taken)
    world.deploy(sleepy(2))
    assert "doze tiny-blue" in world.host.events
    assert world.table() == [("green", "v2", "healthy", 100)]


def test_one_that_keeps_more_of_its_device_than_was_thought_is_stopped(world: World) -> None:
    begin(world)

    def keeps(event: str) -> None:
        free = {"doze tiny-blue": 14 * GB, "replica absent tiny-blue": 24 * GB}
        if event in free:
            world.see(devices=(replace(gpu(24 * GB)[0], memory_free=free[event]),))

    world.before(keeps)
    world.deploy(sleepy(2))
    assert world.table() == [("green", "v2", "healthy", 100)]
    assert any("it keeps too much of its device" in each for each in world.said)


def test_a_new_release_that_fails_has_the_former_one_awake_again(world: World) -> None:
    begin(world)
    world.behave("v2", Behaviour.DIES_AT_START)
    with pytest.raises(ReleaseFailedError):
        world.deploy(sleepy(2))
    assert "rouse tiny-blue" in world.host.events
    assert "replica started tiny-blue" not in world.host.events
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_a_release_that_fails_in_its_bake_gives_the_traffic_back_to_what_dozed(
    world: World,
) -> None:
    begin(world)
    world.guard = Guard(bake=30)
    world.judge(Verdict.FAILED, "it answers errors")
    with pytest.raises(ReleaseFailedError):
        world.deploy(sleepy(2))
    assert "rouse tiny-blue" in world.host.events
    assert world.table() == [("blue", "v1", "healthy", 100)]


@pytest.mark.parametrize(
    "moment",
    [
        "drain tiny-blue",
        "doze tiny-blue",
        "replica started tiny-green",
        "wait tiny-green",
        "complete tiny-green",
        "watch tiny-green",
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_swap_that_is_killed_ends_with_one_release_that_serves(
    world: World, moment: str, late: bool
) -> None:
    begin(world)
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(sleepy(2))
    # Nobody gives a request to a replica that dozes, with or without a command.
    lease_ends(world, late=late)
    assert flags(world) <= {False} or not dozing(world)
    world.deploy(sleepy(2))
    assert set(world.serving().values()) == {"v2"}
    assert dozing(world) == {"v1"}
    assert world.unfinished() == set()
    world.rollback()
    assert world.table() == [("blue", "v1", "healthy", 100)]


@pytest.mark.parametrize(
    "moment",
    [
        "drain tiny-green",
        "replica absent tiny-green",
        "rouse tiny-blue",
        "complete tiny-blue",
    ],
)
def test_a_rollback_that_is_killed_goes_on_with_the_same_command(
    swapped: World, moment: str
) -> None:
    swapped.raise_at(moment, Killed)
    with pytest.raises(Killed):
        swapped.rollback()
    lease_ends(swapped)
    swapped.rollback()
    assert set(swapped.serving().values()) == {"v1"}
    assert swapped.unfinished() == set()
    # Neither release starts anew: what woke is there, and nothing else is left.
    assert not [each for each in swapped.host.events if each.startswith("replica started")]


def test_what_was_restarted_or_crashed_rests_and_a_rollback_starts_it_anew(swapped: World) -> None:
    for each in swapped.hosts.values():
        each.kill("tiny-blue")
        (slot,) = (one for one in each.facts.slots if one.slot == "blue")
        assert (slot.process, slot.rests) == (ProcessState.RUNNING, True)
    assert words(swapped)["blue"] == "resting"
    swapped.rollback()
    assert "rouse tiny-blue" not in swapped.host.events
    assert "replica started tiny-blue" in swapped.host.events
    assert swapped.table() == [("blue", "v1", "healthy", 100)]


def test_a_swap_that_was_killed_and_whose_host_was_restarted_starts_the_former_one_anew(
    world: World,
) -> None:
    begin(world)
    world.raise_at("wait tiny-green", Killed)
    with pytest.raises(Killed):
        world.deploy(sleepy(2))
    world.leave_alone()
    for each in world.hosts.values():
        each.kill("tiny-blue")
        each.kill("tiny-green")
    world.behave("v2", Behaviour.DIES_AT_START)
    with pytest.raises(ReleaseFailedError):
        world.deploy(sleepy(2))
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_the_next_release_ends_the_oldest_and_lets_the_former_one_doze(swapped: World) -> None:
    swapped.deploy(sleepy(3))
    begun = without_routes(swapped.host.events)
    assert begun.index("replica absent tiny-blue") < begun.index("doze tiny-green")
    assert dozing(swapped) == {"v2"}
    assert set(swapped.serving().values()) == {"v3"}
    swapped.rollback()
    assert set(swapped.serving().values()) == {"v2"}


def test_hosts_that_change_one_after_the_other_say_what_becomes_of_their_replicas(
    fleet: World,
) -> None:
    begin(fleet)
    fleet.deploy(sleepy(2))
    assert dozing(fleet) == {"v1"}
    note = "; 2 other hosts serve meanwhile"
    plan = fleet.shown[-1].plans["gpu1"]
    assert f"its old replica falls asleep before the new one starts{note}" in plan.notes
    fleet.rollback()
    plan = fleet.shown[-1].plans["gpu1"]
    assert f"its old replica stops before the former one wakes{note}" in plan.notes
    assert set(fleet.serving().values()) == {"v1"}


def test_a_stop_ends_what_dozes_too(swapped: World) -> None:
    swapped.stop()
    assert swapped.table() == []


def test_a_rollback_stops_nothing_for_what_has_no_room_to_wake_any_more(swapped: World) -> None:
    taken = replace(release(9, memory=8 * GB), model="other", accelerator="cuda")
    slot = SlotFacts(
        "other", "blue", 8190, taken, process=ProcessState.RUNNING, healthy=True, devices=(0,)
    )
    swapped.see(
        devices=(replace(gpu(24 * GB)[0], memory_free=0),),
        slots=(*swapped.host.facts.slots, replace(slot, memory=8 * GB)),
    )
    with pytest.raises(NothingSuitableError, match="with other left running"):
        swapped.rollback()
    assert ("green", "v2", "healthy", 100) in swapped.table()
    assert dozing(swapped) == {"v1"}
    assert "drain tiny-green" not in swapped.host.events


def test_a_model_that_wakes_during_a_rollback_is_counted_before_anything_stops(
    swapped: World,
) -> None:
    other = replace(release(9, memory=6 * GB), model="other", accelerator="cuda")
    slot = SlotFacts(
        "other", "blue", 8190, other, process=ProcessState.RUNNING, healthy=True, devices=(0,)
    )
    swapped.see(slots=(*swapped.host.facts.slots, replace(slot, rests=True, memory=0)))

    def wakes(event: str) -> None:
        if event == "hold wakes":
            slots = [each for each in swapped.host.facts.slots if each.model != "other"]
            swapped.see(devices=(replace(gpu(24 * GB)[0], memory_free=0),), slots=(*slots, slot))

    swapped.before(wakes)
    with pytest.raises(NothingSuitableError, match="other has woken since the plan was made"):
        swapped.rollback()
    swapped.before(lambda _: None)
    assert ("green", "v2", "healthy", 100) in swapped.table()
    assert dozing(swapped) == {"v1"}


@pytest.mark.parametrize("serving", [True, False])
def test_a_gate_wakes_no_release_that_dozes(swapped: World, serving: bool) -> None:
    if not serving:
        lost = (replace(each, weight=0) for each in swapped.host.facts.slots)
        swapped.see(slots=tuple(lost))
        swapped.host.files["routes.json"] = json.dumps({"routes": []})
    before = swapped.table()
    order = Order("gate", "tiny", lambda _: Wanted("gate", sleepy(1)), None, TIMING)
    with pytest.raises(RefusedError, match=r"tiny #1 \(v1\) dozes on gpu1, and a gate wakes no"):
        gate_version(swapped.command(), order, Guard(), lambda _: True)
    assert swapped.table() == before
    assert dozing(swapped) == {"v1"}
