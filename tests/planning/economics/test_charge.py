"""What keys are charged: amounts in whole millionths, and what is no amount or has no price."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from toolkit.domain.clients.keys import Charge, KeyRing, Price
from toolkit.domain.costs.economics import ChargePrice, Costs
from toolkit.errors import InputError, RefusedError
from toolkit.planning.economics.charge import amount_of, charge_of
from toolkit.planning.routing.keys import with_charge, with_key, without_key

PRICE = ChargePrice(date(2026, 11, 1), Decimal("0.98"), Decimal("0.098"), Decimal("7.9"))
COSTS = Costs("EUR", {}, charge={"tiny": (PRICE, replace(PRICE, begins=date(2026, 12, 1)))})
CHARGE = Charge(
    5.0,
    "EUR",
    {
        "tiny": (
            Price("2026-11-01", 980_000, 98_000, 7_900_000),
            Price("2026-12-01", 980_000, 98_000, 7_900_000),
        )
    },
)


def test_prices_are_whole_millionths() -> None:
    assert charge_of(COSTS, 5.0) == CHARGE
    ring = KeyRing(charge=CHARGE)
    assert KeyRing.from_json(ring.as_json()) == ring
    assert "charge" not in KeyRing().as_json()


def test_costs_without_a_charge_are_refused_with_the_next_command() -> None:
    with pytest.raises(RefusedError, match="does not say what keys are charged") as caught:
        charge_of(replace(COSTS, charge={}), 5.0)
    assert "toolkit cost --since 30d" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("50EUR", 50_000_000), ("0.5 EUR", 500_000), ("0.000001EUR", 1), ("999999999EUR", 999_999_999_000_000)],
)  # fmt: skip
def test_an_amount_has_its_currency(text: str, amount: int) -> None:
    assert amount_of(text, "EUR") == amount


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("50", "no amount"),
        ("EUR", "no amount"),
        ("0EUR", "no amount"),
        ("-1EUR", "no amount"),
        ("0.0000001EUR", "no amount"),
        ("1e9EUR", "no amount"),
        ("50USD", "not in EUR"),
    ],
)
def test_what_is_no_amount_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        amount_of(text, "EUR")


def test_the_charge_that_was_read_last_holds_in_whatever_order_rings_meet() -> None:
    newer = replace(CHARGE, told=6.0, models={})
    rings = [KeyRing(), KeyRing(charge=CHARGE), KeyRing(charge=newer)]
    assert {one.merged(other).charge is newer for one in rings for other in rings[2:]} == {True}
    assert rings[2].merged(rings[1]).charge is newer
    assert rings[1].merged(rings[0]).charge == CHARGE


def test_prices_of_a_clock_that_was_ahead_make_way_for_later_ones() -> None:
    known = KeyRing(charge=replace(CHARGE, told=86_400.0))
    changed = with_charge(known, replace(CHARGE, told=9.0, models={}))
    assert changed.charge is not None
    for one, other in ((known, changed), (changed, known)):
        assert one.merged(other).charge == changed.charge
    assert changed.charge.models == {}


def test_the_currency_of_quotas_stays_while_there_are_any() -> None:
    made = with_key(KeyRing(), "ann", "a" * 40, now=1.0, cost_per_month=5)
    ring = with_charge(made, CHARGE)
    # The same prices, read again, change no ring.
    assert with_charge(ring, replace(CHARGE, told=9.0)) is ring
    dollars = replace(CHARGE, told=9.0, currency="USD")
    with pytest.raises(RefusedError, match="quotas of cost are in EUR"):
        with_charge(ring, dollars)
    assert with_charge(without_key(ring, "ann", now=2.0), dollars).charge == dollars
