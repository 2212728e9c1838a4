"""Ctrl-C, or SIGTERM, in the middle of a rollout: nothing is waited for any more, and what served serves again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.fleet_world import AGES, FleetWorld, press_ctrl_c
from tests.workflows.world import release
from toolkit.adapters.distribution.port import Report, Tree
from toolkit.adapters.fakes.distribution import FakeDistribution
from toolkit.domain.fleet import Host
from toolkit.domain.release import Outcome
from toolkit.errors import ReleaseFailedError
from toolkit.planning.change.rollout import Limits


@pytest.fixture
def world(tmp_path: Path) -> FleetWorld:
    return FleetWorld(tmp_path)


def interrupted_at(world: FleetWorld, moment: str, limits: Limits) -> str:
    """Deploy version 2; the operator gives up when `moment` begins on gpu1 and would take ages. Return what is said."""

    def before(event: str) -> None:
        if event == moment and world.interruption not in pressed:
            pressed.append(world.interruption)
            press_ctrl_c()
            world.interruption.sleep(AGES)

    pressed: list[object] = []
    world.hosts["gpu1"].before = before
    started = time.monotonic()
    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(release(2), limits)
    assert time.monotonic() - started < 5
    assert pressed
    return caught.value.message


@pytest.mark.parametrize(
    "moment",
    [
        "replica started tiny-green",
        "wait tiny-green",
        "complete tiny-green",
        "watch tiny-green",
        "drain tiny-blue",
    ],
)
@pytest.mark.parametrize("limits", [Limits(), Limits(serial=2, max_failures=9)])
def test_what_takes_its_time_is_ended_and_undone(
    world: FleetWorld, moment: str, limits: Limits
) -> None:
    world.deploy(release(1))
    said = interrupted_at(world, moment, limits)
    assert "gpu1: interrupted" in said
    assert "gpu1: restored: tiny #1 (v1)" in said
    assert "gpu3: untouched: tiny #1 (v1)" in said
    assert world.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [1, 1, 1]
    assert world.history.unfinished() == []
    ended = {each.host: each.outcome for each in world.history.deployments("tiny")[:3]}
    assert ended["gpu1"] is Outcome.FAILED
    assert ended["gpu3"] is Outcome.UNDONE
    world.hosts["gpu1"].before = lambda _: None
    world.deploy(release(2))
    assert world.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}


class Slow(FakeDistribution):
    """Gets a tree half across when somebody gives up."""

    def spread(self, tree: Tree, hosts: Sequence[Host], report: Report) -> Mapping[str, str]:
        press_ctrl_c()
        self.interruption.sleep(AGES)
        raise AssertionError("an interruption ends it")


def test_a_transfer_to_all_of_them_is_ended(world: FleetWorld) -> None:
    world.deploy(release(1))
    command = world.command

    def slow():  # type: ignore[no-untyped-def]
        way = Slow(world.hosts)
        made = command()
        way.interruption = world.interruption
        return tuple(replace(each, distribution=lambda: way) for each in made)

    world.command = slow  # type: ignore[method-assign]
    started = time.monotonic()
    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(release(2), Limits(max_failures=9))
    assert time.monotonic() - started < 5
    assert caught.value.message.startswith(
        "gpu1: interrupted; gpu2: interrupted; gpu3: interrupted"
    )
    assert world.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    assert world.history.unfinished() == []
