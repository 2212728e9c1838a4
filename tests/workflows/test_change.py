"""Deploy, upgrade, roll back, stop, where nothing goes wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.world import GB, Killed, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.domain.replicas.probe import Completion
from toolkit.errors import (
    InputError,
    RefusedError,
    ReleaseFailedError,
)


def test_the_first_deployment_prepares_the_host_and_serves(world: World) -> None:
    world.deploy(release(1))

    assert world.events == [
        "provision",
        "engine vllm-0.32.0-cpu-py311-aaaaaaaa",
        "place 00000000",
        "replica started tiny-blue",
        "wait tiny-blue",
        "complete tiny-blue",
        "routes reload",
    ]
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert world.outcomes() == [("deploy", 1, "live")]


def test_a_deployment_with_nothing_to_do_changes_nothing(world: World) -> None:
    world.deploy(release(1))
    result = world.deploy(release(1))

    assert not result.changed
    assert world.events == [] and not world.prepared
    assert world.outcomes() == [("deploy", 1, "live")]


def test_an_upgrade_shifts_by_weights_alone_and_keeps_the_old_as_standby(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))

    assert world.prepared
    assert world.events == [
        "place 00000000",
        "replica started tiny-green",
        "wait tiny-green",
        "complete tiny-green",
        "routes runtime",
        "watch tiny-green",
        "drain tiny-blue",
    ]
    assert world.table() == [("blue", "v1", "healthy", 0), ("green", "v2", "healthy", 100)]


def test_a_rollback_to_a_standby_starts_nothing(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.rollback()

    assert not world.prepared
    assert world.events == [
        "probe tiny-blue",
        "complete tiny-blue",
        "routes runtime",
        "drain tiny-green",
    ]
    assert world.table() == [("blue", "v1", "healthy", 100), ("green", "v2", "healthy", 0)]


def test_a_second_rollback_undoes_the_first(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.rollback()
    world.rollback()

    assert world.table() == [("blue", "v1", "healthy", 0), ("green", "v2", "healthy", 100)]


def test_a_third_version_takes_the_place_of_the_standby(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.deploy(release(3))

    assert world.events[:4] == [
        "place 00000000",
        "routes runtime",  # it takes no traffic over from now on
        "replica absent tiny-blue",
        "replica started tiny-blue",
    ]
    assert world.table() == [("blue", "v3", "healthy", 100), ("green", "v2", "healthy", 0)]


def _may_take_over(world: World) -> set[str]:
    """Return the slots that take the traffic over by themselves, the same on all hosts."""
    route = world.routes(world.host.name).of("tiny")
    found = (
        [
            {each.slot for each in route.on(h.label) if each.backup_weight}
            for h in world.hosts.values()
        ]
        if route
        else []
    )
    assert all(each == found[0] for each in found)
    return found[0]


def test_only_a_release_that_served_takes_over(world: World) -> None:
    world.deploy(release(1))
    assert _may_take_over(world) == set()
    world.deploy(release(2))
    assert _may_take_over(world) == {"blue"}
    world.rollback()
    assert _may_take_over(world) == {"green"}
    # while the next one starts in the standby's slot, and once it has failed, nothing of it takes over
    seen = []
    world.before(lambda event: seen.append(_may_take_over(world)) if "wait" in event else None)
    world.behave("v3", Behaviour.DIES_UNDER_TRAFFIC)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(3))
    assert seen == [set()] * world.count
    assert _may_take_over(world) == set()


def test_a_release_without_a_standby_leaves_none(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2), standby=False)
    assert _may_take_over(world) == set()


def test_a_completed_change_keeps_the_standby(world: World) -> None:
    world.deploy(release(1))
    world.raise_at("drain tiny-blue", Killed)
    with pytest.raises(Killed):
        world.deploy(release(2))
    world.go_on()
    world.deploy(release(2))
    assert _may_take_over(world) == {"blue"}


def test_a_rollback_works_when_the_standby_has_died(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    for each in world.hosts.values():
        each.kill("tiny-blue")
    world.rollback()

    assert "replica started tiny-blue" in world.events
    assert world.table()[0] == ("blue", "v1", "healthy", 100)


def test_a_standby_answers_its_checks_again_and_nothing_more(world: World) -> None:
    asked: list[Mapping[str, Any]] = []
    complete = world.host.complete

    def listening(port: int, payload: Mapping[str, Any], timeout: float) -> Completion:
        asked.append(payload)
        return complete(port, payload, timeout)

    world.host.complete = listening  # type: ignore[method-assign]
    world.deploy(release(1))
    # the check; sampled, the repository's sampling, a stream, a long prompt
    assert [each.get("temperature") for each in asked] == [0, 1, None, 1, 0]
    world.deploy(release(2))
    asked.clear()
    world.rollback()
    assert [each.get("temperature") for each in asked] == [0]


def test_without_room_for_both_the_old_one_makes_way(world: World) -> None:
    world.deploy(release(1, memory=15 * GB))
    result = world.deploy(release(2, memory=15 * GB))

    plan = result.plan.plans["gpu1"]
    # Three hosts that change at once leave none that serves meanwhile.
    assert str(plan.strategy) == "swap"
    assert re.fullmatch(r"about 0\.[0-9] s", plan.downtime)
    assert world.events == [
        "place 00000000",
        "routes runtime",
        "drain tiny-blue",
        "replica absent tiny-blue",
        "replica started tiny-green",
        "wait tiny-green",
        "complete tiny-green",
        "routes runtime",
        "watch tiny-green",
        # Only now do requests no longer wait where the only replica dies.
        "routes runtime",
    ]
    assert world.table() == [("green", "v2", "healthy", 100)]


def test_no_is_an_answer(world: World) -> None:
    world.confirm = lambda plan: False  # type: ignore[method-assign]
    with pytest.raises(RefusedError):
        world.deploy(release(1))
    assert world.events == []


def test_stop_drains_and_the_same_release_comes_back(world: World) -> None:
    world.deploy(release(1))
    world.stop()
    assert world.events == ["routes reload", "drain tiny-blue", "replica absent tiny-blue"]
    assert world.table() == []

    world.deploy(release(1))
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_stop_of_what_is_not_deployed_says_so(world: World) -> None:
    with pytest.raises(InputError, match="tiny is not deployed"):
        world.stop()


def test_rollback_without_a_past_says_so(world: World) -> None:
    with pytest.raises(InputError, match="tiny is not deployed"):
        world.rollback()
    world.deploy(release(1))
    with pytest.raises(InputError, match="no release before #1"):
        world.rollback()


def test_another_ops_machine_with_an_empty_history_can_roll_back(
    world: World, tmp_path: Path
) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    (tmp_path / "second").mkdir()
    second = World(tmp_path / "second", world.count)
    second.hosts = world.hosts
    second.rollback()

    assert second.table() == [("blue", "v1", "healthy", 100), ("green", "v2", "healthy", 0)]


def test_a_clock_that_is_set_back_meanwhile_makes_no_negative_time(world: World) -> None:
    world.deploy(release(1))
    world.before(lambda _: setattr(world, "time", world.time - 7200))
    done = world.deploy(release(2))
    assert 0 <= done.seconds < 60
