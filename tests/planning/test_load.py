"""Rates from two samples of a host: tables of counters and the exact load."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit.domain.hosts.load import Histogram, HostSample, ReplicaCount, TargetCount
from toolkit.planning.upkeep.load import NO_LOAD, Load, loads, merged, quantile, together

SPREAD = Histogram(((0.1, 2.0), (0.5, 4.0)), 1.0, 5.0)
REPLICA = ReplicaCount("tiny", "blue", "b 1 9", True, 2.0, 1.0, 100.0, 50.0, 0.25, SPREAD, SPREAD)
TARGET = TargetCount(7, "tiny", "blue", answered=100, failed=4, refused=1, open=3)
BEFORE = HostSample(1000.0, 10.0, "boot", True, (TARGET,), (REPLICA,))
SLOT = ("tiny", "blue")


def after(seconds: float, replica: ReplicaCount = REPLICA, *targets: TargetCount) -> HostSample:
    return HostSample(
        1000.0 + seconds, 10.0 + seconds, "boot", True, targets or (TARGET,), (replica,)
    )


def test_rates_are_differences_by_the_time_between_two_samples() -> None:
    later = Histogram(((0.1, 3.0), (0.5, 8.0)), 3.5, 10.0)
    replica = replace(REPLICA, prompt=300.0, generated=150.0, cache_use=0.5, first=later)
    target = replace(TARGET, answered=120, failed=5, open=1)
    assert loads(BEFORE, after(2.0, replica, target)) == {
        SLOT: Load(
            requests=10.0,
            failed=0.5,
            open=1,
            running=2.0,
            waiting=1.0,
            prompt=100.0,
            generated=50.0,
            cache_use=0.5,
            first=Histogram(((0.1, 1.0), (0.5, 4.0)), 2.5, 5.0),
            between=Histogram(((0.1, 0.0), (0.5, 0.0)), 0.0, 0.0),
        )
    }


def test_a_model_without_traffic_has_rates_of_zero_and_no_times() -> None:
    load = loads(BEFORE, after(2.0))[SLOT]
    assert (load.requests, load.failed, load.prompt, load.generated) == (0.0, 0.0, 0.0, 0.0)
    assert quantile(load.first, 0.5) is None


@pytest.mark.parametrize(
    "before",
    [
        None,
        replace(BEFORE, boot="another"),
        replace(BEFORE, clock=12.0),
        replace(BEFORE, clock=99.0),
    ],
    ids=["no sample", "another boot", "no time between", "time goes back"],
)
def test_without_a_comparable_sample_there_are_gauges_alone(before: HostSample | None) -> None:
    load = loads(before, after(2.0))[SLOT]
    assert load == Load(open=3, running=2.0, waiting=1.0, cache_use=0.25)


def test_a_clock_on_the_wall_that_jumps_changes_no_rate() -> None:
    now = replace(after(2.0, replace(REPLICA, prompt=300.0)), at=5.0)
    assert loads(BEFORE, now)[SLOT].prompt == 100.0


def test_a_replica_that_started_again_counts_from_nothing() -> None:
    fresh = Histogram(((0.1, 9.0), (0.5, 9.0)), 0.9, 9.0)
    # Its counters are already beyond the former ones: only the process tells.
    replica = replace(REPLICA, process="b 2 99", prompt=500.0, generated=8.0, first=fresh)
    load = loads(BEFORE, after(2.0, replica))[SLOT]
    assert (load.prompt, load.generated, load.first) == (250.0, 4.0, fresh)


@pytest.mark.parametrize(
    ("prompt", "rate"), [(40.0, 20.0), (0.0, 0.0), (100.0, 0.0)], ids=["reset", "zero", "same"]
)
def test_a_counter_that_was_reset_gives_no_negative_rate(prompt: float, rate: float) -> None:
    fewer = Histogram(((0.1, 1.0), (0.5, 1.0)), 0.05, 1.0)
    load = loads(BEFORE, after(2.0, replace(REPLICA, prompt=prompt, first=fewer)))[SLOT]
    assert (load.prompt, load.first) == (rate, fewer)


def test_an_engine_that_does_not_answer_leaves_a_gap_and_no_leap() -> None:
    silent = ReplicaCount("tiny", "blue", "b 1 9", False)
    gap = loads(BEFORE, after(2.0, silent))[SLOT]
    assert (gap.prompt, gap.running, gap.cache_use, gap.first) == (None, None, None, None)
    assert gap.requests == 0.0
    again = loads(after(2.0, silent), after(4.0, replace(REPLICA, prompt=9e6)))[SLOT]
    assert (again.prompt, again.first, again.running) == (None, None, 2.0)


@pytest.mark.parametrize(
    ("targets", "rates"),
    [
        # A reload: the former worker ends its streams, a new one counts from nothing.
        ((replace(TARGET, answered=104), replace(TARGET, worker=8, answered=6, failed=2)), (5, 1)),
        # The former worker has ended.
        ((replace(TARGET, worker=8, answered=6, failed=2),), (3, 1)),
        # Its number was given to a new one.
        ((replace(TARGET, answered=10, failed=0),), (5, 0)),
        # Answers are counted in two steps, so failures alone may seem to fall.
        ((replace(TARGET, answered=110, failed=3),), (5, 0)),
    ],
    ids=["reload", "ended", "same number", "fewer failures"],
)
def test_workers_come_and_go(targets: tuple[TargetCount, ...], rates: tuple[float, float]) -> None:
    load = loads(BEFORE, after(2.0, REPLICA, *targets))[SLOT]
    assert (load.requests, load.failed) == rates


def test_a_router_that_was_down_before_gives_no_rate() -> None:
    down = replace(BEFORE, router=False, targets=())
    load = loads(down, after(2.0))[SLOT]
    assert (load.requests, load.open, load.prompt) == (None, 3, 0.0)


def test_a_slot_that_appears_is_shown_with_what_is_known() -> None:
    green = replace(REPLICA, slot="green")
    now = replace(after(2.0), replicas=(REPLICA, green), targets=(TARGET,))
    found = loads(BEFORE, now)
    assert found["tiny", "green"] == Load(running=2.0, waiting=1.0, cache_use=0.25)
    assert loads(BEFORE, HostSample(1002.0, 12.0, "boot", True)) == {}


def test_several_replicas_are_summed_and_the_fullest_cache_counts() -> None:
    one = Load(1.0, 0.5, 2, 1.0, 0.0, 10.0, 5.0, 0.25, SPREAD, None)
    two = Load(2.0, None, 3, None, 4.0, 20.0, None, 0.75, SPREAD, SPREAD)
    twice = Histogram(((0.1, 4.0), (0.5, 8.0)), 2.0, 10.0)
    assert together([one, two]) == Load(3.0, 0.5, 5, 1.0, 4.0, 30.0, 5.0, 0.75, twice, SPREAD)
    assert together([]) == NO_LOAD
    assert together([NO_LOAD]) == NO_LOAD


@pytest.mark.parametrize(
    ("histogram", "part", "seconds"),
    [
        (None, 0.5, None),
        (Histogram((), 0.0, 0.0), 0.5, None),
        (Histogram((), 3.0, 2.0), 0.5, 1.5),
        (Histogram(((1.0, 4.0),), 2.0, 4.0), 0.5, 0.5),
        (Histogram(((1.0, 0.0), (2.0, 4.0)), 6.0, 4.0), 0.5, 1.5),
        (Histogram(((1.0, 2.0), (2.0, 2.0), (4.0, 4.0)), 6.0, 4.0), 0.75, 3.0),
        # Beyond the last bound nobody knows how long it took.
        (Histogram(((1.0, 1.0), (2.0, 2.0)), 99.0, 10.0), 0.95, 2.0),
    ],
)
def test_a_quantile_is_linear_within_its_bucket(
    histogram: Histogram | None, part: float, seconds: float | None
) -> None:
    assert quantile(histogram, part) == seconds


def test_histograms_of_different_engines_share_the_bounds_that_both_have() -> None:
    other = Histogram(((0.1, 1.0), (0.3, 2.0), (0.5, 3.0)), 2.0, 4.0)
    assert merged([SPREAD, other]) == Histogram(((0.1, 3.0), (0.5, 7.0)), 3.0, 9.0)
    assert merged([]) is None
