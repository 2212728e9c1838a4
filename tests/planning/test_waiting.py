"""In a swap others wait for a drain: it lasts no longer than their patience leaves beside the start."""

from __future__ import annotations

import pytest

from tests.planning.deploy_facts import dozing, sleepy
from tests.planning.facts import GB, gpu, host, release, slot, wanted
from tests.planning.test_recovery import UPGRADE
from toolkit.domain.deployment.plan import Plan, Step, StepKind, Strategy
from toolkit.planning.change.deploy import plan_deploy
from toolkit.planning.change.recovery import plan_recovery
from toolkit.planning.change.rollout import Limits, plan_rollout

LARGE = 15 * GB
TIGHT = host(slot("blue", release(1, memory=LARGE), weight=100), snapshots=(2,))


def swap(hold: float, starts: float) -> Plan:
    wants = wanted(release(2, memory=LARGE), hold_seconds=hold, ready_seconds=starts)
    plan = plan_deploy(wants, TIGHT)
    assert plan.strategy is Strategy.SWAP
    return plan


def drain(steps: tuple[Step, ...]) -> Step:
    (found,) = (each for each in steps if each.kind is StepKind.DRAIN)
    return found


@pytest.mark.parametrize(
    ("hold", "starts", "seconds", "said"),
    [
        pytest.param(120, 38, 77, "", id="an ordinary start"),
        pytest.param(120, 85, 30, "", id="just enough"),
        pytest.param(120, 86, 0, "the drain and a start of about 1 min 26 s", id="too little"),
        pytest.param(120, 240, 0, "requests wait for up to 2 min 00 s", id="the start is longer"),
        pytest.param(600, 240, 355, "", id="a longer patience"),
        pytest.param(3600, 10, 3585, "", id="more than the command lets it"),
        pytest.param(0, 60, 0, "requests wait for up to 0.0 s", id="no patience"),
    ],
)
def test_a_drain_leaves_those_who_wait_the_time_of_the_start(
    hold: float, starts: float, seconds: float, said: str
) -> None:
    plan = swap(hold, starts)
    step = drain(plan.steps)
    assert step.seconds == seconds
    assert ("others wait for that" in step.reason) == bool(seconds)
    notes = " ".join(plan.notes)
    assert said in notes
    assert ("a longer `hold` in the registry" in notes) == bool(said)


def test_a_release_that_wakes_leaves_the_drain_more() -> None:
    serves = slot("green", sleepy(2), weight=100, devices=(0,), memory=GB)
    facts = host(dozing(1), serves, devices=(gpu(0, 24, 7),))
    assert drain(plan_deploy(wanted(sleepy(1), "rollback"), facts).steps).seconds == 105


def test_where_other_hosts_serve_nobody_waits_for_a_drain() -> None:
    facts = {"h1": TIGHT, "h2": TIGHT}
    wants = wanted(release(2, memory=LARGE), ready_seconds=240)
    plans = {name: plan_deploy(wants, each) for name, each in facts.items()}
    for plan in plan_rollout(plans, facts, Limits(), unreachable={}).plans.values():
        assert plan.strategy is Strategy.ROLLING
        assert (drain(plan.steps).seconds, drain(plan.steps).reason) == (
            0,
            "its running requests end first",
        )
        assert "requests wait for up to" not in " ".join(plan.notes)


@pytest.mark.parametrize(("starts", "seconds"), [(20, 95), (100, 0)])
def test_the_drain_of_an_undoing_leaves_them_the_time_of_its_start(
    starts: float, seconds: float
) -> None:
    facts = host(slot("green", release(2), weight=100, sessions=3))
    found = plan_recovery(UPGRADE, release(1), facts, may_complete=False, starts=starts)
    kinds = [str(each.kind) for each in found.steps]
    assert kinds == ["hold", "drain", "stop", "start", "gate", "shift"]
    assert drain(found.steps).seconds == seconds


def test_nobody_waits_where_the_former_release_serves_at_once() -> None:
    facts = host(slot("blue", release(1)), slot("green", release(2), weight=100, sessions=3))
    found = plan_recovery(UPGRADE, release(1), facts, may_complete=False)
    assert [str(each.kind) for each in found.steps] == ["shift", "drain", "stop"]
    assert drain(found.steps).seconds == 0
