"""What is not as it was deployed: how it is named, and what puts it right."""

from __future__ import annotations

from dataclasses import replace

from tests.planning.facts import host, kinds, release, slot, wanted
from toolkit.domain.deployment.release import Deployment, Outcome, StepRecord
from toolkit.domain.hosts.facts import RouterFacts
from toolkit.planning.change.deploy import plan_deploy
from toolkit.planning.change.drift import drift_of
from toolkit.planning.change.recovery import plan_recovery

DRIFT = ("/etc/systemd/system/toolkit-tiny-blue.service was changed",)
DRIFTED = slot("blue", release(1), weight=100, drift=DRIFT)


def test_each_difference_names_host_and_place() -> None:
    router = RouterFacts(True, "127.0.0.1:8080", "2.6", 1, ("tiny/blue",))
    assert drift_of(host(DRIFTED, router=router)) == (
        "localhost tiny blue: /etc/systemd/system/toolkit-tiny-blue.service was changed",
        "localhost router: tiny/blue has another weight than its files say",
    )
    changed = ("router/limits.lua was changed", "bin/hostside-0123456789abcdef was changed")
    assert drift_of(host(changed_files=changed)) == (
        "localhost: router/limits.lua was changed",
        "localhost: bin/hostside-0123456789abcdef was changed; toolkit repair places it anew",
    )
    changed = ("sockets/named.sock is gone", "snapshots/0123456789ab/w is not as it was")
    assert drift_of(host(changed_files=changed)) == (
        "localhost: sockets/named.sock is gone; on localhost: systemctl restart toolkit-router",
        "localhost: snapshots/0123456789ab/w is not as it was; toolkit verify reads it",
    )
    assert drift_of(host(slot("blue", release(1), weight=100))) == ()
    assert drift_of(host(slot("blue", release(1), weight=100), engines=(), snapshots=())) == (
        "localhost tiny blue: its engine vllm-0.32.0-cpu-py311-aaaaaaaa is not on the host",
    )


def test_a_replica_that_is_not_as_deployed_is_replaced_without_a_gap() -> None:
    plan = plan_deploy(wanted(release(1)), host(DRIFTED))
    assert kinds(plan.steps) == [
        "start green", "gate green", "shift green", "bake green", "drain blue", "stop blue",
    ]  # fmt: skip
    assert plan.notes == DRIFT


def test_the_standby_makes_place_for_the_repair() -> None:
    plan = plan_deploy(
        wanted(release(2)), host(replace(DRIFTED, release=release(2)), slot("green", release(1)))
    )
    assert kinds(plan.steps)[:2] == ["stop green", "start green"]


def test_a_standby_that_is_not_as_deployed_is_not_switched_to() -> None:
    facts = host(
        slot("blue", release(2), weight=100),
        slot("green", release(1), drift=("its engine is gone",)),
    )
    assert kinds(plan_deploy(wanted(release(1), "rollback"), facts).steps)[:2] == [
        "stop green", "start green",
    ]  # fmt: skip


def test_a_standby_whose_files_changed_serves_from_memory_and_the_plan_says_so() -> None:
    """To start it anew would be refused, and a rollback must not wait for that."""
    former = release(1)
    words = f"snapshots/{former.snapshot[:12]}/model.safetensors is not as it was"
    slots = (slot("blue", release(2), weight=100), slot("green", former))
    plan = plan_deploy(wanted(former, "rollback"), host(*slots, changed_files=(words,)))
    assert kinds(plan.steps)[:2] == ["gate green", "shift green"]
    (note,) = plan.notes
    assert note.startswith("localhost: tiny #1 (v1) serves from memory; ")
    assert note.endswith("toolkit verify")
    other = host(*slots, changed_files=("snapshots/ffffffffffff/w is not as it was",))
    assert plan_deploy(wanted(former, "rollback"), other).notes == ()


def test_a_router_that_does_not_follow_its_files_is_told_again() -> None:
    router = RouterFacts(True, "127.0.0.1:8080", "2.6", 1, ("tiny/blue",))
    facts = host(slot("blue", release(1), weight=100), router=router)
    assert kinds(plan_deploy(wanted(release(1)), facts).steps) == ["shift blue"]


def test_a_repair_that_fails_gives_the_traffic_back() -> None:
    opened = Deployment(
        id=1,
        model="tiny",
        action="deploy",
        release=release(1).number,
        previous=release(1).number,
        slot="green",
        actor="ann",
        outcome=Outcome.RUNNING,
        reason="",
        started_at=0.0,
        steps=(StepRecord(0, "start", "green", Outcome.DONE, 0.0, 1.0),),
    )
    facts = host(replace(DRIFTED, weight=0), slot("green", release(1), weight=100, well=False))
    recovery = plan_recovery(opened, release(1), facts, may_complete=False)
    assert kinds(recovery.steps) == ["shift blue", "stop green"]
