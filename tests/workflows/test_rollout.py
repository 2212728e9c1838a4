"""A release on its way through a fleet: in batches, together, or not at all."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.world import GB, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.deployment.plan import Strategy
from toolkit.domain.deployment.release import Attempt, Outcome
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import (
    BusyError,
    HostError,
    NothingSuitableError,
    RefusedError,
    ReleaseFailedError,
)
from toolkit.planning.change.rollout import Limits
from toolkit.planning.routing.keys import opened, with_key, without_key


def outcomes(fleet: World, version: int) -> dict[str, Outcome]:
    found = fleet.history.deployments("tiny")
    return {each.host: each.outcome for each in reversed(found) if each.release == version}


def test_a_new_model_comes_to_all_hosts_at_once(fleet: World) -> None:
    done = fleet.deploy(release(1))
    assert done.plan.batches == (("gpu1", "gpu2", "gpu3"),)
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    assert {name: each.words for name, each in done.states.items()} == dict.fromkeys(
        ("gpu1", "gpu2", "gpu3"), "live: tiny #1 (v1)"
    )
    # one change of routes for all of them, and every router has it
    assert [each.events.count("routes reload") for each in fleet.hosts.values()] == [1, 1, 1]
    assert fleet.routes("gpu1") == fleet.routes("gpu2") == fleet.routes("gpu3")
    # the snapshot leaves the ops machine in one transfer
    assert [kind for _, kind, _ in fleet.distribution.sent].count("snapshots") == 3


def test_the_same_again_changes_nothing(fleet: World) -> None:
    fleet.deploy(release(1))
    done = fleet.deploy(release(1))
    assert not done.changed
    assert [each.events for each in fleet.hosts.values()] == [[], [], []]


def test_a_host_that_joins_has_the_keys_of_the_others_before_it_is_touched(
    fleet: World,
) -> None:
    ring = with_key(KeyRing(), "ann", "tk-" + "a" * 40, now=1.0)
    for name in ("gpu1", "gpu2"):
        fleet.hosts[name].ring = ring
    fleet.deploy(release(1))
    assert [each.ring for each in fleet.hosts.values()] == [ring] * 3
    events = fleet.hosts["gpu3"].events
    assert events.index("apply keys") < events.index("provision")
    fleet.deploy(release(2))
    assert "apply keys" not in [each for host in fleet.hosts.values() for each in host.events]


def test_a_deployment_with_nothing_else_to_do_brings_keys_that_a_host_has_missed(
    fleet: World,
) -> None:
    fleet.deploy(release(1))
    given = with_key(KeyRing(), "ann", "tk-" + "a" * 40, now=1.0)
    ring = without_key(given, "ann", now=2.0)
    for name in fleet.hosts:
        fleet.hosts[name].ring = given if name == "gpu2" else ring
    fleet.deploy(release(1))
    assert [each.ring for each in fleet.hosts.values()] == [ring] * 3
    notes = ("the hosts do not have the same keys and get those of all of them",)
    assert fleet.shown[-1].notes == notes
    fleet.deploy(release(1))
    assert [each.events for each in fleet.hosts.values()] == [[], [], []]


def test_a_host_that_cannot_get_the_keys_of_the_others_does_not_go_live(fleet: World) -> None:
    ring = with_key(KeyRing(), "ann", "tk-" + "a" * 40, now=1.0)
    for name in ("gpu1", "gpu2"):
        fleet.hosts[name].ring = ring

    def refuse(event: str) -> None:
        if event == "apply keys":
            raise HostError("gpu3: keys-apply: the disk is full")

    fleet.hosts["gpu3"].before = refuse
    with pytest.raises(HostError, match="gpu3: it would serve requests without a key") as caught:
        fleet.deploy(release(1))
    assert caught.value.hint == "toolkit keys sync, then the same command again"
    assert fleet.serving() == {}
    assert [each.facts.slots for each in fleet.hosts.values()] == [()] * 3
    fleet.deploy(release(1), named=("gpu1", "gpu2"))
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1"}


def test_beside_silent_hosts_alone_no_bare_host_goes_live_without_keys(fleet: World) -> None:
    fleet.deploy(release(1), named=("gpu1", "gpu2"))
    for name in ("gpu1", "gpu2"):
        fleet.hosts[name].observe = lambda: silent(None)  # type: ignore[assignment, method-assign]
    with pytest.raises(HostError, match="gpu3: it would serve requests without a key") as caught:
        fleet.deploy(release(1))
    assert "gpu1 and gpu2, which may have keys of the fleet, do not answer" in caught.value.message
    assert caught.value.hint.endswith("toolkit keys open")
    assert fleet.hosts["gpu3"].facts.slots == ()
    fleet.hosts["gpu3"].ring = opened(KeyRing())
    with pytest.raises(HostError, match="not all hosts could be reached"):
        fleet.deploy(release(1))
    assert fleet.hosts["gpu3"].observe().serving_slot("tiny")


def test_an_upgrade_goes_host_by_host(fleet: World) -> None:
    fleet.deploy(release(1))
    done = fleet.deploy(release(2))
    assert done.plan.batches == (("gpu1",), ("gpu2",), ("gpu3",))
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}


def test_hosts_without_room_for_both_take_turns(fleet: World) -> None:
    fleet.deploy(release(1, memory=14 * GB))
    done = fleet.deploy(release(2, memory=14 * GB), Limits(serial=3))
    assert {plan.strategy for plan in done.plan.plans.values()} == {Strategy.ROLLING}
    assert done.plan.batches == (("gpu1", "gpu2"), ("gpu3",))
    assert {plan.downtime for plan in done.plan.plans.values()} == {""}
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}


def test_what_must_keep_serving_keeps_serving(fleet: World) -> None:
    fleet.deploy(release(1, memory=14 * GB))
    with pytest.raises(RefusedError) as caught:
        fleet.deploy(release(2, memory=14 * GB), Limits(keep=3))
    assert caught.value.message == (
        "3 hosts serve tiny and 3 must go on, but gpu1, gpu2, gpu3 cannot hold both releases at once"
    )


def test_a_rollback_is_one_change_of_routes(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    done = fleet.rollback()
    assert done.plan.batches == (("gpu1", "gpu2", "gpu3"),)
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    for each in fleet.hosts.values():
        assert each.events.count("routes runtime") == 1


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Behaviour.DIES_AT_START, "did not start"),
        (Behaviour.EMPTY, "did not pass its gate"),
        (Behaviour.DIES_UNDER_TRAFFIC, "failed under traffic"),
    ],
)
def test_the_first_failed_batch_is_restored_and_the_last(
    fleet: World, behaviour: Behaviour, said: str
) -> None:
    fleet.deploy(release(1))
    fleet.hosts["gpu2"].behaviour["v2"] = behaviour
    with pytest.raises(ReleaseFailedError) as caught:
        fleet.deploy(release(2))
    assert said in caught.value.message
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v1", "gpu3": "v1"}
    assert "gpu1: live: tiny #2 (v2)" in caught.value.message
    assert "gpu2: restored: tiny #1 (v1)" in caught.value.message
    assert "gpu3: untouched: tiny #1 (v1)" in caught.value.message
    assert outcomes(fleet, 2) == {
        "gpu1": Outcome.LIVE, "gpu2": Outcome.FAILED, "gpu3": Outcome.UNDONE,
    }  # fmt: skip
    fleet.hosts["gpu2"].behaviour.clear()
    fleet.deploy(release(2))
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}


def test_a_batch_stands_or_falls_together(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.behave("v2", Behaviour.ERROR, "gpu2")
    served: list[str] = []
    fleet.before(lambda _: served.extend(fleet.serving().values()))
    # The other host waits for the common change of routes by then.
    fleet.hosts["gpu2"].before = lambda event: time.sleep(0.2 if "complete" in event else 0)
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(release(2), Limits(serial=2))
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    # A batch that has failed takes no traffic, not even for a moment.
    assert {*served} == {"v1"}


def test_as_many_may_fail_as_were_allowed(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.hosts["gpu2"].behaviour["v2"] = Behaviour.ERROR
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(release(2), Limits(serial=2, max_failures=1))
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v1", "gpu3": "v2"}


def silent(_: Any) -> None:
    raise HostError("gpu3: ssh: connect to host 10.0.0.3 port 22: No route to host")


def test_a_host_that_is_away_is_named_and_the_others_change(fleet: World) -> None:
    fleet.deploy(release(1))
    observe = fleet.hosts["gpu3"].observe
    fleet.hosts["gpu3"].observe = lambda: silent(None)  # type: ignore[assignment, method-assign]
    with pytest.raises(HostError) as caught:
        fleet.deploy(release(2))
    assert "gpu3: unreachable" in caught.value.message
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v1"}
    # back again: its router is told, and it gets the release
    fleet.hosts["gpu3"].observe = observe  # type: ignore[method-assign]
    fleet.deploy(release(2))
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}
    assert fleet.routes("gpu3") == fleet.routes("gpu1")


def test_a_host_lost_in_the_middle_leaves_the_others_serving(fleet: World) -> None:
    fleet.deploy(release(1))
    lost = fleet.hosts["gpu2"]
    observe = lost.observe

    def power_cut(event: str) -> None:
        if event.startswith("wait"):
            lost.before = silent
            lost.observe = lambda: silent(None)  # type: ignore[assignment, method-assign]
            silent(None)

    lost.before = power_cut
    with pytest.raises(HostError) as caught:
        fleet.deploy(release(2))
    assert "gpu2: not restored" in caught.value.message
    assert fleet.serving()["gpu1"] == "v2" and fleet.serving()["gpu3"] == "v1"
    lost.before, lost.observe = (lambda _: None), observe  # type: ignore[method-assign]
    fleet.deploy(release(2))
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}
    assert fleet.history.unfinished() == []


def test_a_host_that_gets_no_files_stops_before_anything_that_serves(fleet: World) -> None:
    fleet.deploy(release(1))
    command = fleet.command

    def failing() -> Any:
        made = command()
        fleet.distribution.failing["gpu2"] = "disk full"
        return made

    fleet.command = failing  # type: ignore[method-assign]
    with pytest.raises(HostError) as caught:
        fleet.deploy(release(2))
    assert "disk full" in caught.value.message
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}


def test_only_so_many_replicas_as_were_asked_for(fleet: World) -> None:
    fleet.deploy(release(1), replicas=2)
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1"}
    fleet.deploy(release(1), named=("gpu3",))
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}


def test_a_host_that_is_too_small_is_left_out(fleet: World) -> None:
    small = fleet.hosts["gpu2"]
    small.facts = replace(small.facts, memory_available=GB)
    done = fleet.deploy(release(1))
    assert fleet.serving() == {"gpu1": "v1", "gpu3": "v1"}
    assert any("gpu2 is left out" in note for note in done.plan.notes)
    for each in fleet.hosts.values():
        each.facts = replace(each.facts, memory_available=GB)
    with pytest.raises(NothingSuitableError):
        World(fleet.path / "other", 1).deploy(release(1, memory=90 * GB))


def test_a_bare_host_that_cannot_be_provisioned_is_left_out(fleet: World) -> None:
    late = fleet.hosts["gpu3"]
    late.facts = replace(late.facts, observed_at=1000.0 + 86400)
    done = fleet.deploy(release(1))
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1"}
    assert any("gpu3: its clock is 24 h" in note for note in done.plan.notes)


def test_a_held_host_refuses_the_whole_rollout(fleet: World) -> None:
    with (
        fleet.hosts["gpu2"].lock(LockOwner("bob@ops", "toolkit deploy tiny", 1)),
        pytest.raises(BusyError),
    ):
        fleet.deploy(release(1))
    assert fleet.serving() == {}
    assert [each.owner for each in fleet.hosts.values()] == [None, None, None]


def test_a_second_ops_machine_takes_over(fleet: World, tmp_path: Path) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other", 3)
    other.hosts = fleet.hosts
    other.rollback()
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}


def test_a_rollout_that_cannot_be_recorded_leaves_no_deployment_open(fleet: World) -> None:
    record, recorded = fleet.history.open_deployment, []

    def second_is_refused(begun: Attempt) -> int:
        recorded.append(begun.host)
        if len(recorded) == 2:
            raise BusyError("another command has just recorded another release #1")
        return record(begun)

    fleet.history.open_deployment = second_is_refused  # type: ignore[method-assign]
    with pytest.raises(BusyError):
        fleet.deploy(release(1))
    assert fleet.history.unfinished() == []
    assert fleet.serving() == {}


def test_an_upgrade_that_was_restored_everywhere_suggests_no_rollback(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.behave("v2", Behaviour.EMPTY, "gpu1")
    fleet.behave("v2", Behaviour.DIES_AT_START, "gpu2")
    with pytest.raises(ReleaseFailedError) as caught:
        fleet.deploy(release(2), Limits(serial=3, max_failures=1))
    assert "rollback" not in caught.value.hint
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
