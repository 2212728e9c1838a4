"""In which steps a new release gets traffic on one host and in a fleet, and how long it is watched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import GB, host, release, slot, wanted
from toolkit.domain.deployment.plan import StepKind
from toolkit.domain.gates.guard import Guard, ShareStep
from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.planning.change.deploy import plan_deploy
from toolkit.planning.change.rollout import Limits, RolloutPlan, plan_rollout

R1, R2 = release(1), release(2)
OLD = slot("blue", R1, weight=100)
GUARD = Guard(steps=(ShareStep(0.01, 60, 50), ShareStep(0.1, 300), ShareStep(0.5, 600)), bake=900)


def watched(plan: RolloutPlan, name: str = "h1") -> list[tuple[str, int, float, int]]:
    """Return kind, share, seconds and requests of each step that moves or watches traffic."""
    kinds = (StepKind.CANARY, StepKind.SHIFT, StepKind.BAKE)
    steps = [step for step in plan.plans[name].steps if step.kind in kinds]
    return [(str(step.kind), step.share, step.seconds, step.requests) for step in steps]


def fleet(*slots: SlotFacts | None) -> dict[str, HostFacts]:
    """Return hosts h1, h2, … with these slots, or without any, and the snapshots of both releases."""
    return {
        f"h{number}": replace(host(*filter(None, [each]), snapshots=[1, 2]), name=f"h{number}")
        for number, each in enumerate(slots, 1)
    }


def plan(facts: dict[str, HostFacts], limits: Limits | None = None, **more: object) -> RolloutPlan:
    """Return the plan that brings release 2 to all hosts, guarded unless `more` says otherwise."""
    ask = wanted(**{"held": R2, "guard": GUARD, **more})
    plans = {name: plan_deploy(ask, each) for name, each in facts.items()}
    return plan_rollout(plans, facts, limits or Limits(), unreachable={})


SHIFTED = [("shift", 0, 0.0, 0), ("bake", 0, 900.0, 0)]


def test_one_host_takes_the_declared_steps_before_all_traffic() -> None:
    shown = plan(fleet(OLD))
    assert watched(shown) == [
        ("canary", 100, 60, 50), ("canary", 1000, 300, 0), ("canary", 5000, 600, 0), *SHIFTED,
    ]  # fmt: skip
    words = [step.reason for step in shown.plans["h1"].steps if step.kind is StepKind.CANARY]
    assert words == [
        "1% of the requests for 1 min 00 s, and until 50 are answered",
        "10% of the requests for 5 min 00 s",
        "50% of the requests for 10 min 00 s",
    ]
    assert shown.plans["h1"].guard == GUARD


def test_in_a_fleet_the_first_batch_has_its_part_of_the_share_and_the_others_none() -> None:
    shown = plan(fleet(OLD, OLD, OLD))
    assert shown.batches == (("h1",), ("h2",), ("h3",))
    assert [step[1] for step in watched(shown)] == [33, 333, 1667, 0, 0]
    assert watched(shown, "h2") == watched(shown, "h3") == SHIFTED
    assert shown.plans["h2"].notes == ("the canary is on h1; it gets all of its traffic at once",)


def test_hosts_of_one_batch_share_the_requests_that_a_step_needs() -> None:
    shown = plan(fleet(OLD, OLD, OLD, OLD), Limits(serial=3))
    for name in ("h1", "h2", "h3"):
        assert watched(shown, name)[0] == ("canary", 25, 60, 17)
    assert watched(shown, "h4") == SHIFTED


def test_a_share_is_never_rounded_to_nothing() -> None:
    tiny = Guard(steps=(ShareStep(0.0001, 60),))
    assert watched(plan(fleet(OLD, OLD, OLD), guard=tiny))[0] == ("canary", 1, 60, 0)


def test_hosts_that_join_wait_for_the_canary() -> None:
    shown = plan(fleet(None, OLD, OLD))
    assert shown.batches == (("h2",), ("h1",), ("h3",))
    assert [step[0] for step in watched(shown, "h1")] == ["shift"]
    assert plan(fleet(None, OLD, OLD), guard=None).batches == (("h1",), ("h2",), ("h3",))


def test_a_standby_that_is_deployed_goes_through_the_canary_as_well() -> None:
    facts = {"h1": host(OLD, slot("green", R2))}
    assert [step[0] for step in watched(plan(facts))] == ["canary"] * 3 + ["shift", "bake"]
    both = {
        name: replace(host(OLD, slot("green", R2)), name=name) for name in ("h1", "h2")
    }  # Without a bake it is no switch of all hosts at once either.
    assert plan(both, bake_seconds=0).batches == (("h1",), ("h2",))


def test_a_rollback_has_no_canary() -> None:
    facts = {"h1": host(OLD, slot("green", R2))}
    shown = plan(facts, action="rollback")
    assert (watched(shown), shown.plans["h1"].guard) == ([("shift", 0, 0.0, 0)], None)
    started = plan(fleet(OLD), action="rollback")
    assert watched(started) == [("shift", 0, 0.0, 0), ("bake", 0, 10.0, 0)]


SWAP = "no canary on h1: no other release serves beside the new one, which gets all traffic at once"


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        (replace(host(slot("blue", R1, weight=100, memory=14 * GB), snapshots=[2]), memory_available=2 * GB),
         SWAP),
        (host(slot("blue", R1, weight=100, well=False), snapshots=[2]),
         "no canary on h1: the release that serves does not answer, so the new one gets all traffic at once"),
        (host(OLD, snapshots=[2], watched=False),
         "no canary on h1: its watch does not run, and nobody would end a share"),
    ],
)  # fmt: skip
def test_the_plan_says_why_a_declared_canary_is_not_possible(facts: HostFacts, note: str) -> None:
    shown = plan({"h1": replace(facts, name="h1")})
    assert watched(shown) == SHIFTED
    assert note in shown.plans["h1"].notes


def test_a_release_that_drifted_is_no_new_one_to_judge() -> None:
    drifted = slot("blue", R1, weight=100, drift=("its unit changed",))
    assert watched(plan(fleet(drifted), held=R1)) == SHIFTED


@pytest.mark.parametrize(
    ("guard", "asked", "seconds"),
    [
        (None, None, 10.0), (Guard(), None, 10.0), (Guard(bake=600), None, 600.0),
        (Guard(bake=600), 5.0, 5.0), (None, 5.0, 5.0),
    ],
)  # fmt: skip
def test_a_person_decides_over_the_bake_before_the_version_does(
    guard: Guard | None, asked: float | None, seconds: float
) -> None:
    shown = plan(fleet(OLD), guard=guard, bake_seconds=asked)
    assert watched(shown) == [("shift", 0, 0.0, 0), ("bake", 0, seconds, 0)]


def test_a_bake_waits_for_the_requests_that_it_needs() -> None:
    shown = plan(fleet(OLD), guard=Guard(bake=60, bake_requests=20))
    assert watched(shown)[-1] == ("bake", 0, 60.0, 20)


def test_a_guard_that_is_off_leaves_the_bake_to_the_command() -> None:
    shown = plan(fleet(OLD), guard=replace(GUARD, off=True, bake=None))
    assert watched(shown) == [("shift", 0, 0.0, 0), ("bake", 0, 10.0, 0)]
    assert shown.plans["h1"].guard is None


def test_a_bake_of_nothing_is_no_step() -> None:
    assert watched(plan(fleet(OLD), guard=Guard(bake=0))) == [("shift", 0, 0.0, 0)]


def test_a_first_deployment_has_nothing_to_compare_with() -> None:
    shown = plan(fleet(None, None))
    assert [step[0] for step in watched(shown)] == ["shift"]
    assert shown.plans["h1"].notes == ()
