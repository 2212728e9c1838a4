"""A standby that a change wanted to serve, or to replace, is a standby again where that change is undone."""

from __future__ import annotations

import pytest

from tests.workflows.asleep import fall_asleep, get_up
from tests.workflows.guarding import guarded
from tests.workflows.world import Killed, World, release
from toolkit.cli.views.slot import state_words
from toolkit.errors import HostError, ReleaseFailedError, ToolkitError


class LinkCutError(HostError):
    def __init__(self, message: str = "the link was cut", hint: str = "") -> None:
        super().__init__(message, hint=hint)


class FailedError(ReleaseFailedError):
    def __init__(self, message: str = "it died under traffic", hint: str = "") -> None:
        super().__init__(message, hint=hint)


__all__ = ["guarded"]

MOMENTS = ["guard share tiny", "follow guard tiny", "routes runtime", "complete tiny-green"]


def standbys(world: World) -> set[str]:
    """Return the targets that take the traffic over, by the routes of the first host."""
    route = world.routes(world.host.name).of("tiny")
    assert route
    return {each.name for each in route.targets if each.standby}


def with_standby(world: World) -> set[str]:
    """Bring up v1, which serves, and v2 as its standby on all hosts; return the standbys."""
    world.deploy(release(1))
    world.deploy(release(2))
    world.rollback()
    found = standbys(world)
    assert len(found) == len(world.hosts)
    return found


def sleeps_whole_and_wakes(world: World, before: set[str]) -> None:
    """See every replica rest while the model sleeps, and the standbys of `before` once it is awake."""
    fall_asleep(world)
    assert all(slot.rests for each in world.hosts.values() for slot in each.observe().slots)
    get_up(world)
    assert standbys(world) == before
    assert set(world.serving().values()) == {"v1"}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("back", ["deploy", "rollback"])
def test_a_killed_change_to_a_standby_leaves_it_one(world: World, moment: str, back: str) -> None:
    before = with_standby(world)
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(release(2))
    world.leave_alone()
    world.go_on()
    if back == "deploy":
        world.deploy(release(1))
    else:
        world.rollback(1)
    assert set(world.serving().values()) == {"v1"}
    assert standbys(world) == before
    sleeps_whole_and_wakes(world, before)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, LinkCutError])
def test_a_change_to_a_standby_that_is_undone_leaves_it_one(
    world: World, moment: str, error: type[BaseException]
) -> None:
    before = with_standby(world)
    world.raise_at(moment, error)
    with pytest.raises(ToolkitError):
        world.deploy(release(2))
    world.go_on()
    assert set(world.serving().values()) == {"v1"}
    assert standbys(world) == before
    sleeps_whole_and_wakes(world, before)


@pytest.mark.parametrize("error", [Killed, KeyboardInterrupt, LinkCutError])
def test_a_standby_that_was_not_replaced_yet_stays_one(
    world: World, error: type[BaseException]
) -> None:
    before = with_standby(world)
    world.raise_at("replica absent tiny-green", error)
    with pytest.raises((Killed, ToolkitError)):
        world.deploy(release(3))
    world.go_on()
    world.deploy(release(1))
    assert standbys(world) == before
    sleeps_whole_and_wakes(world, before)


def test_a_standby_that_failed_under_traffic_takes_nothing_over_and_sleeps(world: World) -> None:
    world.guard = None
    with_standby(world)
    world.raise_at("watch tiny-green", FailedError)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(2))
    world.go_on()
    assert standbys(world) == set()
    words = {state_words(slot) for each in world.hosts.values() for slot in each.observe().slots}
    assert words == {"serving", "idle"}
    sleeps_whole_and_wakes(world, set())
