"""What the same traffic costs at a closed API, and from which volume on own hosts are cheaper."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.planning.economics.given import FIRST, WEEK, costs, held, rounded, use
from toolkit.domain.costs.economics import ApiPrice, ApiRate, Exchange, Tier
from toolkit.errors import InputError
from toolkit.planning.economics.account import account
from toolkit.planning.economics.api import (
    break_even,
    by_day,
    exchange_staleness,
    quote,
    tier_on,
)
from toolkit.planning.economics.bills import Situation
from toolkit.planning.economics.comparison import chosen_apis, compare
from toolkit.planning.economics.scenario import apply, parse_scenario

READ = date(2026, 11, 1)
ONE = Decimal(1)


def tier(over: int, *prices: str) -> Tier:
    given, cached, output = map(Decimal, prices)
    return Tier(over, given, output, cached)


def api(*rates: ApiRate) -> ApiPrice:
    return ApiPrice("acme/big", "USD", rates, "a list")


FLAT = api(ApiRate(READ, (tier(0, "2", "0.5", "10"),)))
LONG = api(ApiRate(READ, (tier(0, "2", "0.5", "10"), tier(1000, "4", "1", "15"))))
# A promotion until 2026-11-03, and twice the price from 2026-11-05 on.
TURNS = api(
    ApiRate(READ, (tier(0, "2", "2", "10"),)),
    ApiRate(READ, (tier(0, "1", "1", "5"),), date(2026, 10, 1), date(2026, 11, 3)),
    ApiRate(READ, (tier(0, "4", "4", "20"),), date(2026, 11, 5)),
)


def test_cached_tokens_have_their_own_price() -> None:
    """2 million fresh x 2 + 1 million cached x 0.5 + 0.1 million out x 10 = 5.5; all fresh 3 x 2 + 1 = 7."""
    found = quote(FLAT, by_day([use(3_000_000, 100_000, cached=1_000_000)]), ONE, FIRST, stale=60)
    assert (found.cost, found.uncached) == (Decimal("5.5"), 7)
    in_euro = quote(FLAT, by_day([use(1_000_000, 0)]), Decimal("0.9"), FIRST, stale=60)
    assert in_euro.cost == Decimal("1.8")


@pytest.mark.parametrize(
    ("requests", "prompt", "cost"),
    [(1000, None, 2), (999, None, 4), (1, 1000, 2), (1000, 1001, 4), (0, None, 2)],
)
def test_the_length_of_the_mean_prompt_decides_the_price(
    requests: int, prompt: int | None, cost: int
) -> None:
    traffic = [use(1_000_000, 0, requests=requests)]
    assert quote(LONG, by_day(traffic), ONE, FIRST, stale=60, prompt=prompt).cost == cost


def test_each_day_counts_at_its_own_price() -> None:
    days = [date(2026, 11, day) for day in (2, 3, 4, 5, 6)]
    found = quote(TURNS, by_day(use(1_000_000, 0, day=day) for day in days), ONE, FIRST, stale=60)
    assert found.cost == 1 + 1 + 2 + 4 + 4
    assert found.changes == (
        "a price of now ends on 2026-11-03",
        "from 2026-11-05 on USD 4 in, 4 cached, 20 out, counted from then on",
    )


def test_a_later_price_is_named_though_it_does_not_count_yet() -> None:
    found = quote(
        TURNS, by_day([use(1_000_000, 0, day=date(2026, 11, 4))]), ONE, date(2026, 11, 4), stale=60
    )
    assert found.cost == 2
    assert found.changes == ("from 2026-11-05 on USD 4 in, 4 cached, 20 out",)


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (FIRST - timedelta(days=59), ""),
        (FIRST + timedelta(days=1), ""),
        (FIRST - timedelta(days=60), "the rate of EUR was read 60 days ago"),
        (
            FIRST + timedelta(days=2),
            f"the rate of EUR was read on {FIRST + timedelta(days=2)}, which has not come yet",
        ),
    ],
)
def test_an_exchange_rate_that_may_be_wrong_is_stale(read: date, words: str) -> None:
    assert exchange_staleness("EUR", Exchange(Decimal("1.1"), read), FIRST, 60) == words


@pytest.mark.parametrize(
    ("price", "today", "words"),
    [
        (FLAT, date(2026, 12, 30), ""),
        (FLAT, date(2026, 12, 31), "read 60 days ago"),
        (FLAT, READ - timedelta(days=1), ""),
        (FLAT, READ - timedelta(days=2), f"read on {READ}, which has not come yet"),
        (api(ApiRate(READ, FLAT.rates[0].tiers, ends=date(2026, 11, 9))), date(2026, 11, 10),
         "ended on 2026-11-09"),
        (api(ApiRate(READ, FLAT.rates[0].tiers, date(2026, 12, 1))), date(2026, 11, 10),
         "not yet in force"),
    ],
)  # fmt: skip
def test_a_price_that_may_be_wrong_is_stale(price: ApiPrice, today: date, words: str) -> None:
    assert quote(price, by_day([use(1, 1)]), ONE, today, stale=60).stale == words


def test_a_price_that_a_newer_one_has_replaced_makes_no_quote_stale() -> None:
    tiers, old, new = FLAT.rates[0].tiers, date(2026, 1, 1), date(2026, 10, 30)
    price = api(ApiRate(old, tiers, old), ApiRate(new, tiers, new))
    found = quote(price, by_day([use(1, 1)]), ONE, FIRST, stale=60)
    assert (found.read, found.stale) == (new, "")
    # A day of the former price counts at it.
    before = use(1, 1, day=new - timedelta(days=1))
    found = quote(price, by_day([before, use(1, 1)]), ONE, FIRST, stale=60)
    assert (found.read, found.stale) == (old, f"read {(FIRST - old).days} days ago")


def test_a_promotion_to_come_is_no_price_of_now() -> None:
    tiers, first, last = FLAT.rates[0].tiers, date(2026, 12, 1), date(2026, 12, 24)
    price = api(*FLAT.rates, ApiRate(READ, tiers, first, last))
    assert quote(price, by_day([use(1, 1)]), ONE, FIRST, stale=60).changes == (
        "from 2026-12-01 on USD 2 in, 0.5 cached, 10 out",
        "the price from 2026-12-01 on ends on 2026-12-24",
    )
    replaced = api(ApiRate(READ, tiers, ends=last), ApiRate(READ, tiers, READ))
    assert quote(replaced, by_day([use(1, 1)]), ONE, FIRST, stale=60).changes == ()


def test_where_a_day_has_no_price_there_is_no_quote() -> None:
    future = api(ApiRate(READ, FLAT.rates[0].tiers, date(2026, 11, 4)))
    traffic = [use(1, 1), use(1, 1, day=date(2026, 11, 4))]
    assert quote(future, by_day(traffic), ONE, FIRST, stale=60).cost is None
    assert quote(future, by_day(traffic[1:]), ONE, FIRST, stale=60).cost is not None


def test_prices_by_the_time_of_day_count_with_their_part_of_it() -> None:
    """Six hours at 4, eighteen at 2: 2.5."""
    night = ApiRate(READ, (tier(0, "4", "1", "20"),), daily=(22 * 60, 4 * 60))
    found = tier_on(api(*FLAT.rates, night), FIRST, 0)
    assert found is not None
    assert (found.input, found.cached, found.output) == (
        Decimal("2.5"),
        Decimal("0.625"),
        Decimal("12.5"),
    )


@pytest.mark.parametrize(
    ("fixed", "marginal", "price", "used", "factor", "utilisation", "within"),
    [
        # 100 a week here whatever comes, 25 there: four times as much makes them equal.
        ("100", "0", "25", "0.1", "4", "0.4", True),
        ("100", "5", "25", "0.1", "5", "0.5", True),
        ("100", "0", "25", "0.5", "4", "2.0", False),
        ("100", "0", "25", None, "4", None, None),
        # One token more costs as much here as there.
        ("100", "25", "25", "0.1", None, None, False),
    ],
)
def test_volume_and_utilisation_tell_where_both_cost_the_same(
    fixed: str, marginal: str, price: str, used: str | None, factor: str | None,
    utilisation: str | None, within: bool | None,
) -> None:  # fmt: skip
    found = break_even(
        Decimal(fixed), Decimal(marginal), Decimal(price), Decimal(used) if used else None
    )
    assert found.factor == (Decimal(factor) if factor else None)
    assert found.utilisation == (Decimal(utilisation) if utilisation else None)
    assert found.within is within


RENTED = """\
currency: EUR
exchange: {USD: {rate: 0.5, read: 2026-11-01}}
hosts:
  gpu1: {from: 2026-01-01, hourly: 1}
