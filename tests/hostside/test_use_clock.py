"""A clock that was wrong for a while takes nothing from what keys have used: neither here nor on other hosts."""

from __future__ import annotations

import json
import sys
from calendar import timegm
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import Replica

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry
import use_periods
import use_quotas
import use_sums

HOUR, DAY = 3600, 86_400
NOON = timegm((2026, 11, 30, 12, 0, 0))
OWN, OTHER = "a" * 16, "b" * 16
KEYS = [{"name": "ann", "tokens_per_day": 100, "tokens_per_month": 500}]


class Clock:
    """The clock of a host, and a replica there whose records have the time of it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = float(NOON)
        monkeypatch.setattr(use_carry.time, "time", lambda: self.now)
        self.root, self.replica = root, Replica(root)
        self.restart()

    def restart(self) -> None:
        self.carrier = use_carry.Carrier(str(self.root))
        self.carrier.ledger.learn()

    def used(self, tokens: int) -> None:
        self.replica.record(at=self.now, out=tokens, **{"in": 0})
        self.carrier.all("tiny-blue")

    def counted(self) -> list[int]:
        """Return requests and tokens of this day and month, and the cost."""
        sums = use_sums.own_sums(OWN, self.carrier.ledger.spent, ["ann"], self.now)
        used: list[int] = sums["keys"].get("ann", [0] * 5)
        return used

    def over(self) -> bool:
        return bool(use_quotas.exceeded(KEYS, self.carrier.ledger.spent, {}, self.now))


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(tmp_path, monkeypatch)


@pytest.mark.parametrize("again", [False, True], ids=["", "the watch starts anew each time"])
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([DAY], id="tomorrow, in the next month"),
        pytest.param([13 * HOUR], id="just after midnight"),
        pytest.param([400 * DAY], id="a year ahead"),
        pytest.param([-40 * DAY], id="behind"),
        pytest.param([2 * DAY, 400 * DAY], id="twice ahead, farther each time"),
        pytest.param([400 * DAY, 2 * DAY], id="twice ahead, nearer the second time"),
        pytest.param([-400 * DAY, 60 * DAY], id="behind and ahead"),
    ],
)
def test_a_clock_that_was_wrong_leaves_the_sums_of_the_present_day_and_month(
    clock: Clock, wrong: list[int], again: bool
) -> None:
    clock.used(90)
    clock.now -= 5 * DAY
    clock.used(400)
    clock.now = NOON
    for off in wrong:
        clock.now = NOON + off
        if again:
            clock.restart()
        clock.used(1)
        clock.now = NOON
        if again:
            clock.restart()
        assert clock.counted() == [1, 90, 2, 490, 0]
    assert not clock.over()
    clock.used(10)
    assert clock.counted() == [2, 100, 3, 500, 0]
    assert clock.over()


def test_sums_of_a_clock_that_was_ahead_count_once_that_month_has_come(clock: Clock) -> None:
    clock.used(90)
    clock.now += DAY
    clock.used(7)
    assert clock.counted() == [1, 7, 1, 7, 0]
    clock.now = NOON
    clock.used(1)
    clock.now = NOON + 2 * DAY
    assert clock.counted() == [0, 0, 1, 7, 0]


def test_a_key_keeps_few_periods_and_those_nearest_to_the_clock(clock: Clock) -> None:
    for year, month in (
        (2026, 12), (2027, 1), (2027, 2), (2026, 7), (2026, 8), (2026, 9), (2026, 10), (2026, 11),
    ):  # fmt: skip
        clock.now = timegm((year, month, 15, 0, 0, 0))
        clock.used(1)
    kept = clock.carrier.ledger.spent["ann"]
    months = ["2026-09", "2026-10", "2026-11", "2026-12", "2027-01"]
    assert sorted(kept) == sorted([*months, *(f"{month}-15" for month in months)])


def test_a_replica_that_writes_old_times_drops_nothing_of_this_month(clock: Clock) -> None:
    clock.used(90)
    for back in range(1, 20):
        clock.replica.record(at=NOON - back * 31 * DAY, out=1, **{"in": 0})
    clock.carrier.all("tiny-blue")
    clock.now += DAY
    clock.used(1)
    clock.now = NOON
    assert clock.counted()[1] == 90


def stated(day: str, *sums: int, name: str = "ann") -> dict[str, Any]:
    """The document of a host at `day`."""
    return {"day": day, "month": day[:7], "keys": {name: [*sums, 0]}}


def known(root: Path, now: float) -> list[int]:
    """Return what counts of other hosts."""
    none = [0] * 5
    return use_sums.total(use_sums.elsewhere(str(root)), OWN, now).get("ann", none)


def heard(root: Path, *documents: dict[str, Any]) -> None:
    for each in documents:
        use_sums.take(str(root), {"ledgers": {OTHER: each}})


def test_a_host_whose_clock_was_ahead_is_counted_on_others_as_before(
    tmp_path: Path, clock: Clock
) -> None:
    heard(tmp_path, stated("2026-11-30", 2, 90, 9, 900), stated("2026-12-01", 1, 5, 1, 5))
    assert known(tmp_path, NOON) == [2, 90, 9, 900, 0]
    heard(tmp_path, stated("2026-11-30", 3, 95, 10, 905))
    assert known(tmp_path, NOON) == [3, 95, 10, 905, 0]
    clock.now += DAY
    assert known(tmp_path, clock.now) == [1, 5, 1, 5, 0]
    heard(tmp_path, stated("2026-12-01", 2, 6, 2, 6))
    assert known(tmp_path, clock.now) == [2, 6, 2, 6, 0]


@pytest.mark.parametrize("off", [DAY, 400 * DAY, -40 * DAY])
def test_a_host_whose_own_clock_was_wrong_forgets_no_other_host(
    tmp_path: Path, clock: Clock, off: int
) -> None:
    heard(tmp_path, stated("2026-11-30", 2, 90, 9, 900))
    clock.now += off
    # Another one, which goes by the same wrong clock; the first is gone by now.
    day = use_periods.of_day(clock.now)
    use_sums.take(str(tmp_path), {"ledgers": {"c" * 16: stated(day, 1, 1, 1, 1)}})
    assert known(tmp_path, clock.now) == [1, 1, 1, 1, 0]
    clock.now = NOON
    assert known(tmp_path, NOON) == [2, 90, 9, 900, 0]


def test_an_ops_machine_is_told_the_present_day_and_month(tmp_path: Path, clock: Clock) -> None:
    heard(tmp_path, stated("2026-11-30", 2, 90, 9, 900), stated("2026-12-01", 1, 5, 1, 5))
    told = use_sums.read(str(tmp_path))["elsewhere"]
    assert told == {"ledgers": {OTHER: stated("2026-11-30", 2, 90, 9, 900)}}
    clock.now += 5 * DAY
    told = use_sums.read(str(tmp_path))["elsewhere"]
    assert told == {"ledgers": {OTHER: stated("2026-12-01", 1, 5, 1, 5)}}


def test_ledgers_have_a_bound_and_those_without_use_in_this_month_go_first(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_sums, "MOST_LEDGERS", 3)
    heard(tmp_path, stated("2026-11-30", 2, 90, 9, 900))
    for number, day in enumerate(("2026-10-30", "2026-11-29", "2026-11-28")):
        use_sums.take(str(tmp_path), {"ledgers": {f"{number:016x}": stated(day, 1, 1, 1, 1)}})
    assert known(tmp_path, NOON) == [2, 90, 11, 902, 0]
    # One that was taken over invents hosts: what others know stays.
    lies = {f"f{number:015x}": stated("2026-11-30", 9, 9, 9, 9, name="x") for number in range(3)}
    assert use_sums.take(str(tmp_path), {"ledgers": lies}) == {"taken": False}
    assert known(tmp_path, NOON) == [2, 90, 11, 902, 0]


def as_before(spent: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return what a watch of an older toolkit keeps of its state."""
    return {name: [*each, 0, 0][:8] for name, each in spent.items()}


