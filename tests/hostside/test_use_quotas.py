"""What a key has used of its quota: the sums of all hosts, the times at which they end, and what its tokens cost."""

from __future__ import annotations

import json
import sys
import time
from calendar import timegm
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import Replica

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry
import use_periods
import use_prices
import use_quotas
import use_sums

OWN, OTHER = "a" * 16, "b" * 16
DAY = timegm((2026, 12, 31, 12, 0, 0))
MIDNIGHT = timegm((2027, 1, 1, 0, 0, 0))
KEYS = [
    {"name": "ann", "tokens_per_day": 100, "requests_per_month": 50, "cost_per_month": 6 * 10**6},
    {"name": "bob", "requests_per_day": 3},
    {"name": "free"},
]


def spent(*sums: int, day: str = "2026-12-31", month: str = "2026-12") -> dict[str, Any]:
    """Sums of ann without a cost, but for where the fifth is one."""
    used = [*sums, 0, 0][:6]
    return {
        "ann": {day: used[:2], month: used[2:]},
        "free": {day: [10**9] * 2, month: [10**9] * 4},
    }


def other(*sums: int, day: str = "2026-12-31", month: str = "2026-12") -> dict[str, Any]:
    """The document of another host, see `spent`."""
    used = [*sums, 0][:5]
    return {OTHER: {"day": day, "month": month, "keys": {"ann": used}}}


def told(ledgers: dict[str, Any]) -> Any:
    return use_sums.told({"ledgers": ledgers})


@pytest.mark.parametrize(
    ("own", "others", "over"),
    [
        pytest.param({}, {}, "", id="nothing used"),
        pytest.param(spent(9, 99, 9, 99), {}, "", id="one token left"),
        pytest.param(spent(9, 100, 9, 100), {}, "tokens|day", id="used up"),
        pytest.param(spent(9, 60, 9, 60), other(1, 40, 1, 40), "tokens|day", id="with others"),
        pytest.param(spent(9, 60, 9, 60), other(1, 39, 1, 39), "", id="with others, one left"),
        pytest.param(spent(0, 0, 49, 0), other(0, 0, 1, 0), "requests|month", id="month"),
        pytest.param(spent(50, 500, 50, 500), {}, "tokens|day", id="both end at once"),
        pytest.param(spent(0, 0, 0, 0, 5_999_999), other(0, 0, 0, 0, 1), "budget|month", id="cost"),
        pytest.param(spent(0, 0, 0, 0, 5_999_999), other(0, 0, 0, 0, 0), "", id="cost, one left"),
        pytest.param(spent(9, 500, 9, 500, day="2026-12-30"), {}, "", id="yesterday"),
        pytest.param(spent(99, 500, 99, 500, day="2026-11-30", month="2026-11"), {}, "", id="last month"),
        pytest.param(spent(0, 0, 0, 0), other(9, 999, 9, 999, day="2026-12-30"), "", id="others, yesterday"),
        pytest.param(spent(0, 0, 0, 0), other(99, 0, 99, 0, month="2026-11"), "", id="others, last month"),
    ],
)  # fmt: skip
def test_a_key_is_over_its_quota_by_the_sum_of_all_hosts(
    own: dict[str, Any], others: dict[str, Any], over: str
) -> None:
    # What another host says of this host's own ledger counts no second time.
    known = told({OWN: other(99, 999, 99, 999)[OTHER], **others})
    others = use_sums.total(known, OWN, DAY)
    found = use_quotas.exceeded(KEYS, own, others, DAY)
    end = f"{MIDNIGHT}|{over}|2027-01-01T00:00:00Z"
    assert found == ({"ann": end} if over else {})


def test_a_month_ends_with_its_last_day() -> None:
    now = timegm((2026, 2, 3, 4, 5, 6))
    own = spent(50, 500, 50, 500, day="2026-02-03", month="2026-02")
    end = timegm((2026, 3, 1, 0, 0, 0))
    # Of two quotas the one that ends later.
    assert use_quotas.exceeded(KEYS, own, {}, now) == {
        "ann": f"{end}|requests|month|2026-03-01T00:00:00Z"
    }


def ledgers(root: str) -> Any:
    return use_sums.read(root)["elsewhere"]["ledgers"]


