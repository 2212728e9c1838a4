"""A model is taken out of service on a fleet; Ctrl-C ends that at once, and the next command goes on with it."""

from __future__ import annotations

import threading

import pytest

from tests.pace import Pace
from tests.workflows.world import AGES, Killed, World, press_ctrl_c, release
from toolkit.errors import HostError


def test_it_is_gone_from_all_hosts(world: World) -> None:
    world.deploy(release(1))
    world.stop()
    assert world.serving() == {}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0] * world.count
    assert world.history.unfinished() == []


def test_homes_outlive_a_release_and_go_with_the_model(world: World) -> None:
    for number in (1, 2, 3):
        world.deploy(release(number))
    assert all(each.homes == {"tiny-blue", "tiny-green"} for each in world.hosts.values())
    world.raise_at("replica absent tiny-blue", Killed)
    with pytest.raises(Killed):
        world.stop()
    world.go_on()
    world.stop()
    assert not any(each.homes for each in world.hosts.values())


def test_ctrl_c_ends_the_wait_for_open_requests(world: World, pace: Pace) -> None:
    world.deploy(release(1))
    pressed: list[float] = []

    def before(event: str) -> None:
        if event == "drain tiny-blue" and not pressed:
            pressed.append(pace())
            press_ctrl_c()
            world.interruption.sleep(AGES)

    world.host.before = before
    with pytest.raises(KeyboardInterrupt):
        world.stop()
    assert pace() - pressed[0] < 5
    world.stop()
    assert world.serving() == {}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0] * world.count
    assert world.history.unfinished() == []


def test_replicas_of_a_host_end_at_once(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    # One after the other they would wait here for each other until the time is over.
    together = {name: threading.Barrier(2, timeout=20) for name in world.hosts}
    for name, host in world.hosts.items():

        def before(event: str, name: str = name) -> None:
            if event.startswith("replica absent"):
                together[name].wait()

        host.before = before
    world.stop()
    assert world.serving() == {}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0] * world.count
    assert world.outcomes()[-1] == ("stop", 2, "done")


def test_a_replica_that_does_not_end_keeps_no_other_one(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))

    def before(event: str) -> None:
        if event == "replica absent tiny-green":
            raise HostError("a task failed")

    world.before(before)
    with pytest.raises(HostError, match="a task failed"):
        world.stop()
    assert world.serving() == {}
    assert [[slot.slot for slot in each.facts.slots] for each in world.hosts.values()] == [
        ["green"]
    ] * world.count
    world.go_on()
    world.stop()
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0] * world.count
