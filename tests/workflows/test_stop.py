"""A model is taken out of service on a fleet; Ctrl-C ends that at once, and the next command goes on with it."""

from __future__ import annotations

import time

import pytest

from tests.workflows.world import AGES, World, press_ctrl_c, release


def test_it_is_gone_from_all_hosts(world: World) -> None:
    world.deploy(release(1))
    world.stop()
    assert world.serving() == {}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0] * world.count
    assert world.history.unfinished() == []


def test_ctrl_c_ends_the_wait_for_open_requests(world: World) -> None:
    world.deploy(release(1))
    pressed: list[float] = []

    def before(event: str) -> None:
        if event == "drain tiny-blue" and not pressed:
            pressed.append(time.monotonic())
            press_ctrl_c()
            world.interruption.sleep(AGES)

    world.host.before = before
    with pytest.raises(KeyboardInterrupt):
        world.stop()
    assert time.monotonic() - pressed[0] < 5
    world.stop()
    assert world.serving() == {}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0] * world.count
    assert world.history.unfinished() == []