def test_of_two_who_tell_the_larger_sum_stays_and_a_new_day_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_sums.time, "time", lambda: DAY)
    root = str(tmp_path)
    assert ledgers(root) == {}
    assert use_sums.take(root, {"ledgers": other(5, 50, 50, 500)}) == {"taken": True}
    both = other(4, 60, 40, 600)
    both[OTHER]["keys"]["bob"] = [1, 1, 1, 1, 1]
    use_sums.take(root, {"ledgers": both})
    assert ledgers(root)[OTHER]["keys"] == {"ann": [5, 60, 50, 600, 0], "bob": [1, 1, 1, 1, 1]}
    assert use_sums.take(root, {"ledgers": both}) == {"taken": False}
    # Another ledger is another host.
    use_sums.take(root, {"ledgers": {"c" * 16: both[OTHER]}})
    assert use_sums.total(use_sums.elsewhere(root), OWN, DAY)["ann"] == [9, 120, 90, 1200, 0]
    use_sums.take(root, {"ledgers": other(1, 1, 51, 601, day="2027-01-01")})
    assert (tmp_path / "use/elsewhere.json").stat().st_mode & 0o777 == 0o600
    assert ledgers(root)[OTHER]["day"] == "2026-12-31"
    monkeypatch.setattr(use_sums.time, "time", lambda: MIDNIGHT)
    assert ledgers(root)[OTHER]["keys"]["ann"] == [1, 1, 51, 601, 0]
    # A former month does not count; a day that has not come is not believed.
    monkeypatch.setattr(use_sums.time, "time", lambda: MIDNIGHT + 86_400)
    far = other(1, 1, 1, 1, day="9999-01-01", month="9999-01")
    assert use_sums.take(root, {"ledgers": far}) == {"taken": False}
    use_sums.take(
        root, {"ledgers": {"d" * 16: other(0, 0, 2, 3, day="2027-01-02", month="2027-01")[OTHER]}}
    )
    assert use_sums.total(use_sums.elsewhere(root), OWN, MIDNIGHT + 86_400) == {
        "ann": [0, 0, 2, 3, 0]
    }


SUMS = {"day": "2026-12-31", "month": "2026-12"}


@pytest.mark.parametrize(
    "lie",
    [
        [],
        {},
        {"ledgers": []},
        {"ledgers": {"../../etc": {**SUMS, "keys": {}}}},
        {"ledgers": {f"{number:016x}": {**SUMS, "keys": {}} for number in range(257)}},
        {"ledgers": {OTHER: {**SUMS, "day": 1, "keys": {}}}},
        {"ledgers": {OTHER: {**SUMS, "month": "2026-12-31", "keys": {}}}},
        {"ledgers": {OTHER: {**SUMS, "keys": {"ann": [1, 2, 3, 4]}}}},
        {"ledgers": {OTHER: {**SUMS, "keys": {"ann": [1, 2, 3, 4, -5]}}}},
        {"ledgers": {OTHER: {**SUMS, "keys": {"ann": [1, 2, 3, 4, "5"]}}}},
        {"ledgers": {OTHER: {**SUMS, "keys": {"no name": [1, 2, 3, 4, 5]}}}},
    ],
)
def test_what_is_no_use_is_not_taken_in(tmp_path: Path, lie: Any) -> None:
    with pytest.raises(ValueError, match="not the use of keys"):
        use_sums.take(str(tmp_path), lie)


def test_what_keys_used_survives_the_watch(tmp_path: Path) -> None:
    now = time.time()
    replica = Replica(tmp_path)
    for key in ("ann", "ann", "bob"):
        replica.record(at=now, key=key)
    replica.record(at=now, **{"in": None, "out": None})
    replica.record(at=now - 40 * 86_400)
    carrier = use_carry.Carrier(str(tmp_path))
    carrier.look()
    day, before = use_periods.of_day(now), use_periods.of_day(now - 40 * 86_400)
    wanted = {
        "ann": {day: [3, 26], day[:7]: [3, 26, 0, 0], before: [1, 13], before[:7]: [1, 13, 0, 0]},
        "bob": {day: [1, 13], day[:7]: [1, 13, 0, 0]},
    }
    assert carrier.ledger.spent == wanted
    # Killed before it wrote anything down, and after.
    for _ in range(2):
        again = use_carry.Carrier(str(tmp_path))
        again.ledger.learn()
        assert again.ledger.spent == wanted
        again.all("tiny-blue")


