"""Persons in a hurry: a release under its guard that is promoted, or aborted."""

from __future__ import annotations

import functools
import time
from collections import Counter

import pytest

from tests.system import waiting
from tests.workflows.guarding import guarded
from tests.workflows.world import World, release
from toolkit.errors import ReleaseFailedError
from toolkit.planning.change.rollout import Limits

__all__ = ["guarded"]


def test_a_promotion_passes_over_the_rest_of_the_canary(world: World) -> None:
    world.deploy(release(1))
    seen: list[list[int]] = []

    def before(event: str) -> None:
        if event.startswith("follow"):
            seen.append(world.shares())
            if len(seen) == 1:
                for each in world.hosts.values():
                    each.guards.wish("tiny", "promote", "ann@ops")

    world.host.before = before
    world.deploy(release(2))
    # The other hosts may have passed the first step already; they get their next share meanwhile.
    assert len(seen) == 2
    assert world.count > 1 or seen[1] == []
    assert set(world.serving().values()) == {"v2"}


def test_a_promotion_is_of_hosts_too_that_have_passed_a_step_and_wait_for_another_one(
    fleet: World,
) -> None:
    fleet.limits = Limits(serial=3, keep=0)
    fleet.deploy(release(1))
    followed: list[tuple[str, tuple[int, ...]]] = []

    def passed() -> set[str]:
        return {each.host for each in fleet.history.gates("tiny") if each.result.gate == "canary"}

    def before(name: str, event: str) -> None:
        if event != "follow guard tiny":
            return
        followed.append((name, tuple(fleet.shares())))
        if Counter(name for name, _ in followed)["gpu1"] == 1 and name == "gpu1":
            waiting.until(lambda: passed() == {"gpu2", "gpu3"}, 60)
            # They leave their guard, and wait for the third one.
            time.sleep(0.3)
            for each in fleet.hosts.values():
                each.guards.wish("tiny", "promote", "ann@ops")

    for name, each in fleet.hosts.items():
        each.before = functools.partial(before, name)
    fleet.deploy(release(2))
    assert set(fleet.serving().values()) == {"v2"}
    assert Counter(name for name, _ in followed) == dict.fromkeys(fleet.hosts, 2)
    # All get all traffic at the same moment, and none waits for the end of another one's bake.
    assert [shares for _, shares in followed[3:]] == [()] * 3


def test_an_abort_gives_the_traffic_back(world: World) -> None:
    world.deploy(release(1))

    def before(event: str) -> None:
        if event.startswith("follow"):
            world.host.guards.wish("tiny", "abort", "bob@ops2")

    world.host.before = before
    with pytest.raises(ReleaseFailedError, match="aborted by bob@ops2"):
        world.deploy(release(2))
    assert set(world.serving().values()) == {"v1"}
    assert world.shares() == []