@pytest.mark.parametrize("length", [6, 8], ids=["without costs", "with costs"])
def test_the_state_of_an_older_toolkit_is_understood(
    tmp_path: Path, clock: Clock, length: int
) -> None:
    clock.used(90)
    path = tmp_path / "use/carried.json"
    state = json.loads(path.read_text())
    state["spent"] = {"ann": ["2026-11-30", "2026-11", 2, 90, 9, 900, 7, 8][:length]}
    path.write_text(json.dumps(state))
    clock.restart()
    assert clock.counted() == [2, 90, 9, 900, 7 if length == 8 else 0]
    clock.now += DAY
    clock.used(1)
    clock.now = NOON
    assert clock.counted()[:4] == [2, 90, 9, 900]


def test_a_watch_of_an_older_toolkit_understands_the_state(tmp_path: Path, clock: Clock) -> None:
    clock.used(90)
    clock.now += DAY
    clock.used(5)
    path = tmp_path / "use/carried.json"
    state = json.loads(path.read_text())
    state["spent"] = as_before(state["spent"])
    assert state["spent"] == {"ann": ["2026-12-01", "2026-12", 1, 5, 1, 5, 0, 0]}
    path.write_text(json.dumps(state))
    clock.restart()
    assert clock.counted() == [1, 5, 1, 5, 0]


def test_a_watch_of_an_older_toolkit_understands_what_others_used(
    tmp_path: Path, clock: Clock
) -> None:
    heard(tmp_path, stated("2026-11-30", 2, 90, 9, 900), stated("2026-12-01", 1, 5, 1, 5))
    path = tmp_path / "use/elsewhere.json"
    (sums,) = json.loads(path.read_text())["ledgers"].values()
    beside = sums.pop("beside")
    assert sums == stated("2026-11-30", 2, 90, 9, 900)
    assert beside == {"2026-12-01": {"ann": [1, 5]}, "2026-12": {"ann": [1, 5, 0]}}
    path.write_text(json.dumps({"ledgers": {OTHER: sums}}))
    assert known(tmp_path, NOON) == [2, 90, 9, 900, 0]


@pytest.mark.parametrize(
    "beside",
    [
        [],
        {"2026": {}},
        {"2026-11-30": {"ann": [1, 2, 3]}},
        {"2026-11": {"ann": [1, 2]}},
        {"2026-11": []},
        {f"{year}-11": {} for year in range(2000, 2017)},
    ],
)
def test_what_is_no_sum_of_another_period_is_not_taken_in(tmp_path: Path, beside: Any) -> None:
    with pytest.raises(ValueError, match="not the use of keys"):
        heard(tmp_path, {**stated("2026-11-30", 1, 1, 1, 1), "beside": beside})
