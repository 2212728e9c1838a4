"""Deploy, upgrade, roll back, stop; and every way in which they can go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.world import GB, Killed, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.domain.probe import Completion, LockOwner
from toolkit.errors import (
    BusyError,
    HostError,
    InputError,
    InterruptionError,
    NothingSuitableError,
    RefusedError,
    ReleaseFailedError,
)
from toolkit.planning.change.rollout import Limits


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


def test_a_frozen_standby_is_refused_and_what_serves_goes_on(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.behave("v1", Behaviour.HANGS)
    with pytest.raises(ReleaseFailedError) as caught:
        world.rollback()
    assert "tiny #1 (v1) stands by and is no good: it hangs" in caught.value.message
    assert caught.value.hint and "toolkit" in caught.value.hint
    assert world.table()[-1] == ("green", "v2", "healthy", 100)


def test_a_rollback_from_a_release_that_hangs_leaves_no_healthy_standby(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.behave("v2", Behaviour.HANGS)
    world.rollback()
    assert world.table() == [("blue", "v1", "healthy", 100), ("green", "v2", "running", 0)]
    assert any("it hangs: 2 requests are open" in each for each in world.said)


def test_an_upgrade_that_hangs_in_its_bake_is_undone(world: World) -> None:
    world.deploy(release(1))
    world.behave("v2", Behaviour.HANGS)
    with pytest.raises(ReleaseFailedError, match="failed under traffic: it hangs"):
        world.deploy(release(2))
    assert world.table() == [("blue", "v1", "healthy", 100)]


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


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (
            Behaviour.DIES_AT_START,
            "did not start: its process ended\n  its log says: ValueError: no such thing",
        ),
        (Behaviour.NEVER_READY, "did not start: it was not ready within 5 s"),
        (Behaviour.EMPTY, "answered nothing"),
        (Behaviour.ERROR, "answered HTTP 500"),
        (
            Behaviour.DIES_SAMPLING,
            "did not pass its gate: asked with temperature, top_p and top_k, it gave no answer",
        ),
        (
            Behaviour.DIES_UNDER_TRAFFIC,
            "failed under traffic: its process ended\n  its log says: EngineDeadError: gone",
        ),
    ],
)
def test_a_bad_version_leaves_the_old_one_serving(
    world: World, behaviour: Behaviour, words: str
) -> None:
    world.deploy(release(1))
    world.behave("v2", behaviour)

    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(release(2))

    assert words in caught.value.message
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert world.outcomes()[-1] == ("deploy", 2, "failed")
    assert words.splitlines()[0] in world.history.deployments("tiny")[0].reason


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


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        (lambda asked: asked.get("temperature") == 1, "with temperature, top_p and top_k"),
        (lambda asked: "temperature" not in asked, "with the repository's own sampling"),
        (lambda asked: asked.get("stream"), "for a stream"),
        (lambda asked: "prompt" in asked, "with a prompt of 256 tokens"),
    ],
)
def test_a_version_that_fails_one_way_of_asking_takes_no_traffic(
    world: World, fails: Callable[[Mapping[str, Any]], bool], words: str
) -> None:
    world.deploy(release(1))
    complete = world.host.complete

    def failing(port: int, payload: Mapping[str, Any], timeout: float) -> Completion:
        answer = complete(port, payload, timeout)
        return Completion(500, "", error="EngineDeadError") if fails(payload) else answer

    world.host.complete = failing  # type: ignore[method-assign]
    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(release(2))
    assert f"asked {words}, it answered HTTP 500: EngineDeadError" in caught.value.message
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_what_served_before_is_restored_without_the_ways_of_a_new_one(world: World) -> None:
    world.deploy(release(1, memory=15 * GB))
    # In memory it answers nothing but its checks, as a release that the gate of an older toolkit let pass.
    world.behave("v1", Behaviour.DIES_SAMPLING)
    world.behave("v2", Behaviour.DIES_AT_START)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(2, memory=15 * GB))
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_a_bad_first_version_leaves_no_route_and_no_replica(world: World) -> None:
    world.behave("v1", Behaviour.EMPTY)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(1))

    assert world.table() == []
    assert world.host.observe().routes.get("routes", []) == []


def test_without_room_for_both_the_old_one_makes_way(world: World) -> None:
    world.deploy(release(1, memory=15 * GB))
    result = world.deploy(release(2, memory=15 * GB))

    plan = result.plan.plans["gpu1"]
    # With other hosts that serve meanwhile, the swap costs nobody anything.
    expected = ("swap", "about 0.0 s") if world.count == 1 else ("rolling", "")
    assert (str(plan.strategy), plan.downtime) == expected
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
    ]
    assert world.table() == [("green", "v2", "healthy", 100)]


def test_a_swap_that_fails_starts_the_old_one_again(world: World) -> None:
    world.deploy(release(1, memory=15 * GB))
    world.behave("v2", Behaviour.DIES_AT_START)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(2, memory=15 * GB))

    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_what_never_fits_is_refused_before_anything_happens(world: World) -> None:
    world.deploy(release(1))
    with pytest.raises(NothingSuitableError) as caught:
        world.deploy(release(2, memory=30 * GB))

    assert "needs 30 GB of memory" in caught.value.message
    assert world.events == []


def test_a_host_whose_clock_is_off_gets_nothing_new_whether_it_is_bare_or_provisioned(
    world: World,
) -> None:
    now = 1000.0
    world.see(observed_at=now + 86400)
    with pytest.raises(NothingSuitableError, match="its clock is 24 h 00 min ahead of") as caught:
        world.deploy(release(1))
    assert (world.events, world.outcomes()) == ([], [])
    if world.count == 1:
        assert caught.value.hint.startswith("set it there")
    world.see(observed_at=now)
    world.deploy(release(1))
    world.deploy(release(2))
    world.see(observed_at=now - 86400)
    with pytest.raises(NothingSuitableError, match=r"its clock is 2[34] h \d\d min behind"):
        world.deploy(release(3))
    assert set(world.serving().values()) == {"v2"}
    world.rollback()
    assert set(world.serving().values()) == {"v1"}


def test_no_is_an_answer(world: World) -> None:
    world.confirm = lambda plan: False  # type: ignore[method-assign]
    with pytest.raises(RefusedError):
        world.deploy(release(1))
    assert world.events == []


def test_a_second_deployment_is_refused_and_says_who_and_what(world: World) -> None:
    world.host.owner = LockOwner("bob@ops2", "toolkit upgrade tiny", 99, since=0.0)
    with pytest.raises(BusyError) as caught:
        world.deploy(release(1))

    assert (
        "bob@ops2 (pid 99) since 1970-01-01 00:00:00 UTC: toolkit upgrade tiny"
        in caught.value.message
    )
    assert world.events == []


def test_a_playbook_that_fails_is_undone(world: World) -> None:
    world.deploy(release(1))
    world.failing = "engine"
    world.see(engines=())
    with pytest.raises(HostError):
        world.deploy(release(2))
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert world.outcomes()[-1] == ("deploy", 2, "failed")


def test_ctrl_c_is_undone(world: World) -> None:
    world.deploy(release(1))
    world.raise_at("complete tiny-green", KeyboardInterrupt)
    with pytest.raises(InterruptionError) as caught:
        world.deploy(release(2))

    assert caught.value.exit_code == 130
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert world.outcomes()[-1] == ("deploy", 2, "failed")


@pytest.mark.parametrize(
    "moment",
    ["place 00000000", "replica started tiny-green", "routes runtime", "watch tiny-green"],
)
def test_a_command_that_lost_its_lock_changes_nothing_more(world: World, moment: str) -> None:
    """Its ops machine was asleep: by now another command holds the hosts, and ends what was begun."""
    world.deploy(release(1))
    bob = LockOwner("bob@ops2", "toolkit deploy tiny", 99)

    def taken(event: str) -> None:
        if event == moment:
            for each in world.hosts.values():
                each.owner = bob

    world.before(taken)
    with pytest.raises(HostError, match="the deployment lock was lost") as caught:
        world.deploy(release(2))
    assert caught.value.hint == "the same command again, here or elsewhere: it ends what was begun"
    for each in world.hosts.values():
        last = each.events.index(moment) if moment in each.events else len(each.events)
        assert each.events[last + 1 :] in ([], ["wait tiny-green"])
        assert each.owner is bob
        each.owner = None
    assert world.unfinished() == {2}
    world.go_on()
    world.deploy(release(2))
    assert set(world.serving().values()) == {"v2"}
    assert world.unfinished() == set()


def test_a_command_that_lost_its_lock_ends_no_record_of_a_later_batch(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.limits = Limits(serial=1)
    bob = LockOwner("bob@ops2", "toolkit deploy tiny", 99)

    def taken(event: str) -> None:
        if event == "replica started tiny-green":
            for each in fleet.hosts.values():
                each.owner = bob

    fleet.before(taken)
    with pytest.raises(HostError, match="the deployment lock was lost"):
        fleet.deploy(release(2))
    assert fleet.unfinished() == {2}


UPGRADE = (
    "place 00000000",
    "replica started tiny-green",
    "wait tiny-green",
    "complete tiny-green",
    "routes runtime",
    "watch tiny-green",
    "drain tiny-blue",
)


@pytest.mark.parametrize("moment", UPGRADE)
def test_sigkill_at_any_step_keeps_serving_and_the_next_command_ends_it(
    world: World, moment: str
) -> None:
    world.deploy(release(1))
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(release(2))

    serving = [row for row in world.table() if row[2] == "healthy" and row[3] == 100]
    assert len(serving) == 1
    assert world.unfinished() == {2}

    shifted = UPGRADE.index(moment) > UPGRADE.index("routes runtime")
    world.go_on()
    result = world.deploy(release(2) if shifted else release(1))

    assert world.unfinished() == set()
    assert world.outcomes()[1] == ("deploy", 2, "live" if shifted else "undone")
    assert not result.changed
    expected = [("blue", "v1", "healthy", 0), ("green", "v2", "healthy", 100)]
    assert world.table() == (expected if shifted else [("blue", "v1", "healthy", 100)])


def test_a_killed_first_deployment_is_undone_and_then_done(world: World) -> None:
    world.raise_at("wait tiny-blue", Killed)
    with pytest.raises(Killed):
        world.deploy(release(1))
    world.go_on()
    world.deploy(release(1))

    assert world.outcomes() == [("deploy", 1, "undone"), ("deploy", 1, "live")]
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_a_killed_rollback_leaves_the_standby_as_it_was(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.raise_at("routes runtime", Killed)
    with pytest.raises(Killed):
        world.rollback()
    world.go_on()
    world.deploy(release(2))

    assert world.table() == [("blue", "v1", "healthy", 0), ("green", "v2", "healthy", 100)]
    assert world.outcomes()[-1] == ("rollback", 1, "undone")


@pytest.mark.parametrize("moment", ["complete tiny-blue", "routes runtime", "drain tiny-green"])
def test_a_rollback_that_was_cut_short_is_ended_by_a_rollback(world: World, moment: str) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.rollback()
    world.go_on()
    world.rollback()

    assert world.table() == [("blue", "v1", "healthy", 100), ("green", "v2", "healthy", 0)]
    assert world.unfinished() == set()


@pytest.mark.parametrize("moment", UPGRADE)
def test_a_rollback_after_a_killed_upgrade_goes_to_the_release_before_it(
    world: World, moment: str
) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    moment = moment.replace("green", "BLUE").replace("blue", "green").replace("BLUE", "blue")
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(release(3))
    world.go_on()
    world.rollback()

    assert set(world.serving().values()) == {"v2"}
    assert world.unfinished() == set()


def test_stop_drains_and_the_same_release_comes_back(world: World) -> None:
    world.deploy(release(1))
    world.stop()
    assert world.events == ["routes reload", "drain tiny-blue", "replica absent tiny-blue"]
    assert world.table() == []

    world.deploy(release(1))
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_a_killed_stop_goes_on(world: World) -> None:
    world.deploy(release(1))
    world.raise_at("drain tiny-blue", Killed)
    with pytest.raises(Killed):
        world.stop()
    world.go_on()
    world.deploy(release(1))

    assert world.outcomes() == [("deploy", 1, "live"), ("stop", 1, "done"), ("deploy", 1, "live")]
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
