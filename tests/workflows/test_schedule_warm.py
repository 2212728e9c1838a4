"""Warm hours: a model is up when they begin and asleep once they are over, and is otherwise left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.workflows.night import SERVING, Night, schedule
from toolkit.domain.deployment.schedule import Schedule, WarmHours, Window
from toolkit.domain.hosts.facts import FleetFacts, HostFacts
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.planning.upkeep.idle_after import Activity
from toolkit.planning.upkeep.unattended import Action, Seen
from toolkit.planning.upkeep.warm_hours import Warmth, wanted
from toolkit.workflows.schedule.desk import Ended
from toolkit.workflows.schedule.run import run_schedule

BERLIN = "Europe/Berlin"
OFFICE = Window("tiny", time(8), 10 * 3600.0, BERLIN, tuple(range(5)))
HOURS = WarmHours("tiny", OFFICE, WhenAsleep.WAKE)


def at(day: int, hour: int, minute: int = 0, zone: str = BERLIN, month: int = 12) -> float:
    return datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("now", "state", "since"),
    [
        # 2026-12-01 is a Tuesday. A start of 240 s begins 300 s and a call of the timer before the hours.
        pytest.param(at(1, 7, 44), "asleep", at(30, 18, month=11), id="before it must start"),
        pytest.param(at(1, 7, 45), "up", at(1, 8), id="started in time"),
        pytest.param(at(1, 12), "up", at(1, 8), id="at noon"),
        pytest.param(at(1, 17, 59), "up", at(1, 8), id="to the end"),
        pytest.param(at(1, 18), "asleep", at(1, 18), id="over"),
        pytest.param(at(5, 12), "asleep", at(4, 18), id="on Saturday"),
        pytest.param(at(7, 7, 50), "up", at(7, 8), id="on Monday"),
    ],
)
def test_a_model_is_up_when_its_hours_begin(now: float, state: str, since: float) -> None:
    assert wanted(OFFICE, now, 240.0) == Warmth(state, since)


def test_a_long_start_begins_earlier() -> None:
    assert wanted(OFFICE, at(1, 6, 36), 3600.0).state == "up"
    assert wanted(OFFICE, at(1, 6, 34), 3600.0).state == "asleep"


def test_hours_that_follow_each_other_are_one() -> None:
    always = Window("tiny", time(0), 86_400.0, "UTC", tuple(range(7)))
    assert {wanted(always, at(1, hour, zone="UTC"), 60.0).state for hour in range(24)} == {"up"}


@pytest.mark.parametrize(
    ("lasts", "starts"), [(86_400.0, 60.0), (72_000.0, 4 * 3600.0)], ids=["all day", "long starts"]
)
def test_hours_without_an_end_begin_once_and_for_all(lasts: float, starts: float) -> None:
    hours = Window("tiny", time(0), lasts, "UTC", tuple(range(7)))
    times = [at(day, 12, zone="UTC") for day in range(1, 29)]
    # A run acts where hours begin, and would wake each day a model that a person has put to sleep.
    assert {wanted(hours, now, starts) for now in times} == {Warmth("up", 0.0)}


def test_long_hours_begin_when_they_do() -> None:
    hours = Window("tiny", time(0), 86_400.0, "UTC", (0, 1, 2, 3, 4, 5))
    began = at(30, 0, zone="UTC", month=11)
    found = {wanted(hours, at(day, 12, zone="UTC"), 60.0) for day in range(1, 6)}
    assert found == {Warmth("up", began)}
    assert wanted(hours, at(6, 12, zone="UTC"), 60.0) == Warmth("asleep", at(6, 0, zone="UTC"))


def test_hours_of_single_dates_keep_their_time_however_long_ago_it_is() -> None:
    """What a run did for them is told by that time: another one would undo what a person did since."""
    dates = (date(2026, 12, 1), date(2026, 12, 24))
    hours = Window("tiny", time(8), 36_000.0, "UTC", dates=dates)
    over = at(1, 18, zone="UTC")
    found = {wanted(hours, over + day * 86_400, 60.0) for day in range(22)}
    assert found == {Warmth("asleep", over)}
    assert wanted(hours, at(24, 9, zone="UTC"), 60.0) == Warmth("up", at(24, 8, zone="UTC"))
    last = wanted(hours, at(24, 9, zone="UTC") + 1000 * 86_400, 60.0)
    assert last == Warmth("asleep", at(24, 18, zone="UTC"))
    assert wanted(hours, at(1, 0, zone="UTC", month=6), 60.0) == Warmth("asleep", 0.0)
    never = replace(hours, dates=(date.min, date.max))
    assert wanted(never, over, 60.0) == Warmth("asleep", 0.0)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_dates_that_follow_each_other_are_one_and_end(zone: str) -> None:
    days = tuple(date(2026, 12, day) for day in range(1, 15))
    hours = Window("tiny", time(0), 86_400.0, zone, dates=days)
    found = {wanted(hours, at(day, 12, zone=zone), 60.0) for day in range(1, 15)}
    assert found == {Warmth("up", at(1, 0, zone=zone))}
    assert wanted(hours, at(15, 1, zone=zone), 60.0) == Warmth("asleep", at(15, 0, zone=zone))


def test_hours_keep_their_clock_where_clocks_change() -> None:
    # Europe/Berlin goes forward on 2027-03-28: eight o'clock is 07:00 UTC before and 06:00 UTC after.
    for day, hour in ((26, 7), (29, 6)):
        opens = datetime(2027, 3, day, hour, tzinfo=UTC).timestamp()
        assert wanted(OFFICE, opens + 1, 60.0) == Warmth("up", opens)
        assert wanted(OFFICE, opens - 1800, 60.0).state == "asleep"


@pytest.fixture
def day(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_a_model_that_sleeps_is_upgraded_another_time_and_needs_no_person(day: Night) -> None:
    slept = replace(SERVING, weight=0, healthy=False, asleep="asleep", rests=True)
    facts = HostFacts("gpu1", 0.0, slots=(slept,))
    day.desk.seen = Seen(FleetFacts({"gpu1": facts}, {}, {"gpu1": "gpu1"}))
    report = run_schedule(schedule(), day.site, by_timer=True)
    assert report.failure is None
    assert report.decisions["tiny"].action is Action.WAIT
    assert day.desk.done == ["pin tiny"]


SCHEDULE = Schedule({}, {}, warm={"tiny": HOURS})


def act(day: Night, now: float) -> list[str]:
    """Return what a call of the timer at `now` did."""
    day.clock[0], day.desk.done = now, []
    run_schedule(SCHEDULE, day.site, by_timer=True)
    return day.desk.done


def test_a_run_acts_once_where_hours_begin_and_end(day: Night) -> None:
    assert act(day, at(1, 3)) == ["sleep tiny wake"]
    # A client or a person wakes it in the night: that is theirs to say.
    assert act(day, at(1, 3, 5)) == []
    assert act(day, at(1, 7, 45)) == ["wake tiny"]
    assert act(day, at(1, 7, 50)) == []
    assert act(day, at(1, 17, 55)) == []
    assert act(day, at(1, 18)) == ["sleep tiny wake"]
    assert act(day, at(2, 7, 50)) == ["wake tiny"]
    assert day.said[-1] == "tiny: up for its hours"


def test_a_machine_that_was_off_makes_up_for_the_last_change_alone(day: Night) -> None:
    assert act(day, at(1, 3)) == ["sleep tiny wake"]
    assert act(day, at(4, 10)) == ["wake tiny"]


@pytest.mark.parametrize(
    ("code", "again"),
    [pytest.param(4, True, id="busy"), pytest.param(7, True, id="a host is silent"),
     pytest.param(2, False, id="not deployed"), pytest.param(3, False, id="refused")],
)  # fmt: skip
def test_what_may_pass_is_tried_again(day: Night, code: int, again: bool) -> None:
    day.desk.ended["tiny"] = Ended(code, "no")
    assert act(day, at(1, 12)) == ["wake tiny"]
    assert day.said[-1] == "tiny: not up for its hours: no"
    assert act(day, at(1, 12, 5)) == (["wake tiny"] if again else [])


IDLE = Schedule({}, {}, warm={"tiny": WarmHours("tiny", None, WhenAsleep.WAIT, 1800.0)})
BOTH = Schedule({}, {}, warm={"tiny": replace(HOURS, idle_after=1800.0)})


def minutes(day: Night, found: Schedule, begin: float, *counts: Activity | None) -> list[str]:
    """Return what calls of the timer did, ten minutes apart from `begin` on, each with what the hosts count then."""
    did = []
    for number, count in enumerate(counts):
        day.clock[0], day.desk.done = begin + 600.0 * number, []
        day.desk.counts = {"tiny": count} if count else None
        run_schedule(found, day.site, by_timer=True)
        did.append(" ".join(day.desk.done))
    return did


QUIET, MORE = Activity("gpu1/blue=5", False, True), Activity("gpu1/blue=6", False, True)
BUSY, DOWN = replace(QUIET, open=True), replace(QUIET, up=False)


@pytest.mark.parametrize(
    ("counts", "did"),
    [
        pytest.param([QUIET] * 4, ["", "", "", "sleep tiny wait"], id="nobody asks for half an hour"),
        pytest.param([QUIET, QUIET, QUIET, MORE, MORE], [""] * 5, id="a request begins it again"),
        pytest.param([QUIET, QUIET, QUIET, BUSY], [""] * 4, id="a request is under way"),
        pytest.param([QUIET, QUIET, QUIET, DOWN, QUIET], [""] * 5, id="a start begins it again"),
        pytest.param([QUIET, QUIET, QUIET, None, QUIET], ["", "", "", "", "sleep tiny wait"],
                     id="a silent host puts it off"),
        pytest.param([DOWN] * 9, [""] * 9, id="what sleeps is left alone"),
    ],
)  # fmt: skip
def test_a_model_that_nobody_asks_falls_asleep(
    day: Night, counts: list[Activity | None], did: list[str]
) -> None:
    assert minutes(day, IDLE, at(1, 12), *counts) == did


def test_a_model_stays_up_in_its_hours_and_falls_asleep_again_outside_of_them(day: Night) -> None:
    # Half an hour without a request before the end of its hours: they are what put it to sleep.
    assert minutes(day, BOTH, at(1, 17, 10), *[QUIET] * 5) == ["wake tiny", *[""] * 4]
    assert minutes(day, BOTH, at(1, 18), QUIET, DOWN) == ["sleep tiny wake", ""]
    # A request has woken it in the night.
    assert minutes(day, BOTH, at(2, 3), *[MORE] * 4) == ["", "", "", "sleep tiny wake"]


def test_a_model_that_may_not_sleep_is_tried_again(day: Night) -> None:
    day.desk.ended["tiny"] = Ended(3, "a guard watches tiny")
    assert minutes(day, IDLE, at(1, 12), *[QUIET] * 5)[3:] == ["sleep tiny wait"] * 2
    assert (
        day.said[-1]
        == "tiny: not asleep, after 30 min 00 s without a request: a guard watches tiny"
    )


def test_what_is_known_of_idle_models_goes_with_their_rule(day: Night) -> None:
    minutes(day, IDLE, at(1, 12), QUIET)
    assert day.record.read().idle == {"tiny": ("gpu1/blue=5", at(1, 12))}
    minutes(day, SCHEDULE, at(1, 12, 10), QUIET)
    assert day.record.read().idle == {}


def test_a_record_of_an_older_toolkit_is_read(day: Night) -> None:
    act(day, at(1, 12))
    path = day.record._path
    data = json.loads(path.read_text())
    assert data.pop("warm") == {"tiny": ["up", at(1, 8)]}
    del data["idle"]
    path.write_text(json.dumps(data))
    assert day.record.read().warm == {}
    assert act(day, at(1, 12, 5)) == ["wake tiny"]