capacity:
  - {model: small, input: 1000, cached: 10000, output: 100, measured: 2026-11-01}
  - {model: tiny, input: 4000, cached: 40000, output: 400, measured: 2026-11-01}
against: [acme/big]
"""


def test_the_bill_stands_beside_the_api() -> None:
    """168 here. 12 million output tokens are 120 USD, 60 EUR: 2.8 times as much traffic makes them equal.

    The work of 120,000 s in 604,800 s is a utilisation of 0.198413; 2.8 times of it is 0.5556.
    """
    situation = Situation(costs(RENTED), WEEK, (held(),), (use(0, 12_000_000),))
    (found,) = compare(situation, account(situation), [FLAT], FIRST)
    assert found.even is not None and found.api_is_cheaper
    assert (found.ours, found.quote.cost, found.even.factor) == (168, 60, Decimal("2.8"))
    assert rounded(found.even.utilisation) == "0.5556"


def test_a_fleet_with_empty_hosts_is_compared_as_a_whole_too() -> None:
    text = RENTED.replace("capacity:", "  gpu2: {from: 2026-01-01, hourly: 1}\ncapacity:")
    situation = Situation(costs(text), WEEK, (held(),), (use(0, 40_000_000),))
    found = compare(situation, account(situation), [FLAT], FIRST)
    assert [(each.model, each.ours, each.api_is_cheaper) for each in found] == [
        ("small", 168, False),
        ("", 336, True),
    ]


def test_a_model_that_nobody_asked_is_not_compared() -> None:
    situation = Situation(costs(RENTED), WEEK, (held(),), ())
    assert compare(situation, account(situation), [FLAT], FIRST) == ()


def test_apis_are_the_named_ones_else_those_of_the_file() -> None:
    known, other = costs(RENTED), ApiPrice("acme/small", "USD", FLAT.rates, "a list")
    shipped = {"acme/big": FLAT, "acme/small": other}
    assert chosen_apis(known, shipped, ["acme/small"]) == (other,)
    assert chosen_apis(known, shipped, []) == (FLAT,)
    with pytest.raises(InputError, match="no price of 'acme/bg' is known") as refused:
        chosen_apis(known, shipped, ["acme/bg"])
    assert refused.value.hint == "did you mean acme/big or acme/small?"


def test_a_price_in_another_currency_needs_its_exchange() -> None:
    text = RENTED.replace("exchange: {USD: {rate: 0.5, read: 2026-11-01}}", "")
    situation = Situation(costs(text), WEEK, (held(),), (use(1, 1),))
    with pytest.raises(InputError, match="nothing says what one USD costs in EUR"):
        compare(situation, account(situation), [FLAT], FIRST)


OFFERS = (
    RENTED
    + """\
