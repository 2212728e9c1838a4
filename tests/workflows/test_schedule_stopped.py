"""What stops a run with nobody present: it changes no host, and says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.planning.test_currency import NEW
from tests.workflows.night import (
    DAY,
    OPENS,
    SERVING,
    SOUND,
    FakeDesk,
    Night,
    night,
    schedule,
    serving,
    upstream,
)
from toolkit.domain.deployment.release import Deployment, Outcome
from toolkit.domain.deployment.schedule import Rule, Upkeep
from toolkit.domain.hosts.facts import FleetFacts, HostFacts
from toolkit.domain.registry.upstream import Upstream
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import (
    HostError,
    InputError,
    SourceError,
    UnattendedError,
)
from toolkit.planning.upkeep.unattended import Action, Seen
from toolkit.workflows.schedule.desk import Ended

__all__ = ["night"]


def host(**changes: object) -> Seen:
    facts = replace(HostFacts("gpu1", 0.0, slots=(SERVING,)), **changes)  # type: ignore[arg-type]
    return Seen(FleetFacts({"gpu1": facts}, {}, {"gpu1": "gpu1"}))


def silent(number: int) -> Seen:
    errors = {f"gpu{each}": HostError(f"gpu{each}: no answer") for each in range(2, 2 + number)}
    return Seen(FleetFacts(SOUND.fleet.facts, errors, {}))


OPEN = Deployment(
    id=7,
    model="tiny",
    action="deploy",
    release=2,
    previous=1,
    slot="green",
    actor="ann@ops",
    outcome=Outcome.RUNNING,
    reason="",
    started_at=0.0,
    host="gpu1",
)

UNEXPECTED: dict[str, tuple[Callable[[FakeDesk], None], str]] = {
    "drift": (lambda desk: at(desk, replace(SOUND, drift=("gpu1: tiny blue",))), "drift: gpu1: tiny blue"),
    "an unfinished deployment": (
        lambda desk: at(desk, replace(SOUND, unfinished=(OPEN,))),
        "unfinished: deployment 7, deploy tiny by ann@ops",
    ),
    "a locked fleet": (
        lambda desk: at(desk, host(held_by=LockOwner("bob@ops", "toolkit deploy", 1))),
        "gpu1 is held by bob@ops: toolkit deploy",
    ),
    "an unreachable host": (lambda desk: at(desk, silent(1)), "gpu2 is unreachable: no answer"),
    "a router behind": (
        lambda desk: at(desk, replace(SOUND, behind=("gpu1",))), "the router of gpu1 has missed a change",
    ),
    "a history with damage": (
        lambda desk: at(desk, replace(SOUND, history_fault="damaged")), "the history cannot be read in full",
    ),
    "a model that serves nowhere": (lambda desk: at(desk, serving("other")), "tiny serves on no host"),
    "another licence": (
        lambda desk: of(desk, upstream(NEW, licence="other")), "licence: mit -> other",
    ),
    "another owner": (
        lambda desk: of(desk, upstream(NEW, name="mallory/tiny")), "renamed: acme/tiny -> mallory/tiny",
    ),
    "a vanished branch": (lambda desk: of(desk, upstream("")), "main is gone from acme/tiny"),
    "a version that failed before": (
        lambda desk: desk.failed.update({NEW: "canary: 5 % errors"}),
        "v2 failed before and is not tried again: canary: 5 % errors",
    ),
    "a licence that a pin refuses": (
        lambda desk: setattr(desk, "pin_error", InputError("says its licence is 'other'")),
        "says its licence is 'other'",
    ),
}  # fmt: skip


def at(desk: FakeDesk, seen: Seen) -> None:
    desk.seen = seen


def of(desk: FakeDesk, found: Upstream) -> None:
    desk.states["tiny"] = found


@pytest.mark.parametrize(("change", "words"), UNEXPECTED.values(), ids=UNEXPECTED.keys())
def test_a_run_that_meets_the_unexpected_changes_no_host_and_says_why(
    night: Night, change: Callable[[FakeDesk], None], words: str
) -> None:
    change(night.desk)
    report = night.run()
    assert [each for each in night.desk.done if each.startswith("upgrade")] == []
    assert isinstance(report.failure, UnattendedError)
    assert report.failure.exit_code == 10
    assert words in report.failure.message
    assert "nothing was changed on any host" in report.failure.message
    assert night.record.read().runs[0].code == 10
    assert report.decisions["tiny"].action is Action.PERSON


def test_as_many_silent_hosts_as_the_schedule_allows_are_no_reason_to_stop(night: Night) -> None:
    night.desk.seen = silent(1)
    assert night.run(schedule(unreachable=1)).upgraded == ["tiny@v2"]


def test_a_source_that_does_not_answer_stops_its_model_alone(night: Night) -> None:
    night.desk.unknown = {"tiny"}
    night.desk.seen = serving("tiny", "other")
    report = night.run(schedule(Rule("tiny", Upkeep.AUTO), Rule("other", Upkeep.AUTO)))
    assert report.upgraded == ["other@v2"]
    assert isinstance(report.failure, SourceError)
    assert "tiny: its source is not known: no connection" in report.failure.message


def test_a_version_that_a_guard_returned_is_never_tried_again(night: Night) -> None:
    night.desk.ended["tiny"] = Ended(8, "the canary failed: 5 % errors\n  the hosts now: restored")
    report = night.run()
    assert report.failure is not None
    assert report.failure.exit_code == 8
    night.desk.done.clear()
    for day in (1, 2, 30):
        night.clock[0] = OPENS + day * DAY + 60
        again = night.run()
        assert night.desk.done == []
        assert again.failure is not None
        assert again.failure.exit_code == 10
        assert again.failure.message.endswith(
            "v2 failed before and is not tried again: the canary failed: 5 % errors"
        )


def test_after_a_failure_no_further_model_is_touched(night: Night) -> None:
    night.desk.seen = serving("tiny", "other")
    night.desk.ended["tiny"] = Ended(8, "it failed")
    rules = schedule(Rule("tiny", Upkeep.AUTO), Rule("other", Upkeep.AUTO), most=5)
    night.run(rules)
    assert [each for each in night.desk.done if each.startswith("upgrade")] == ["upgrade tiny@v2"]


def cut_short(night: Night) -> None:
    """Let the next night find the upgrade that the last run began as SIGKILL has left it, amid a swap."""
    night.clock[0] += DAY
    cut = replace(OPEN, action="upgrade", rollout=night.desk.rollouts[-1])
    away = replace(SERVING, weight=0)
    night.desk.seen = replace(host(slots=(away,)), unfinished=(cut,))


def test_a_run_takes_up_its_own_upgrade_that_was_cut_short_and_no_other(night: Night) -> None:
    night.desk.ended["tiny"] = Ended(-9, "it was ended by signal 9")
    night.run()
    cut_short(night)
    night.desk.ended.clear()
    mine = night.desk.seen
    night.desk.seen = replace(mine, unfinished=(*mine.unfinished, OPEN))
    report = night.run()
    assert report.decisions["tiny"].words == "unfinished: deployment 7, deploy tiny by ann@ops"
    night.clock[0] += DAY
    night.desk.seen = mine
    assert (report := night.run()).failure is None
    assert report.upgraded == ["tiny@v2"]
    assert (
        "deployment 7 (upgrade tiny), which a run began, was cut short: it is ended first"
        in night.said
    )
    assert len({*night.desk.rollouts}) == 2
    assert night.record.read().begun == {}


def test_an_upgrade_that_is_cut_short_again_is_for_a_person(night: Night) -> None:
    night.desk.ended["tiny"] = Ended(-9, "it was ended by signal 9")
    night.run()
    cut_short(night)
    night.run()
    cut_short(night)
    report = night.run()
    assert len(night.desk.rollouts) == 2
    assert "unfinished: deployment 7, upgrade tiny" in report.decisions["tiny"].words


def test_an_upgrade_that_ended_with_a_word_and_is_open_nevertheless_is_for_a_person(
    night: Night,
) -> None:
    """Its undoing was not possible."""
    night.desk.ended["tiny"] = Ended(7, "and restoring was not possible")
    night.run()
    cut_short(night)
    assert "unfinished: deployment 7" in night.run().decisions["tiny"].words


CODES = [(4, 10), (7, 7), (3, 10), (130, 130), (1, 10), (-9, 10)]


@pytest.mark.parametrize(("code", "told"), CODES)
def test_the_end_of_an_upgrade_becomes_a_stable_exit_code(
    night: Night, code: int, told: int
) -> None:
    night.desk.ended["tiny"] = Ended(code, "so it ended")
    report = night.run()
    assert report.failure is not None
    assert report.failure.exit_code == told
    # Only a failed release is given up for good.
    assert night.record.read().failed == {}
