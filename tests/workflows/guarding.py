"""Releases under a guard, and what the history notes of them, for the tests of guards."""

from __future__ import annotations

import pytest

from tests.workflows.world import Killed, World, die_in_bake, release
from toolkit.domain.gates.guard import Guard, ShareStep

STEPS = (ShareStep(0.01, 5, 3), ShareStep(0.5, 5))

GUARDED = Guard(steps=STEPS, bake=30)


@pytest.fixture(autouse=True)
def guarded(request: pytest.FixtureRequest) -> None:
    """Give every version of the world a guard with a canary."""
    for name in ("world", "fleet"):
        if name in request.fixturenames:
            request.getfixturevalue(name).guard = GUARDED


def watch_shares(world: World) -> list[tuple[int, ...]]:
    """Return a list that gets the shares of the fleet each time that a guard is followed."""
    seen: list[tuple[int, ...]] = []

    def before(event: str) -> None:
        if event.startswith("follow"):
            seen.append(tuple(world.shares()))

    world.host.before = before
    return seen


def each_serves(world: World) -> set[str]:
    """Return the versions that hosts give their own part of the traffic to, each by its own router."""
    found = [each.observe().serving_slot("tiny") for each in world.hosts.values()]
    return {each.release.version if each and each.release else "" for each in found}


def gates(world: World) -> set[tuple[int, str, str]]:
    """Return release, gate and verdict of all that the history has."""
    return {
        (each.release, each.result.gate, str(each.result.verdict))
        for each in world.history.gates("tiny")
    }


def cut_in_bake(world: World) -> None:
    """Deploy release 1, and release 2 up to its bake, where the command is killed."""
    world.deploy(release(1))
    die_in_bake(world.hosts.values())
    with pytest.raises(Killed):
        world.deploy(release(2))
    world.go_on()