offers:
  cheap: {from: 2026-11-01, hourly: 0.25}
"""
)
BOUGHT = RENTED.replace("hourly: 1", "purchase: {price: 35040, years: 4}, watts: 0").replace(
    "currency: EUR", "currency: EUR\nenergy: {kwh: 0.3}"
)


@pytest.mark.parametrize(
    ("text", "scenario", "total", "used", "output"),
    [
        # As it is: 168, 20 million output tokens are 200,000 s of 604,800 s.
        (RENTED, "traffic=1", "168", "0.3307", "8.4000"),
        (RENTED, "traffic=0.5", "168", "0.1653", "16.8000"),
        (RENTED, "hosts=+1", "336", "0.1653", "16.8000"),
        (RENTED, "hosts=3,traffic=3", "504", "0.3307", "8.4000"),
        (RENTED, "model=tiny", "168", "0.0827", "8.4000"),
        (RENTED, "model=small:tiny,traffic=4", "168", "0.3307", "2.1000"),
        (OFFERS, "device=cheap", "42", "0.3307", "2.1000"),
        (BOUGHT, "write-off=2", "336", "0.3307", "16.8000"),
    ],
)  # fmt: skip
def test_a_scenario_changes_the_bill(
    text: str, scenario: str, total: str, used: str, output: str
) -> None:
    situation = Situation(costs(text), WEEK, (held(),), (use(0, 20_000_000),))
    other = apply(situation, parse_scenario(scenario))
    bill = account(other)
    (model,) = bill.models
    assert bill.total == Decimal(total)
    assert (rounded(model.utilisation), rounded(model.actual.output)) == (used, output)


def test_fewer_hosts_do_the_same_work() -> None:
    text = RENTED.replace("capacity:", "  gpu2: {from: 2026-01-01, hourly: 1}\ncapacity:")
    there = (held(), held(host="gpu2"))
    traffic = (use(7, 10_000_001), use(0, 10_000_000, host="gpu2"))
    other = apply(Situation(costs(text), WEEK, there, traffic), parse_scenario("hosts=1"))
    bill = account(other)
    assert (bill.total, bill.models[0].tokens.output) == (168, 20_000_001)


def test_spread_traffic_has_a_row_for_each_host_and_day_and_keeps_its_sums() -> None:
    text = "currency: USD\nhosts:\n" + "".join(
        f"  gpu{each}: {{from: 2026-01-01, hourly: 1}}\n" for each in range(1, 4)
    )
    hosts = [f"gpu{each}" for each in range(1, 4)]
    traffic = [use(1_000_001, 77, cached=9, host=host) for host in hosts]
    there = tuple(held(host) for host in hosts)
    other = apply(Situation(costs(text), WEEK, there, tuple(traffic)), parse_scenario("hosts=40"))
    assert len(other.traffic) == 40
    assert len({row.host for row in other.traffic}) == 40
    for name, whole in (("tokens_in", 3_000_003), ("tokens_out", 231), ("cached", 27)):
        assert sum(getattr(row, name) for row in other.traffic) == whole


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("colour=red", "'colour=red' is nothing that --what-if knows"),
        ("traffic=", "'traffic=' is nothing that --what-if knows"),
        ("traffic=-1", "traffic=-1 is no multiple of the traffic"),
        ("hosts=many", "hosts=many is no number of hosts"),
        ("hosts=-1", "hosts=-1 leaves 0 hosts"),
        ("device=gold", "the file of costs has no offer 'gold'"),
        ("model=large", "the file of costs has no capacity of 'large'"),
        ("model=large:tiny", "'large' does not run"),
        ("write-off=0", "write-off=0 is no number of years"),
        ("write-off=5", "no host is bought, so none is written off"),
    ],
)
def test_what_if_refuses_what_there_is_not(scenario: str, words: str) -> None:
    situation = Situation(costs(RENTED), WEEK, (held(),), ())
    with pytest.raises(InputError) as refused:
        apply(situation, parse_scenario(scenario))
    assert refused.value.message == words
    assert refused.value.hint
