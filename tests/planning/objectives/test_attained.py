"""What counts as good, and what is left of a budget: worked out by hand."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import pytest

from toolkit.domain.clients.tally import Tally
from toolkit.domain.registry.objective import Objective, Promise
from toolkit.planning.objectives.attained import Lived, Spent, attained
from toolkit.planning.objectives.counting import SortedRequests, counted

UP = Objective(Promise.AVAILABILITY, 0.99)
SOON = Objective(Promise.FIRST, 0.95, 2.0)
FAST = Objective(Promise.BETWEEN, 0.9, 0.05)
HOUR = 498_611


def tally(hour: int = HOUR, release: int = 3, **counts: int) -> Tally:
    return Tally(hour, "gpu1", "tiny", f"1.{release - 3}" if release else "", release, counts)


@pytest.mark.parametrize(
    ("objective", "counts", "expected"),
    [
        (UP, {"200": 5, "204": 1, "304": 1}, SortedRequests(7)),
        (UP, {"503:model_asleep": 4, "503:not_awake_in_time": 1},
         SortedRequests(0, {"not_awake_in_time": 1}, {"asleep": 4})),
        (UP, {"500": 2, "503:no_replica": 3}, SortedRequests(0, {"500": 2, "no_replica": 3})),
        # The answer had begun with 200 when its replica broke off.
        (UP, {"200:replica_broke_off": 2}, SortedRequests(0, {"replica_broke_off": 2})),
        (UP, {"499:client_left": 4, "499:client_left_answer": 1}, SortedRequests(0, {}, {"client left": 5})),
        (UP, {"400": 1, "401:invalid_api_key": 1, "404:model_not_found": 1, "413:body_too_large": 1}, SortedRequests(0, {}, {"refused": 4})),
        (UP, {"429:quota_exceeded": 1, "429:rate_limit_exceeded": 1}, SortedRequests(0, {}, {"refused": 2})),
        # Others have used up what the fleet can do: that is no client's own doing.
        (UP, {"429:too_many_waiting": 1, "429": 1}, SortedRequests(0, {"too_many_waiting": 1, "429": 1})),
        (UP, {"first<=0.5": 9, "gone<=2": 1, "gap<=0.01": 9, "odd": 1, "": 1}, SortedRequests()),
        (SOON, {"first<=0.5": 8, "first<=2": 1, "first<=2.5": 2, "first<=inf": 1, "200": 12}, SortedRequests(9, {"late": 3})),
        # A client that left before the limit tells nothing; one that waited for longer was let down.
        (SOON, {"gone<=1": 4, "gone<=2": 1, "gone<=2.5": 2, "gone<=inf": 1}, SortedRequests(0, {"late": 3}, {"client left": 5})),
        (FAST, {"gap<=0.05": 4, "gap<=0.06": 1, "gap<=inf": 1, "first<=0.05": 7}, SortedRequests(4, {"late": 2})),
    ],
)  # fmt: skip
def test_what_counts_as_good_as_bad_and_what_is_left_out(
    objective: Objective, counts: dict[str, int], expected: SortedRequests
) -> None:
    assert counted(counts, objective) == expected


def test_the_budget_is_the_part_of_the_requests_that_may_be_bad() -> None:
    found = attained(UP, [tally(**{"200": 970, "500": 4, "499": 26})], HOUR)
    # 974 count; 1 % of them may be bad, and 4 were.
    assert (found.good, found.bad, found.left_out) == (970, 4, (("client left", 26),))
    assert found.allowed == pytest.approx(9.74)
    assert found.attained == pytest.approx(970 / 974)
    assert found.left == pytest.approx(1 - 4 / 9.74)


def test_a_budget_can_be_overspent() -> None:
    found = attained(UP, [tally(**{"200": 95, "500": 5})], HOUR)
    assert found.left == pytest.approx(-4.0)


def test_without_requests_nothing_is_attained_and_nothing_missed() -> None:
    for counts in ({}, {"499": 3}):
        found = attained(UP, [tally(**counts)], HOUR)
        assert (found.attained, found.left, found.spent, found.paces) == (
            None,
            None,
            (),
            (None,) * 4,
        )


def test_each_release_has_spent_its_part_and_requests_without_a_replica_count_for_the_one_that_was_live() -> (
    None
):
    lived = (Lived(3, "1.0", (HOUR - 9) * 3600), Lived(4, "1.1", HOUR * 3600 + 1800))
    found = attained(
        UP,
        [
            tally(HOUR - 10, 0, **{"503:no_replica": 1}),
            tally(HOUR - 1, 0, **{"503:no_replica": 2}),
            tally(HOUR - 1, 3, **{"200": 890, "500": 1}),
            # In the hour of an upgrade it is the new release's.
            tally(HOUR, 0, **{"503:no_replica": 4}),
            tally(HOUR, 4, **{"200": 97, "500": 2, "502:replica_failed": 3}),
        ],
        HOUR,
        lived,
    )
    assert found.allowed == pytest.approx(10.0)
    assert found.spent == (
        Spent(4, "1.1", False, 5, pytest.approx(0.5), (("replica_failed", 3), ("500", 2))),
        Spent(4, "1.1", True, 4, pytest.approx(0.4), (("no_replica", 4),)),
        Spent(3, "1.0", True, 2, pytest.approx(0.2), (("no_replica", 2),)),
        Spent(3, "1.0", False, 1, pytest.approx(0.1), (("500", 1),)),
        Spent(0, "", True, 1, pytest.approx(0.1), (("no_replica", 1),)),
    )


def test_the_pace_says_how_many_times_too_fast_the_budget_is_spent() -> None:
    found = attained(
        UP,
        [
            tally(HOUR - 100, **{"200": 1000}),
            tally(HOUR - 23, **{"200": 900, "500": 4}),
            tally(HOUR - 3, **{"200": 90, "500": 4}),
            tally(HOUR, **{"200": 1, "500": 1}),
        ],
        HOUR,
    )
    # 1 of 2, 5 of 96, 9 of 1000 and 9 of 1000, each over the 1 % that may be bad.
    assert found.paces == (
        pytest.approx(50), pytest.approx(5 / 0.96), pytest.approx(0.9), pytest.approx(0.9)
    )  # fmt: skip
