"""Since when, and with which gaps, hosts have counted."""

from __future__ import annotations

from toolkit.domain.clients.tally import WatchedHour
from toolkit.planning.objectives.coverage import Coverage, coverage

HOUR = 498_611
AT = HOUR * 3600


def test_a_host_counts_since_its_first_moment() -> None:
    hours = [WatchedHour(HOUR - 2, "gpu1", 600), WatchedHour(HOUR - 1, "gpu1", 3600)]
    now = [WatchedHour(HOUR, "gpu1", 300)]
    assert coverage([*hours, *now], AT + 310) == (Coverage("gpu1", AT - 4200, 0.0),)
    assert coverage(now, AT + 310) == (Coverage("gpu1", AT + 10, 0.0),)
    assert coverage([], AT) == ()


def test_hours_that_nobody_counted_are_missing_on_their_host_alone() -> None:
    found = coverage(
        [
            WatchedHour(HOUR - 5, "gpu1", 3600),
            WatchedHour(HOUR - 1, "gpu1", 3600),
            WatchedHour(HOUR - 5, "gpu2", 3600),
            *(WatchedHour(hour, "gpu2", 3600) for hour in range(HOUR - 4, HOUR)),
        ],
        AT,
    )
    assert found == (Coverage("gpu1", AT - 18_000, 3 * 3600.0), Coverage("gpu2", AT - 18_000, 0.0))


def test_an_hour_counted_twice_by_a_clock_that_was_put_back_hides_no_gap() -> None:
    twice = [WatchedHour(HOUR - 3, "gpu1", 3600), WatchedHour(HOUR - 3, "gpu1", 3600)]
    assert coverage(twice, AT) == (Coverage("gpu1", AT - 10_800, 2 * 3600.0),)


def test_a_host_that_left_the_fleet_lacks_nothing_after_its_last_hour() -> None:
    counted = [WatchedHour(hour, "gone", 3600) for hour in (HOUR - 300, HOUR - 299, HOUR - 297)]
    counted.append(WatchedHour(HOUR - 296, "gone", 600))
    since, until = AT - 300 * 3600, AT - 296 * 3600 + 600
    # It did not count for an hour while it was there.
    assert coverage(counted, AT, {"gpu1"}) == (Coverage("gone", since, 3600.0, until),)
    # In the fleet, all hours since then are missing.
    (lacking,) = coverage(counted, AT, {"gone"})
    assert lacking == Coverage("gone", since, 300 * 3600 - 3 * 3600 - 600)
    assert coverage(counted, AT) == (lacking,)
    # A host of another fleet with the same history counts still.
    other = [WatchedHour(hour, "other", 3600) for hour in range(HOUR - 5, HOUR)]
    assert coverage(other, AT, {"gpu1"}) == (Coverage("other", AT - 18_000, 0.0),)
