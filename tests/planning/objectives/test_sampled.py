"""What Prometheus read of hosts' counters, as counts by the hour."""

from __future__ import annotations

import pytest

from toolkit.domain.clients.tally import Tally, WatchedHour
from toolkit.domain.hosts.metrics import HOST_JOB, Series
from toolkit.domain.registry.objective import Objective, Promise
from toolkit.planning.objectives.sampled import READ, sampled, selections, watched

AVAILABLE = Objective(Promise.AVAILABILITY, 0.99)
FIRST = Objective(Promise.FIRST, 0.95, 2.0)
BETWEEN = Objective(Promise.BETWEEN, 0.99, 0.05)
Values = tuple[float | None, ...]
# An hour before the window, and four hours of it, from hour 100 on; the host has counted for long.
LONG: Values = (90_000.0, 93_600.0, 97_200.0, 100_800.0, 104_400.0)


def read(values: Values, host: str = "gpu1") -> Series:
    return Series({"host": host, "job": HOST_JOB}, values)


def series(values: Values, **labels: str) -> Series:
    own = {"host": "gpu1", "model": "tiny", "version": "v3", "release": "3"}
    return Series({**own, **labels}, values)


@pytest.mark.parametrize(
    ("host", "values", "by_hour"),
    [
        # The host's own seconds, the counter's values, {hour: requests}
        (LONG, (10, 10, 15, 15, 40), {101: 5, 103: 25}),
        (LONG, (None, None, 3, 5, 5), {101: 3, 102: 2}),  # a series appears with its first request
        (LONG, (10, 15, 2, 3, 3), {100: 5, 101: 2, 102: 1}),  # counters began anew
        ((1.0, None, None, 5_000.0, 8_600.0), (10, None, None, 16, 17), {102: 6, 103: 1}),  # a gap
        ((None, None, 9e5, 9e5, 9e5), (None, None, 70, 72, 72), {102: 2}),  # read since hour 101
        ((None, None, 900.0, 4_500.0, 8_100.0), (None, None, 7, 9, 9), {101: 7, 102: 2}),  # set up then
        (LONG, (10, 10, 10, 10, 10), {}),
    ],
)  # fmt: skip
def test_a_counter_grows_by_what_an_hour_had(
    host: Values, values: Values, by_hour: dict[int, int]
) -> None:
    found = sampled(AVAILABLE, [read(host)], [[series(values, status="200", reason="")]], 100)
    assert {each.hour: dict(each.counts) for each in found} == {
        hour: {"200": requests} for hour, requests in by_hour.items()
    }


def test_counts_have_the_names_of_a_ledger() -> None:
    grown: Values = (0, 4, 4, 4, 4)
    found = sampled(
        AVAILABLE,
        [read(LONG)],
        [
            [
                series(grown, status="200", reason=""),
                series(grown, status="503", reason="no_replica", version="", release=""),
                series(grown, status="502", reason="replica_failed"),
            ]
        ],
        100,
    )
    assert found == [
        Tally(100, "gpu1", "tiny", "", 0, {"503:no_replica": 4}),
        Tally(100, "gpu1", "tiny", "v3", 3, {"200": 4, "502:replica_failed": 4}),
    ]


def test_times_are_those_within_the_limit_and_those_beyond() -> None:
    first = [series((0, 9, 9, 9, 9), le="2"), series((0, 12, 12, 12, 12), le="+Inf")]
    # Prometheus 3 writes bounds so.
    gone = [series((0, 1, 1, 1, 1), le="2.0"), series((0, 5, 5, 5, 5), le="+Inf")]
    assert sampled(FIRST, [read(LONG)], [first, gone], 100) == [
        Tally(
            100, "gpu1", "tiny", "v3", 3,
            {"first<=2": 9, "first<=inf": 3, "gone<=2": 1, "gone<=inf": 4},
        )
    ]  # fmt: skip
    gaps = [series((0, 0, 6, 6, 6), le="0.05"), series((0, 0, 6, 8, 8), le="+Inf")]
    assert [dict(each.counts) for each in sampled(BETWEEN, [read(LONG)], [gaps], 100)] == [
        {"gap<=0.05": 6},
        {"gap<=inf": 2},
    ]


def test_what_is_asked_for() -> None:
    assert READ.labels == {"job": ("toolkit-host",)}
    (one,) = selections(["tiny", "lora"], AVAILABLE)
    assert (one.metric, one.labels["model"]) == ("toolkit_requests_total", ("tiny", "lora"))
    assert [(each.metric, each.labels["le"]) for each in selections(["tiny"], FIRST)] == [
        ("toolkit_first_token_seconds_bucket", ("2", "2.0", "+Inf")),
        ("toolkit_left_waiting_seconds_bucket", ("2", "2.0", "+Inf")),
    ]
    assert [(each.metric, each.labels["le"]) for each in selections(["tiny"], BETWEEN)] == [
        ("toolkit_between_tokens_seconds_bucket", ("0.05", "+Inf")),
    ]


def test_hosts_that_were_not_read_for_hours_have_counted_all_the_same() -> None:
    values: Values = (0.0, 3_600.0, None, None, 14_000.0)
    assert watched([read(values)], 100) == [
        WatchedHour(100, "gpu1", 3_600.0),
        WatchedHour(101, "gpu1", 3_200.0),
        WatchedHour(102, "gpu1", 3_600.0),
        WatchedHour(103, "gpu1", 3_600.0),
    ]
    assert watched([read((None, None, 9e5, 9e5 + 3_600, 9e5 + 5_400))], 100) == [
        WatchedHour(102, "gpu1", 3_600.0),
        WatchedHour(103, "gpu1", 1_800.0),
    ]
