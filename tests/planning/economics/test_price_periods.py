"""A host whose price changes amid the span: each period pays by its own power, meter and device."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.planning.economics.given import DAY, costs, held, rounded, use
from toolkit.domain.costs.economics import Interval, Metered, midnight
from toolkit.errors import InputError
from toolkit.planning.economics.account import account
from toolkit.planning.economics.bills import Situation

NOVEMBER = Interval(midnight(date(2026, 11, 1)), midnight(date(2026, 12, 1)))
RENT = "{from: 2026-01-01, hourly: 2}"


def file(*prices: str, capacities: str = "") -> str:
    """Return a file of costs with a host of these prices, one kilowatt hour for 0.30."""
    return (
        f"currency: EUR\nenergy: {{kwh: 0.30}}\nhosts:\n  gpu1: [{', '.join(prices)}]\n{capacities}"
    )


def bought(day: str, more: str = "watts: 1000") -> str:
    """Return the price of a host that is bought on a day."""
    return f"{{from: {day}, purchase: {{price: 35040, years: 4}}, {more}}}"


@pytest.mark.parametrize(
    ("prices", "kwh", "energy", "source"),
    [
        # Two days of 1,000 W: 48 kWh x 0.30.
        (
            (RENT, bought("2026-11-29")),
            "48.00",
            "14.40",
            "in the rent, then stated watts",
        ),
        # 29 days: 696 kWh x 0.30.
        (
            (bought("2026-01-01"), "{from: 2026-11-30, hourly: 2}"),
            "696.00",
            "208.80",
            "stated watts, then in the rent",
        ),
        # 28 days of 500 W are 336 kWh, two of 1,000 W 48 kWh: 384 kWh x 0.30.
        (
            (bought("2026-01-01", "watts: 500"), bought("2026-11-29")),
            "384.00",
            "115.20",
            "stated watts",
        ),
    ],
)
def test_each_price_pays_for_the_energy_of_its_own_days(
    prices: tuple[str, ...], kwh: str, energy: str, source: str
) -> None:
    there = held(span=NOVEMBER)
    bill = account(Situation(costs(file(*prices)), NOVEMBER, (there,), ()))
    (host,), (model,) = bill.hosts, bill.models
    assert (rounded(host.kwh, 2), rounded(host.energy, 2)) == (kwh, energy)
    assert host.energy_source == source
    assert (host.hours, model.live_hours) == (720, 720)
    assert abs(model.total - host.total) < Decimal("1e-15")


def test_a_meter_counts_for_the_days_of_metered_prices() -> None:
    """720 kWh in the month's 720 h, the last two days metered: 48 kWh of them count."""
    text = file(RENT, bought("2026-11-29", "metered: true"))
    read = (Metered("gpu1", NOVEMBER, Decimal(720)),)
    (host,) = account(Situation(costs(text), NOVEMBER, (held(span=NOVEMBER),), (), read)).hosts
    assert rounded(host.kwh) == "48.0000"
    assert host.energy_source == "in the rent, then metered"


def test_energy_from_before_the_first_price_costs_nothing() -> None:
    """The meter counted 480 kWh in the 20 days before the price. The 240 h after it have 1,000 W: 240 kWh."""
    text = file("{from: 2026-11-21, hourly: 2, metered: true, watts: 1000}")
    priced = Interval(midnight(date(2026, 11, 21)), NOVEMBER.ends)
    before = (Metered("gpu1", Interval(NOVEMBER.begins, priced.begins), Decimal(480)),)
    (host,) = account(Situation(costs(text), NOVEMBER, (held(span=priced),), (), before)).hosts
    assert (host.hours, rounded(host.kwh), rounded(host.energy)) == (240, "240.0000", "72.0000")
    assert host.energy_source == "metered, 240.0 h of stated watts"


def test_a_gap_of_a_meter_is_named_with_the_days_of_its_price() -> None:
    text = file(RENT, bought("2026-11-29", "metered: true"))
    with pytest.raises(InputError) as refused:
        account(Situation(costs(text), NOVEMBER, (held(span=NOVEMBER),), ()))
    assert refused.value.message == (
        "gpu1 has no readings of its meter for 48.0 h between 2026-11-29 and 2026-12-01"
    )


CAPACITIES = """\
capacity:
  - {model: small, device: old, input: 1000, output: 100, measured: 2026-10-01}
  - {model: small, device: new, input: 1000, output: 400, measured: 2026-10-01}
"""


def test_each_day_counts_with_the_device_of_its_price() -> None:
    """15 days on `old`, 15 on `new`, each with 30 million output tokens.

    On `old` they are 300,000 s of work, on `new` 75,000 s: 375,000 s of 2,592,000 s, a utilisation of 0.144676. A
    replica does (100 + 400) / 2 output tokens in a mean second at full load, for 2 / 3,600 a second: 2.2222 a million.
    Rent of 1,440 divides by days: work costs 720 x 300,000 / 1,296,000 + 720 x 75,000 / 1,296,000 = 208.3333.
    """
    text = file(
        "{from: 2026-01-01, hourly: 2, device: old}",
        "{from: 2026-11-16, hourly: 2, device: new}",
        capacities=CAPACITIES,
    )
    traffic = (
        use(0, 30_000_000, day=date(2026, 11, 3)),
        use(0, 30_000_000, day=date(2026, 11, 20)),
    )
    bill = account(Situation(costs(text), NOVEMBER, (held(span=NOVEMBER),), traffic))
    (model,) = bill.models
    assert rounded(model.utilisation, 6) == "0.144676"
    assert rounded(model.working) == "208.3333"
    assert model.full is not None
    assert rounded(model.full.output) == "2.2222"
    assert bill.notes == ()


def test_a_device_without_a_capacity_is_named_once_and_for_its_days_alone() -> None:
    prices = (
        "{from: 2026-01-01, hourly: 2, device: gone}",
        "{from: 2026-11-16, hourly: 3, device: gone}",
    )
    traffic = tuple(use(0, 7, day=date(2026, 11, each)) for each in (3, 20))
    bill = account(
        Situation(
            costs(file(*prices, capacities=CAPACITIES)), NOVEMBER, (held(span=NOVEMBER),), traffic
        )
    )
    assert bill.notes == ("small at gpu1: utilisation unknown without its `capacity`",)
    assert bill.models[0].tokens.output == 14


def test_sleep_divides_among_the_prices_of_a_host() -> None:
    """The model slept for a tenth of 720 h, and did nothing else: 15 days x 24 h x (2 + 4), a tenth of it."""
    text = file("{from: 2026-01-01, hourly: 2}", "{from: 2026-11-16, hourly: 4}")
    situation = Situation(
        costs(text), NOVEMBER, (held(span=NOVEMBER),), (), asleep={("gpu1", "small"): 3 * DAY}
    )
    (model,) = account(situation).models
    assert (rounded(model.asleep), rounded(model.idle)) == ("216.0000", "1944.0000")


def test_tokens_of_days_without_a_price_are_said() -> None:
    text = file("{from: 2026-11-21, hourly: 2}")
    priced = Interval(midnight(date(2026, 11, 21)), NOVEMBER.ends)
    traffic = (use(5, 6, day=date(2026, 11, 3)), use(7, 8, day=date(2026, 11, 22)))
    bill = account(Situation(costs(text), NOVEMBER, (held(span=priced),), traffic))
    assert bill.notes == (
        "small at gpu1: 11 tokens while nothing says that it ran there",
        "small at gpu1: utilisation unknown without its `capacity`",
    )
    assert bill.models[0].tokens.all == 26
