"""A model is taken out of service on a fleet; Ctrl-C ends that at once, and the next command goes on with it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.workflows.fleet_world import AGES, FleetWorld, press_ctrl_c
from tests.workflows.world import TIMING, release
from toolkit.workflows.change.fleet_stop import stop_fleet


@pytest.fixture
def world(tmp_path: Path) -> FleetWorld:
    made = FleetWorld(tmp_path)
    made.deploy(release(1))
    return made


def stop(world: FleetWorld) -> None:
    stop_fleet(world.command(), "tiny", lambda _: True, named=(), timing=TIMING)


def test_it_is_gone_from_all_hosts(world: FleetWorld) -> None:
    stop(world)
    assert world.serving() == {}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0, 0, 0]
    assert world.history.unfinished() == []


def test_ctrl_c_ends_the_wait_for_open_requests(world: FleetWorld) -> None:
    pressed: list[float] = []

    def before(event: str) -> None:
        if event == "drain tiny-blue" and not pressed:
            pressed.append(time.monotonic())
            press_ctrl_c()
            world.interruption.sleep(AGES)

    world.hosts["gpu1"].before = before
    with pytest.raises(KeyboardInterrupt):
        stop(world)
    assert time.monotonic() - pressed[0] < 5
    stop(world)
    assert world.serving() == {}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0, 0, 0]
    assert world.history.unfinished() == []
