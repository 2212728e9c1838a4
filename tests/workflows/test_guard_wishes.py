"""Persons in a hurry: a release under its guard that is promoted, or aborted."""

from __future__ import annotations

import functools
import time
from collections import Counter

import pytest

from tests.system import waiting
from tests.workflows.guarding import GUARDED, guarded
from tests.workflows.world import World, release
from toolkit.domain.gates.guard import Guard, ShareStep
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
    # Those that wait hear of it as soon as they begin the next step.
    assert Counter(name for name, _ in followed) == {"gpu1": 2, "gpu2": 3, "gpu3": 3}
    # All get all traffic at the same moment, and none waits for the end of another one's bake.
    assert [shares for _, shares in followed[5:]] == [()] * 3


def begins_its_second_share(world: World, wish: str) -> list[str]:
    """Let a person have a wish between two steps of a canary of three; return the events of the first host."""
    world.guard = Guard(steps=(*GUARDED.steps, ShareStep(0.8, 5)), bake=30)
    events: list[str] = []

    def before(event: str) -> None:
        events.append(event)
        # The order itself is one, too.
        if event == "guard share tiny" and events.count(event) == 3:
            assert world.host.guards.wish("tiny", wish, "ann@ops")

    world.host.before = before
    return events


def test_a_promotion_between_two_steps_is_heard(world: World) -> None:
    world.deploy(release(1))
    events = begins_its_second_share(world, "promote")
    world.deploy(release(2))
    assert (events.count("guard share tiny"), events.count("guard bake tiny")) == (3, 1)
    assert set(world.serving().values()) == {"v2"}
    reasons = [each.result.reason for each in world.history.gates("tiny")]
    assert reasons.count("promoted by ann@ops") == 1


def test_an_abort_between_two_steps_fails_the_release(world: World) -> None:
    world.deploy(release(1))
    events = begins_its_second_share(world, "abort")
    with pytest.raises(ReleaseFailedError, match="failed its canary: aborted by ann@ops"):
        world.deploy(release(2))
    assert events.count("guard share tiny") == 3
    assert set(world.serving().values()) == {"v1"}
    record = world.history.failure("tiny", 2)
    assert record is not None
    assert record.result.reason == "aborted by ann@ops"


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