def a_price(begins: str, *amounts: int) -> dict[str, Any]:
    return {"begins": begins, **dict(zip(("input", "cached", "output"), amounts, strict=True))}


CHARGE = {
    "told": 1.0,
    "currency": "EUR",
    "models": {
        # A million tokens cost 1, 0.1 and 8; from December on 2, 0.2 and 16. The other model is dearer in its input.
        "tiny": [
            a_price("2026-11-01", 1_000_000, 100_000, 8_000_000),
            a_price("2026-12-01", 2_000_000, 200_000, 16_000_000),
        ],
        "large": [a_price("2026-12-05", 3_000_000, 0, 4_000_000)],
    },
}


@pytest.mark.parametrize(
    ("model", "day", "cost"),
    [
        # 600,000 fresh input tokens, 400,000 cached ones, 100,000 output tokens
        pytest.param("tiny", "2026-11-30", 600_000 + 40_000 + 800_000, id="the older price"),
        pytest.param("tiny", "2026-12-01", 1_200_000 + 80_000 + 1_600_000, id="the newer price"),
        pytest.param("tiny", "2026-10-01", 600_000 + 40_000 + 800_000, id="before the first price"),
        pytest.param("poet", "2026-12-01", 1_200_000 + 80_000 + 1_600_000, id="an adapter of tiny"),
        pytest.param("new", "2026-12-01", 1_800_000 + 80_000 + 1_600_000, id="as the dearest"),
    ],
)
def test_a_request_costs_by_the_price_of_its_day(
    tmp_path: Path, model: str, day: str, cost: int
) -> None:
    (tmp_path / "router").mkdir()
    (tmp_path / "router" / "keys.json").write_text(json.dumps({"keys": [], "charge": CHARGE}))
    prices = use_prices.Prices(str(tmp_path))
    prices.refresh()
    program = "tiny-blue" if model == "poet" else f"{model}-blue"
    line = {"model": model, "program": program, "in": 10**6, "cached": 400_000, "out": 100_000}
    assert prices.cost(line, day) == cost * 10**6
    unknown = {**line, "in": None, "cached": None, "out": None}
    assert prices.cost(unknown, day) == 0


@pytest.mark.parametrize(
    "charge",
    [
        None,
        [],
        {},
        {"models": []},
        {"models": {"tiny": [{"begins": "2026-11-01", "input": -1, "cached": 0, "output": 1}]}},
    ],
)
def test_what_is_no_price_charges_nothing(charge: Any) -> None:
    assert use_prices.models(charge) == {}


def test_costs_add_up_to_the_last_part_and_a_new_price_changes_no_former_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timegm((2026, 12, 15, 12, 0, 0))
    monkeypatch.setattr(use_carry.time, "time", lambda: now)
    keys = tmp_path / "router" / "keys.json"
    keys.parent.mkdir()

    def price(*amounts: int) -> None:
        models = {"tiny": [a_price("2026-12-01", *amounts)]}
        keys.write_text(json.dumps({"keys": [], "charge": {**CHARGE, "models": models}}))

    price(700_001, 0, 0)
    replica = Replica(tmp_path)
    carrier = use_carry.Carrier(str(tmp_path))
    for _ in range(3):
        replica.record(at=now, key="ann", cached=0, **{"in": 1})
    carrier.all("tiny-blue")
    # Three times 0.700001 millionths.
    assert carrier.ledger.spent["ann"]["2026-12"][2:] == [2, 100_003]
    price(90_000_000, 0, 0)
    replica.record(at=now, key="ann", cached=0, **{"in": 1})
    carrier.all("tiny-blue")
    assert carrier.ledger.spent["ann"]["2026-12"][2:] == [92, 100_003]
    again = use_carry.Carrier(str(tmp_path))
    again.ledger.learn()
    assert again.ledger.spent == carrier.ledger.spent
    replica.record(at=now + 31 * 86_400, key="ann", cached=0, **{"in": 1})
    monkeypatch.setattr(use_carry.time, "time", lambda: now + 31 * 86_400)
    carrier.all("tiny-blue")
    assert carrier.ledger.spent["ann"]["2027-01"][2:] == [90, 0]
