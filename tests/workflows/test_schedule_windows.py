"""When a run with nobody present acts: within its windows, and only where an upgrade ends in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time

import pytest

from tests.planning.test_currency import OLD
from tests.workflows.night import DAY, NIGHT, OPENS, Night, night, schedule, upstream
from toolkit.domain.deployment.release import Deployment, Outcome, StepRecord
from toolkit.domain.deployment.schedule import Rule, Upkeep, Window
from toolkit.domain.gates.guard import Guard, ShareStep
from toolkit.errors import (
    RefusedError,
)
from toolkit.planning.upkeep.currency import Currency
from toolkit.planning.upkeep.unattended import UNKNOWN_DURATION, Action, expected_seconds
from toolkit.workflows.schedule.desk import Ended

__all__ = ["night"]


def test_outside_its_windows_a_run_refuses_and_names_the_next_opening(night: Night) -> None:
    night.clock[0] = OPENS - 60
    with pytest.raises(RefusedError, match="night opens Tue 2026-12-01 02:00 UTC") as caught:
        night.run()
    assert caught.value.exit_code == 3
    assert night.desk.done == []
    # The timer's own start is silent: it fires once more than a window needs.
    assert night.run(by_timer=True).failure is None
    assert (night.desk.done, night.said) == ([], [])


def test_the_end_of_a_window_is_outside_of_it(night: Night) -> None:
    night.clock[0] = OPENS + 3 * 3600
    with pytest.raises(RefusedError):
        night.run()


def test_an_upgrade_that_would_not_end_within_the_window_is_not_begun(night: Night) -> None:
    night.clock[0] = OPENS + 3 * 3600 - 90
    night.desk.takes = 100.0
    report = night.run()
    assert night.desk.done == ["pin tiny"]
    assert report.decisions["tiny"].words == (
        "1 min 30 s are left of the window, and it takes 1 min 40 s"
    )
    assert report.failure is None


def test_an_upgrade_that_takes_longer_than_any_opening_is_for_a_person(night: Night) -> None:
    """As where the clock was set, or the machine slept, amid the last one: it would wait for ever."""
    night.desk.takes = 3 * 3600.0 + 60
    report = night.run()
    assert night.desk.done == ["pin tiny"]
    assert report.decisions["tiny"].action is Action.PERSON
    assert report.decisions["tiny"].words == "it takes 3 h 01 min, and night leaves 3 h 00 min"
    assert report.failure is not None
    assert report.failure.exit_code == 10


def test_what_the_sources_say_once_the_window_has_ended_is_for_the_next_one(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = night.desk.currencies

    def slowly(models: Sequence[str]) -> Mapping[str, Currency]:
        night.clock[0] += 3 * 3600
        return ask(models)

    monkeypatch.setattr(night.desk, "currencies", slowly)
    report = night.run(schedule(Rule("tiny", Upkeep.PIN_ONLY)))
    assert night.desk.done == []
    assert report.decisions["tiny"].words == "the window has ended"
    assert report.failure is None


def test_a_timer_begins_at_its_part_of_the_jitter_and_waits_for_it_a_call_at_most(
    night: Night,
) -> None:
    given = schedule(windows={"night": replace(NIGHT, jitter=3600.0)})
    night.clock[0] = OPENS
    calls = 0
    while not night.desk.done:
        # The lock of the schedule is free from call to call: a person may run it, and warm hours are kept.
        began = night.clock[0]
        night.run(given, by_timer=True)
        night.clock[0] = max(night.clock[0], began + 600.0)
        calls += 1
    (waited,) = night.slept
    assert 1 < calls <= 6
    assert 0 < waited < 600
    assert night.desk.done == ["pin tiny", "upgrade tiny@v2"]
    assert night.record.read().runs[0].begun_at == OPENS + 600 * (calls - 1) + waited
    # A person's run begins at once.
    night.clock[0] = OPENS + DAY
    night.desk.states["tiny"] = upstream(OLD)
    night.run(given)
    assert len(night.slept) == 1


def test_openings_without_a_run_are_told_once_and_not_made_up_for(night: Night) -> None:
    night.run()
    night.desk.done.clear()
    night.said.clear()
    night.clock[0] = OPENS + 3 * DAY + 12 * 3600
    report = night.run(by_timer=True)
    assert [each.opens for each in report.missed] == [OPENS + day * DAY for day in (1, 2, 3)]
    assert night.said[0] == "missed: the window night of Wed 2026-12-02 02:00 UTC; not made up for"
    assert night.desk.done == []
    # People learn of it by what is on record.
    wednesday, *_ = night.desk.reasons[-1].split(", the window")
    assert wednesday == "schedule, missed: the window night of Wed 2026-12-02 02:00 UTC"
    told = len(night.desk.reasons)
    assert night.run(by_timer=True).missed == ()
    assert len(night.record.read().missed) == 3
    assert len(night.desk.reasons) == told


def test_a_missed_window_that_cannot_be_recorded_stops_nothing(night: Night) -> None:
    night.run()
    night.desk.begin_error = RefusedError("the audit log takes nothing")
    night.clock[0] = OPENS + DAY + 12 * 3600
    assert len(night.run(by_timer=True).missed) == 1
    assert night.said[-1] == "missed: the window night of Wed 2026-12-02 02:00 UTC; not made up for"


def test_a_clock_that_was_ahead_hides_no_missed_openings(night: Night) -> None:
    night.run()
    night.clock[0] = OPENS + 30 * DAY + 12 * 3600
    assert len(night.run(by_timer=True).missed) == 30
    night.clock[0] = OPENS + DAY + 12 * 3600
    assert night.run(by_timer=True).missed == ()
    night.clock[0] = OPENS + 3 * DAY + 12 * 3600
    report = night.run(by_timer=True)
    assert [each.opens for each in report.missed] == [OPENS + day * DAY for day in (2, 3)]


def test_a_clock_that_was_ahead_takes_no_opening_that_is_to_come(night: Night) -> None:
    night.clock[0] = OPENS + DAY + 60
    assert [each.opens for each in night.run(by_timer=True).openings] == [OPENS + DAY]
    for day in (0, 1):
        night.clock[0] = OPENS + day * DAY + 120
        report = night.run(by_timer=True)
        assert [each.opens for each in report.openings] == [OPENS + day * DAY]
        assert report.missed == ()
        assert night.run(by_timer=True).openings == []


def test_a_run_that_was_killed_is_not_begun_again_in_its_window(night: Night) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> Ended:
        raise Killed

    night.desk.upgrade = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        night.run()
    assert night.record.read().runs[0].code == 130
    report = night.run()
    assert (report.openings, night.desk.done) == ([], ["pin tiny"])


def test_a_window_on_the_day_that_the_clocks_change_is_worked_in_once(night: Night) -> None:
    berlin = Window("night", time(2, 30), 3600.0, "Europe/Berlin", (6,), jitter=0.0)
    given = schedule(Rule("tiny", Upkeep.PIN_ONLY), windows={"night": berlin})
    # Clocks go back on 2026-10-25: 02:30 comes at 00:30 and at 01:30 UTC.
    begin = datetime(2026, 10, 25, tzinfo=UTC).timestamp()
    night.clock[0] = begin
    worked = []
    for minute in range(0, 240, 10):
        night.clock[0] = begin + minute * 60
        if night.run(given, by_timer=True).openings:
            worked.append(minute)
    assert worked == [30]


def deployment(number: int, started: float, ended: float | None, outcome: Outcome) -> Deployment:
    return Deployment(
        id=number,
        model="tiny",
        action="upgrade",
        release=2,
        previous=1,
        slot="green",
        actor="a",
        outcome=outcome,
        reason="",
        started_at=started,
        ended_at=ended,
        rollout="r1",
    )


def test_an_upgrade_is_expected_to_take_as_long_as_the_last_one() -> None:
    guard = Guard(steps=(ShareStep(0.01, 300.0), ShareStep(0.5, 60.0)), bake=40.0)
    assert expected_seconds([], guard) == 600 + 300 + 60 + 40
    known = [
        deployment(3, 500.0, None, Outcome.FAILED),
        deployment(2, 150.0, 400.0, Outcome.LIVE),
        deployment(1, 100.0, 140.0, Outcome.LIVE),
    ]
    assert expected_seconds(known, guard) == 300.0
    interrupted = replace(deployment(4, 1000.0, 1900.0, Outcome.UNDONE), rollout="r2")
    assert expected_seconds([interrupted, *known], guard) == 900.0
    assert expected_seconds([replace(interrupted, ended_at=4000.0)], guard) == 3000.0


def test_an_upgrade_whose_clock_was_set_back_says_nothing_of_the_next_one() -> None:
    back = replace(deployment(4, 1000.0, 400.0, Outcome.LIVE), rollout="r2")
    assert expected_seconds([back], Guard()) == UNKNOWN_DURATION
    known = deployment(1, 100.0, 140.0, Outcome.LIVE)
    assert expected_seconds([back, known], Guard()) == 40.0


def test_gates_alone_and_a_stop_say_nothing_of_an_upgrade() -> None:
    upgraded = replace(deployment(2, 150.0, 400.0, Outcome.LIVE), rollout="r2")
    for action in ("gate", "stop"):
        other = replace(
            deployment(3, 500.0, 9999.0, Outcome.DONE), action=action, rollout=f"r{action}"
        )
        assert expected_seconds([other, upgraded], Guard()) == 250.0


def test_an_exchange_of_adapters_says_nothing_of_a_start() -> None:
    def ended(number: int, kind: str, seconds: float) -> Deployment:
        step = StepRecord(1, kind, "", Outcome.LIVE, 0.0, seconds)
        done = deployment(number, 1000.0 * number, 1000.0 * number + seconds, Outcome.LIVE)
        return replace(done, rollout=f"r{number}", steps=(step,))

    known = [ended(3, "adapt", 4.0), ended(2, "start", 240.0), ended(1, "adapt", 9.0)]
    assert expected_seconds(known, Guard()) == 240.0
    assert expected_seconds(known, Guard(), of_adapter=True) == 4.0
