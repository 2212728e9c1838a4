"""When a window is open: weekdays, dates, blackouts, both changes of the clock, and a jitter that stays."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from toolkit.domain.deployment.schedule import Blackout, Opening, Rule, Schedule, Upkeep, Window
from toolkit.planning.upkeep.windows import (
    instant,
    missed,
    next_opening,
    open_now,
    start_of,
    utc_text,
    wall_text,
)

BERLIN = "Europe/Berlin"
HOUR = 3600.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def window(**changes: object) -> Window:
    fields: dict[str, object] = {
        "name": "night", "at": time(2), "seconds": 3 * HOUR, "zone": BERLIN, "weekdays": tuple(range(7)),
    }  # fmt: skip
    return Window(**{**fields, **changes})  # type: ignore[arg-type]


def schedule(*windows: Window, blackouts: tuple[Blackout, ...] = ()) -> Schedule:
    rules = {"tiny": Rule("tiny", Upkeep.AUTO)}
    return Schedule({each.name: each for each in windows}, rules, blackouts)


# Wall clock of Berlin -> UTC. Clocks go forward on 2027-03-28 at 02:00, back on 2026-10-25 at 03:00.
MOMENTS = [
    ("2027-03-27", "02:30", "2027-03-27T01:30"),
    ("2027-03-28", "01:59", "2027-03-28T00:59"),
    ("2027-03-28", "02:00", "2027-03-28T01:00"),
    ("2027-03-28", "02:30", "2027-03-28T01:00"),
    ("2027-03-28", "02:59", "2027-03-28T01:00"),
    ("2027-03-28", "03:00", "2027-03-28T01:00"),
    ("2027-03-28", "03:01", "2027-03-28T01:01"),
    ("2026-10-25", "01:59", "2026-10-24T23:59"),
    ("2026-10-25", "02:00", "2026-10-25T00:00"),
    ("2026-10-25", "02:30", "2026-10-25T00:30"),
    ("2026-10-25", "03:00", "2026-10-25T02:00"),
    ("2026-10-26", "02:30", "2026-10-26T01:30"),
]


@pytest.mark.parametrize(("day", "clock", "utc"), MOMENTS)
def test_a_wall_clock_means_one_moment_on_both_changes(day: str, clock: str, utc: str) -> None:
    found = instant(date.fromisoformat(day), time.fromisoformat(clock), ZoneInfo(BERLIN))
    assert utc_text(found) == f"{utc}:00Z"


# Zones whose clocks change by half an hour, at midnight, or leave out a whole day.
ODD = [
    ("Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:30"),
    ("America/Havana", "2026-03-08", "00:30", "2026-03-08T05:00"),
    ("Pacific/Apia", "2011-12-30", "12:00", "2011-12-30T10:00"),
]


@pytest.mark.parametrize(("zone", "day", "clock", "utc"), ODD)
def test_odd_gaps_end_where_the_clock_jumps(zone: str, day: str, clock: str, utc: str) -> None:
    found = instant(date.fromisoformat(day), time.fromisoformat(clock), ZoneInfo(zone))
    assert utc_text(found) == f"{utc}:00Z"


# (from, hours) -> opening and closing in UTC on the day of a change.
CHANGES = [
    ("2027-03-28T00:00", time(2, 30), 1, "2027-03-28T01:00", "2027-03-28T02:00"),
    ("2027-03-28T00:00", time(1, 30), 2, "2027-03-28T00:30", "2027-03-28T02:30"),
    ("2026-10-24T22:30", time(2, 30), 1, "2026-10-25T00:30", "2026-10-25T01:30"),
    ("2026-10-24T22:30", time(1, 0), 3, "2026-10-24T23:00", "2026-10-25T02:00"),
]


@pytest.mark.parametrize(("now", "begin", "hours", "opens", "closes"), CHANGES)
def test_a_window_is_as_long_on_the_day_of_a_change_and_opens_once(
    now: str, begin: time, hours: int, opens: str, closes: str
) -> None:
    given = window(at=begin, seconds=hours * HOUR)
    found = next_opening(given, (), at(now))
    assert found == Opening("night", at(opens), at(closes))
    following = next_opening(given, (), at(opens))
    assert following is not None
    assert 22.5 * HOUR <= following.opens - found.opens <= 25 * HOUR


def test_a_window_holds_from_its_opening_until_just_before_its_end() -> None:
    given = schedule(window())
    opens, closes = at("2026-12-01T01:00"), at("2026-12-01T04:00")
    assert open_now(given, opens - 1) == ()
    assert (
        open_now(given, opens) == open_now(given, closes - 1) == (Opening("night", opens, closes),)
    )
    assert open_now(given, closes) == ()


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    # Saturday 23:00 to Sunday 03:00.
    given = schedule(window(at=time(23), seconds=4 * HOUR, weekdays=(5,)))
    (found,) = open_now(given, at("2026-11-29T01:30"))
    assert found.opens == at("2026-11-28T22:00")
    assert open_now(given, at("2026-11-29T22:30")) == ()


def test_two_windows_may_be_open_at_once_in_zones_of_their_own() -> None:
    given = schedule(window(), window(name="utc", at=time(1, 30), zone="UTC"))
    assert [each.window for each in open_now(given, at("2026-12-01T02:00"))] == ["night", "utc"]


BLACKOUTS = [
    ((Blackout(date(2026, 12, 1), date(2026, 12, 3)),), "2026-12-04T01:00"),
    ((Blackout(date(2026, 12, 1), date(2026, 12, 1)),), "2026-12-02T01:00"),
    ((Blackout(date(2026, 12, 2), None),), "2026-12-01T01:00"),
    ((Blackout(date(2026, 12, 1), date(2027, 1, 6)),), "2027-01-07T01:00"),
]


@pytest.mark.parametrize(("blackouts", "opens"), BLACKOUTS)
def test_a_window_does_not_open_on_a_day_of_a_blackout(
    blackouts: tuple[Blackout, ...], opens: str
) -> None:
    found = next_opening(window(), blackouts, at("2026-11-30T12:00"))
    assert found is not None
    assert found.opens == at(opens)


def test_a_window_closes_where_a_day_of_a_blackout_begins() -> None:
    given = window(at=time(23), seconds=4 * HOUR)
    blackouts = (Blackout(date(2026, 12, 2), date(2026, 12, 2)),)
    found = next_opening(given, blackouts, at("2026-12-01T12:00"))
    assert found == Opening("night", at("2026-12-01T22:00"), at("2026-12-01T23:00"))


def test_a_window_over_the_end_of_a_year_closes_where_the_new_year_is_a_blackout() -> None:
    blackouts = (Blackout(date(2027, 1, 1), date(2027, 1, 3)),)
    given = window(at=time(23), seconds=4 * HOUR)
    found = next_opening(given, blackouts, at("2026-12-31T12:00"))
    assert found == Opening("night", at("2026-12-31T22:00"), at("2026-12-31T23:00"))
    found = next_opening(given, blackouts, at("2026-12-31T23:00"))
    assert found is not None
    assert found.opens == at("2027-01-04T22:00")


def test_a_freeze_without_an_end_leaves_no_opening() -> None:
    assert (
        next_opening(window(), (Blackout(date(2026, 1, 1), None),), at("2026-12-01T00:00")) is None
    )


def test_single_dates_open_once() -> None:
    given = window(weekdays=(), dates=(date(2026, 12, 1),))
    found = next_opening(given, (), at("2026-11-01T00:00"))
    assert found is not None
    assert next_opening(given, (), found.opens) is None


def test_a_machine_begins_at_the_same_part_of_every_opening() -> None:
    given = window(jitter=HOUR)
    openings = [Opening("night", day * 86_400.0, day * 86_400.0 + 3 * HOUR) for day in range(3)]
    delays = {start_of(each, given, "ops1") - each.opens for each in openings}
    assert len(delays) == 1
    spread = [start_of(openings[0], given, f"ops{number}") for number in range(200)]
    assert min(spread) < 0.1 * HOUR < 0.9 * HOUR < max(spread) < HOUR
    assert start_of(openings[1], window(), "ops1") == openings[1].opens


def test_a_machine_begins_within_the_first_half_of_an_opening_that_a_blackout_cuts() -> None:
    given = window(at=time(23), seconds=4 * HOUR, jitter=2 * HOUR)
    blackouts = (Blackout(date(2026, 12, 2), date(2026, 12, 2)),)
    found = next_opening(given, blackouts, at("2026-12-01T12:00"))
    assert found is not None
    spread = [start_of(found, given, f"ops{number}") - found.opens for number in range(200)]
    assert 0.4 * HOUR < max(spread) < 0.5 * HOUR


def test_openings_without_a_run_are_missed_once_and_only_those_of_windows_with_work() -> None:
    given = schedule(window())
    since, now = at("2026-12-01T12:00"), at("2026-12-04T12:00")
    first, second, third = (at(f"2026-12-0{day}T01:00") for day in (2, 3, 4))
    assert [each.opens for each in missed(given, since, now, [])] == [first, second, third]
    assert [each.opens for each in missed(given, since, now, [("night", second)])] == [first, third]
    # One that is still open is not missed yet.
    assert [each.opens for each in missed(given, since, third + 60, [])] == [first, second]
    idle = Schedule(given.windows, {"tiny": Rule("tiny")})
    assert missed(idle, since, now, []) == ()


def test_a_moment_is_told_in_the_zone_of_its_window() -> None:
    assert wall_text(at("2026-12-01T01:00"), BERLIN) == "Tue 2026-12-01 02:00 CET"
