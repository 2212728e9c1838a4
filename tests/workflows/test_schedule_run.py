"""A run with nobody present: what it does in its window, and that it happens once.

The desk is one in memory; the decisions, the record and the lock are those of the product.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from tests.planning.test_currency import NEW, OLD
from tests.workflows.night import (
    DAY,
    NIGHT,
    OPENS,
    SOUND,
    Night,
    night,
    schedule,
    serving,
    upstream,
)
from toolkit.adapters.schedule_record import ScheduleRecord
from toolkit.domain.deployment.schedule import Rule, Upkeep
from toolkit.errors import (
    BusyError,
    InputError,
    RefusedError,
    ToolkitError,
)
from toolkit.planning.upkeep.unattended import Action
from toolkit.workflows.schedule.desk import Ended
from toolkit.workflows.schedule.run import preview

__all__ = ["night"]


def test_a_run_pins_a_new_revision_and_upgrades_to_it(night: Night) -> None:
    report = night.run()
    assert night.desk.done == ["pin tiny", "upgrade tiny@v2"]
    assert (report.upgraded, report.failure) == (["tiny@v2"], None)
    (run,) = night.record.read().runs
    assert (run.window, run.opens, run.code) == ("night", OPENS, 0)
    assert "tiny: upgraded to v2" in run.lines


def test_a_second_run_in_the_same_opening_does_nothing_and_says_so(night: Night) -> None:
    night.run()
    night.desk.done.clear()
    night.said.clear()
    report = night.run()
    assert (night.desk.done, report.openings, report.failure) == ([], [], None)
    assert night.said == ["the window night had its run at Tue 2026-12-01 02:01 UTC"]
    night.clock[0] += DAY
    assert [each.opens for each in night.run().openings] == [OPENS + DAY]


def test_a_current_model_and_one_to_pin_only_are_not_upgraded(night: Night) -> None:
    night.desk.states["other"] = upstream(OLD)
    report = night.run(schedule(Rule("tiny", Upkeep.PIN_ONLY), Rule("other", Upkeep.AUTO)))
    assert (night.desk.done, night.desk.reasons) == (["pin tiny"], ["schedule, window night"])
    assert [each.action for each in report.decisions.values()] == [Action.NOTHING, Action.NOTHING]
    assert report.failure is None


def test_a_revision_that_is_not_known_long_enough_waits(night: Night) -> None:
    night.desk.states["tiny"] = upstream(NEW, seen=OPENS - DAY)
    report = night.run()
    assert night.desk.done == ["pin tiny"]
    assert report.decisions["tiny"].words == "v2 is known for 24 h 01 min, of 3 d"
    assert report.failure is None


def test_a_commit_that_is_dated_in_the_future_is_for_a_person(night: Night) -> None:
    """Its soak would begin on that day."""
    dated = datetime(2199, 1, 1, tzinfo=UTC).timestamp()
    night.desk.states["tiny"] = replace(upstream(NEW, seen=OPENS - 30 * DAY), date=dated)
    report = night.run()
    assert report.decisions["tiny"].action is Action.PERSON
    assert report.decisions["tiny"].words == "v2 is dated 2199-01-01 00:00:00 UTC, in the future"
    assert "tiny: v2 is dated" in str(report.failure)
    # A clock may be set wrongly by hours.
    night.clock[0] += DAY
    near = replace(upstream(NEW, seen=OPENS - 30 * DAY), date=night.clock[0] + 3600)
    night.desk.states["tiny"] = near
    assert night.run().decisions["tiny"].action is Action.WAIT
    # Without a soak no date counts.
    night.clock[0] += DAY
    night.desk.states["tiny"] = replace(upstream(NEW), date=dated)
    report = night.run(schedule(Rule("tiny", Upkeep.AUTO)))
    assert report.decisions["tiny"].action is Action.UPGRADE


def test_an_adapter_is_upgraded_to_by_a_version_of_its_model(night: Night) -> None:
    night.desk.adapters = {"sql": "tiny"}
    report = night.run(schedule(Rule("sql", Upkeep.AUTO, (), 3 * DAY)))
    assert night.desk.done == ["pin sql", "upgrade tiny@v2"]
    assert (report.upgraded, report.failure) == (["tiny@v2"], None)
    assert "sql: upgraded to v2" in night.record.read().runs[0].lines


def test_a_model_has_one_upgrade_in_a_window_and_its_own_comes_before_its_adapters(
    night: Night,
) -> None:
    night.desk.adapters = {"sql": "tiny", "law": "tiny"}
    night.desk.seen = serving("tiny", "other")
    rules = [Rule(name, Upkeep.AUTO) for name in ("sql", "law", "tiny", "other")]
    report = night.run(schedule(*rules, most=9))
    assert report.upgraded == ["tiny@v2", "other@v2"]
    # Nothing is pinned that the upgrade would make out of date.
    assert night.desk.done[:2] == ["pin tiny", "pin other"]
    for name in ("sql", "law"):
        assert report.decisions[name].action is Action.WAIT
        assert report.decisions[name].words == "tiny is upgraded to v2 first"
    night.clock[0] += DAY
    night.desk.done.clear()
    night.desk.states.update(tiny=upstream(OLD), other=upstream(OLD))
    assert night.run(schedule(*rules, most=9)).upgraded == ["tiny@v2"]
    assert night.desk.done == ["pin sql", "upgrade tiny@v2"]


def test_a_second_window_that_is_open_begins_anew(night: Night) -> None:
    night.desk.adapters = {"sql": "tiny"}
    night.desk.seen = serving("tiny", "other")
    rules = (Rule("sql", Upkeep.AUTO, ("night",)), Rule("other", Upkeep.AUTO, ("late",)))
    late = replace(NIGHT, name="late", at=time(1))
    given = schedule(*rules, windows={"night": NIGHT, "late": late})
    night.desk.any_window = True
    assert sorted(night.run(given).upgraded) == ["other@v2", "tiny@v2"]


def test_what_stops_a_model_stops_its_adapters_and_one_that_failed_is_remembered(
    night: Night,
) -> None:
    night.desk.adapters = {"sql": "tiny"}
    given = schedule(Rule("sql", Upkeep.AUTO))
    night.desk.seen = serving("other")
    report = night.run(given)
    assert report.decisions["sql"].words == "tiny serves on no host, so there is nothing to upgrade"
    night.clock[0] += DAY
    night.desk.seen = SOUND
    night.desk.ended["tiny"] = Ended(8, "answers of sql: 3 lost")
    assert "tiny@v2: answers of sql: 3 lost" in str(night.run(given).failure)
    night.clock[0] += DAY
    night.desk.done.clear()
    report = night.run(given)
    assert night.desk.done == []
    assert report.decisions["sql"].action is Action.PERSON
    assert (
        "v2 failed before and is not tried again: answers of sql" in report.decisions["sql"].words
    )


def test_no_more_models_than_allowed_are_upgraded_in_one_window(night: Night) -> None:
    rules = [Rule(name, Upkeep.AUTO) for name in ("tiny", "second", "third")]
    night.desk.seen = serving("tiny", "second", "third")
    report = night.run(schedule(*rules, most=2))
    assert report.upgraded == ["tiny@v2", "second@v2"]
    assert report.decisions["third"].words == "2 of 2 models are done in this window"
    assert report.failure is None


def test_two_runs_at_once_are_one(night: Night, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, over = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path / "home", held, over))
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(BusyError) as caught:
            night.run()
        assert caught.value.exit_code == 4
        assert night.desk.done == []
    finally:
        over.set()
        other.join(30)
    assert night.run().upgraded == ["tiny@v2"]


def hold(home: Path, held: object, over: object) -> None:
    with ScheduleRecord(home).locked():
        held.set()  # type: ignore[attr-defined]
        over.wait(30)  # type: ignore[attr-defined]


def test_a_night_with_nothing_to_do_is_put_on_no_record(night: Night) -> None:
    night.desk.states["tiny"] = upstream(OLD)
    assert night.run().failure is None
    assert (night.desk.done, night.desk.reasons) == ([], [])
    assert night.record.read().runs[0].code == 0


def test_a_run_that_cannot_be_put_on_record_does_nothing(night: Night) -> None:
    night.desk.begin_error = RefusedError("the audit log takes nothing")
    report = night.run()
    assert (night.desk.done, night.desk.reasons) == ([], [])
    assert isinstance(report.failure, RefusedError)
    assert night.record.read().runs[0].code == 3


def test_an_error_before_anything_is_decided_is_put_on_record_too(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> object:
        raise InputError("model_registry.yaml:3:1: edited meanwhile")

    monkeypatch.setattr(night.desk, "currencies", broken)
    report = night.run()
    assert isinstance(report.failure, InputError)
    assert (night.desk.done, night.desk.reasons) == ([], ["schedule, window night"])


def test_a_damaged_record_stops_the_run_before_anything(night: Night, tmp_path: Path) -> None:
    night.run(schedule(Rule("tiny", Upkeep.PIN_ONLY)))
    (tmp_path / "home" / "schedule.json").write_text("{")
    night.desk.done.clear()
    with pytest.raises(ToolkitError, match="cannot be read"):
        night.run()
    assert night.desk.done == []


def test_a_preview_decides_and_does_nothing(night: Night) -> None:
    found = preview(schedule(), "night", night.site)
    assert found["tiny"].action is Action.PIN
    assert night.desk.done == []
    assert night.record.read().runs == ()
