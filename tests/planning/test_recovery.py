"""A deployment that did not end: complete it or undo it, decided from what the host shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import PORTS, host, kinds, release, slot
from toolkit.domain.deployment.plan import StepKind
from toolkit.domain.deployment.release import Deployment, Outcome, Release, StepRecord
from toolkit.domain.hosts.facts import HostFacts, ProcessState, RouterFacts, SlotFacts
from toolkit.planning.change.recovery import plan_recovery, stop_steps
from toolkit.planning.routing.edits import with_hold, with_model
from toolkit.planning.routing.routes import Routes, Target

R1, R2 = release(1), release(2)
OLD, OLD_AT_REST = slot("blue", R1, weight=100), slot("blue", R1)
NEW, NEW_AT_REST = slot("green", R2, weight=100), slot("green", R2)
OLD_GONE = slot("blue", R1, well=False, process=ProcessState.STOPPED)


def deployment(
    *steps: str,
    action: str = "upgrade",
    number: int = 2,
    previous: int | None = 1,
    into: str = "green",
) -> Deployment:
    """Return one that is open after these steps, `kind` or `kind slot`."""
    records = tuple(
        StepRecord(seq, kind, detail, Outcome.DONE, 0.0)
        for seq, (kind, _, detail) in enumerate((step.partition(" ") for step in steps), 1)
    )
    return Deployment(
        id=7,
        model="tiny",
        action=action,
        release=number,
        previous=previous,
        slot=into,
        actor="ann@ops",
        outcome=Outcome.RUNNING,
        reason="",
        started_at=0.0,
        ended_at=None,
        steps=records,
    )


DOZES = slot("blue", R1, healthy=False, dozes=True)
ENDED = slot("blue", R1, healthy=False, rests=True)
WOKEN = ["wake blue", "gate blue", "shift blue"]


ELSEWHERE = Target("blue", 8100, 100, "b", "10.0.0.2:8090")


def idle(*others: Target, hold: int = 0) -> dict[str, Any]:
    """Return routes in which both slots have no weight on this host, and requests wait for `hold` seconds."""
    label = "a" if others else ""
    own = tuple(
        Target(each, PORTS[each], 0, label, "10.0.0.1:8090" * bool(label)) for each in PORTS
    )
    routes = with_model(Routes(), "tiny", (*own, *others), created=1)
    return (with_hold(routes, "tiny", hold) if hold else routes).as_json(label)


UPGRADE = deployment("start green")
BACK = deployment(action="rollback", number=1, previous=2, into="blue")
ROLLBACK = deployment("gate green", action="rollback")
FIRST = deployment("start blue", number=1, previous=None, into="blue")
AGAIN = ["gate blue", "shift blue"]
FAILED_GATE = StepRecord(8, "gate", "blue", Outcome.FAILED, 0.0)

# what was open, what the host shows, whether it is completed, the steps
CASES: dict[str, tuple[Deployment, HostFacts, bool, list[str]]] = {
    # side by side
    "killed before the new one was started": (UPGRADE, host(OLD), False, []),
    "while it started": (UPGRADE, host(OLD, replace(NEW_AT_REST, healthy=False)), False,
                         ["stop green"]),
    "after its start failed": (UPGRADE, host(OLD, slot("green", R2, well=False)), False,
                               ["stop green"]),
    "when it was ready": (UPGRADE, host(OLD, NEW_AT_REST), False, ["stop green"]),
    "after the shift": (UPGRADE, host(OLD_AT_REST, NEW), True,
                        ["shift green", "drain blue", "standby blue"]),
    "in the middle of the shift": (
        UPGRADE, host(replace(OLD, weight=50), replace(NEW, weight=50)), True,
        ["shift green", "drain blue", "standby blue"],
    ),
    "after the shift, and the new one has died since": (
        UPGRADE, host(OLD_AT_REST, slot("green", R2, weight=100, well=False)), False,
        ["shift blue", "stop green"],
    ),
    "after the shift, and the machine was restarted": (
        UPGRADE, host(OLD_GONE, slot("green", R2, weight=100, well=False)), False,
        ["hold green", "stop green", "start blue", *AGAIN],
    ),
    "after the old one was stopped": (UPGRADE, host(NEW), True, ["shift green"]),
    # swap
    "held, nothing else": (UPGRADE, host(OLD_AT_REST), False, ["shift blue"]),
    "the old one stopped, the new one not there yet": (
        UPGRADE, host(), False, ["start blue", *AGAIN],
    ),
    "the old one stopped, the new one starts": (
        UPGRADE, host(replace(NEW_AT_REST, healthy=False)), False,
        ["stop green", "start blue", *AGAIN],
    ),
    "the old one stopped, the new one died": (
        UPGRADE, host(slot("green", R2, well=False)), False, ["stop green", "start blue", *AGAIN],
    ),
    "the old one stopped, and the new one died under traffic": (
        UPGRADE, host(slot("green", R2, weight=100, well=False)), False,
        ["hold green", "stop green", "start blue", *AGAIN],
    ),
    "the old one stopped, nothing serves, and requests wait": (
        UPGRADE, host(routes=idle(hold=120)), False, ["start blue", *AGAIN],
    ),
    "the old one stopped, nothing serves, and requests wait no more": (
        UPGRADE, host(routes=idle()), False, ["hold green", "start blue", *AGAIN],
    ),
    "the old one stopped, and others serve": (
        UPGRADE, host(routes=idle(ELSEWHERE)), False, ["start blue", *AGAIN],
    ),
    "the old one stopped, and the model has no route on the host": (
        UPGRADE, host(routes={**idle(replace(ELSEWHERE, weight=0)), "at": "c"}),
        False, ["start blue", *AGAIN],
    ),
    "its engine has ended, the new one died under traffic": (
        UPGRADE, host(ENDED, slot("green", R2, weight=100, well=False)), False,
        ["hold green", "stop green", "stop blue", "start blue", *AGAIN],
    ),
    "a switch to a standby that serves, and the former one is gone": (
        deployment("shift green"), host(replace(NEW, healthy=True), slot("blue", release(9))), True,
        ["shift green"],
    ),
    # swap beside a former release that dozes
    "it dozes, the new one is not there yet": (UPGRADE, host(DOZES), False, WOKEN),
    "it dozes, the new one starts": (
        UPGRADE, host(DOZES, replace(NEW_AT_REST, healthy=False)), False, ["stop green", *WOKEN],
    ),
    "it dozes, the new one has the traffic": (UPGRADE, host(DOZES, NEW), True, ["shift green"]),
    "it dozes, the new one has died since": (
        UPGRADE, host(DOZES, slot("green", R2, weight=100, well=False)), False,
        ["hold green", "stop green", *WOKEN],
    ),
    "its engine has ended, the new one has the traffic": (
        UPGRADE, host(ENDED, NEW), True, ["shift green"],
    ),
    "its engine has ended, and the new one does not answer": (
        UPGRADE, host(ENDED, replace(NEW_AT_REST, healthy=False)), False,
        ["stop green", "stop blue", "start blue", *AGAIN],
    ),
    # rollbacks to what dozes
    "a rollback before the newer one was stopped": (BACK, host(DOZES, NEW), False, []),
    "a rollback after the newer one was stopped goes on": (BACK, host(DOZES), True, WOKEN),
    "a rollback whose release has woken, before its shift": (
        replace(BACK, steps=deployment("wake blue").steps), host(OLD_AT_REST), True, AGAIN,
    ),
    "a rollback whose release started anew, before its shift": (
        replace(BACK, steps=deployment("start blue").steps), host(OLD_AT_REST), True, AGAIN,
    ),
    "a rollback whose release starts": (
        replace(BACK, steps=deployment("start blue").steps),
        host(replace(OLD_AT_REST, healthy=False)), False,
        ["stop blue", "start green", "gate green", "shift green"],
    ),
    "a rollback whose release answers, and has not passed its checks": (
        replace(BACK, steps=(*deployment("wake blue").steps, FAILED_GATE)),
        host(OLD_AT_REST), False, ["stop blue", "start green", "gate green", "shift green"],
    ),
    "a rollback to another release than the one that answers there": (
        replace(BACK, steps=deployment("start blue").steps),
        host(slot("blue", release(9))), False,
        ["stop blue", "start green", "gate green", "shift green"],
    ),
    "an upgrade whose release has woken, before its shift": (
        replace(BACK, action="upgrade", steps=deployment("wake blue").steps), host(OLD_AT_REST),
        False, ["stop blue", "start green", "gate green", "shift green"],
    ),
    "a rollback whose release has woken, after its shift": (
        replace(BACK, steps=deployment("wake blue").steps), host(OLD), True, ["shift blue"],
    ),
    # rollbacks to a standby
    "a rollback before its shift leaves the standby": (
        ROLLBACK, host(OLD, NEW_AT_REST), False, [],
    ),
    "a rollback after its shift": (
        ROLLBACK, host(OLD_AT_REST, NEW), True, ["shift green", "drain blue", "standby blue"],
    ),
    "a rollback to a standby that has died since": (
        # its host starts it again
        ROLLBACK, host(OLD, slot("green", R2, well=False)), False, [],
    ),
    "a change that was ending the standby": (
        deployment("stop green", number=3), host(OLD, slot("green", R2, well=False)), False,
        ["stop green"],
    ),
    # the first deployment
    "the first one, before its start": (FIRST, host(), False, ["remove blue"]),
    "the first one, while it started": (
        FIRST, host(replace(OLD_AT_REST, healthy=False)), False, ["remove blue", "stop blue"],
    ),
    "the first one, after its shift": (FIRST, host(OLD), True, ["shift blue"]),
    "the first one, after its shift, with another release in the slot": (
        FIRST, host(slot("blue", R2, weight=100)), False, ["remove blue", "stop blue"],
    ),
    # other words for the same release
    "only the host was to change under it": (
        deployment("provision", action="deploy", number=1, into="blue"), host(OLD), True,
        ["shift blue"],
    ),
    # stop
    "a stop goes on": (
        deployment("remove", action="stop", number=1, into=""), host(OLD_AT_REST), True,
        ["remove", "drain blue", "stop blue"],
    ),
    "a stop of what is gone": (
        deployment("remove", action="stop", number=1, into=""), host(), True, ["remove"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_end_of_an_open_deployment(name: str) -> None:
    found, facts, completes, steps = CASES[name]
    recovery = plan_recovery(found, _previous(found), facts, may_complete=True)
    assert (recovery.completes, kinds(recovery.steps)) == (completes, steps)


@pytest.mark.parametrize(
    ("found", "facts", "steps"),
    [
        (UPGRADE, host(OLD_AT_REST, NEW), ["shift blue", "stop green"]),
        (UPGRADE, host(OLD_AT_REST, replace(NEW, sessions=3)),
         ["shift blue", "drain green", "stop green"]),
        # a router that does not answer tells of no requests
        (UPGRADE, replace(host(OLD_AT_REST, NEW), router=RouterFacts(silent=True)),
         ["shift blue", "drain green", "stop green"]),
        (UPGRADE, host(NEW), ["hold green", "stop green", "start blue", *AGAIN]),
        # a standby that serves goes on until the former release does
        (ROLLBACK, host(NEW), ["start blue", *AGAIN]),
        (UPGRADE, host(DOZES, NEW), ["hold green", "stop green", *WOKEN]),
        (BACK, host(DOZES), ["start green", "gate green", "shift green"]),
        (replace(BACK, steps=deployment("wake blue").steps), host(DOZES),
         ["stop blue", "start green", "gate green", "shift green"]),
        (ROLLBACK, host(OLD_AT_REST, NEW), ["shift blue"]),
        (FIRST, host(OLD), ["remove blue", "stop blue"]),
        # the release that serves was there before the deployment that failed
        (deployment("provision", action="deploy", number=1, into="blue"), host(OLD), []),
    ],
)  # fmt: skip
def test_a_step_that_failed_is_never_completed(
    found: Deployment, facts: HostFacts, steps: list[str]
) -> None:
    recovery = plan_recovery(found, _previous(found), facts, may_complete=False)
    assert (recovery.completes, kinds(recovery.steps)) == (False, steps)


@pytest.mark.parametrize(
    ("slots", "returned", "steps"),
    [
        # whether or not its host has started it again since it died
        ((OLD, NEW_AT_REST), True, ["stop green"]),
        ((OLD, replace(NEW_AT_REST, healthy=False)), True, ["stop green"]),
        # while it has the traffic, by the guard of another host
        ((OLD_AT_REST, NEW), True, ["shift blue", "stop green"]),
        ((OLD_AT_REST, replace(NEW, sessions=3)), True,
         ["shift blue", "drain green", "stop green"]),
        # no guard: a step failed
        ((OLD_AT_REST, NEW), False, ["shift blue"]),
    ],
)  # fmt: skip
def test_a_standby_that_a_guard_has_returned_is_emptied(
    slots: tuple[SlotFacts, ...], returned: bool, steps: list[str]
) -> None:
    facts = host(*slots)
    recovery = plan_recovery(ROLLBACK, R1, facts, may_complete=False, returned=returned)
    assert (recovery.completes, kinds(recovery.steps)) == (False, steps)


@pytest.mark.parametrize(
    ("facts", "steps"),
    [
        (host(NEW), ["hold green", "stop green", "start blue", *AGAIN]),
        (host(OLD_AT_REST, NEW), ["shift blue", "stop green"]),
    ],
)
def test_what_a_guard_has_returned_is_not_completed_once_that_guard_is_forgotten(
    facts: HostFacts, steps: list[str]
) -> None:
    recovery = plan_recovery(UPGRADE, R1, facts, may_complete=True, returned=True)
    assert (recovery.completes, kinds(recovery.steps)) == (False, steps)


def test_a_slot_with_another_release_than_the_previous_is_not_taken_for_it() -> None:
    facts = host(slot("blue", release(9)), NEW_AT_REST)
    recovery = plan_recovery(UPGRADE, R1, facts, may_complete=True)
    assert kinds(recovery.steps) == ["stop green", "start blue", *AGAIN]


@pytest.mark.parametrize(
    ("slots", "steps"),
    [
        ([OLD, NEW_AT_REST], ["remove", "drain blue", "stop blue", "drain green", "stop green"]),
        ([slot("blue", R1, well=False)], ["remove", "stop blue"]),
        ([slot("red", R1, weight=100)], ["remove", "drain red", "stop red"]),
        ([], ["remove"]),
    ],
)
def test_stopping_a_model_drains_and_empties_its_slots(
    slots: list[SlotFacts], steps: list[str]
) -> None:
    other = slot("blue", R1, weight=100, model="other")
    assert kinds(stop_steps("tiny", host(*slots, other))) == steps


def _previous(found: Deployment) -> Release | None:
    return None if found.previous is None else release(found.previous)


@pytest.mark.parametrize(
    ("found", "share", "standby", "refused", "steps"),
    [
        # a canary on the standby that is cut short: its share ends, and it takes over again
        (ROLLBACK, 500, False, False, ["shift blue", "standby green"]),
        (ROLLBACK, 500, False, True, ["shift blue"]),
        # it was about to be replaced, and was not yet
        (deployment("verify", number=3), 0, False, False, ["standby green"]),
        (deployment("verify", number=3), 0, True, False, []),
        # a new replica that is ready takes nothing over
        (UPGRADE, 500, False, False, ["shift blue", "stop green"]),
    ],
)
def test_a_standby_takes_over_again_after_an_undo(
    found: Deployment, share: int, standby: bool, refused: bool, steps: list[str]
) -> None:
    targets = (
        Target("blue", PORTS["blue"], 100),
        Target("green", PORTS["green"], share=share, standby=standby),
    )
    routes = with_model(Routes(), "tiny", targets, created=1).as_json()
    facts = replace(host(OLD, replace(NEW_AT_REST, share=share)), routes=routes)
    recovery = plan_recovery(found, R1, facts, may_complete=not refused, refused=refused)
    assert (recovery.completes, kinds(recovery.steps)) == (False, steps)
    again = [step.slot for step in recovery.steps if step.kind is StepKind.STANDBY]
    assert again == (["green"] if steps[-1:] == ["standby green"] else [])
