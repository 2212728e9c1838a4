"""The prices of hosts and of closed APIs: what they mean, and each fault with its line."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from toolkit.config.costs.price_table import SHIPPED, load_price_table
from toolkit.config.costs.reading import parse_costs
from toolkit.domain.costs.economics import (
    ApiRate,
    Capacity,
    Costs,
    Exchange,
    HostPrice,
    Purchase,
    Tier,
)
from toolkit.errors import InputError

WHOLE = """\
currency: EUR
exchange: {USD: {rate: 0.92, read: 2026-11-20}}
energy: {kwh: 0.305, pue: 1.4}
people: {hour: 80, hours: 6}
stale: 30
hosts:
  gpu1: {from: 2026-01-01, until: 2026-12-31, hourly: 2.50}
  gpu2:
    - {from: 2026-01-01, purchase: {price: 30000, years: 4, residual: 2000}, watts: {idle: 250, busy: 900},
       hosting: 150, people: 4, device: h100}
    - {from: 2026-06-01, hourly: 1, metered: {rest: 100}}
offers:
  l40s: {from: 2026-11-01, hourly: 0.95, watts: 300}
capacity:
  - {model: small, device: h100, input: 20000, cached: 200000, output: 2500, measured: 2026-11-01}
  - {model: small, input: 2000, output: 250, measured: 2026-11-01}
against: [acme/big]
apis:
  acme/big: {read: 2026-11-20, input: 2, output: 10, currency: GBP}
  acme/long:
    - {read: 2026-11-20, from: 2027-01-01, input: 4, cached: 0.4, output: 20, over: {200000: {input: 8, output: 30}}}
    - {read: 2026-11-20, until: 2026-12-31, input: 2, output: 10}
"""


def load(text: str) -> Costs:
    return parse_costs(Path("costs.yaml"), text)


def test_costs_are_read_with_the_digits_of_the_file() -> None:
    found = load(WHOLE)
    assert (found.currency, found.kwh, found.pue) == ("EUR", Decimal("0.305"), Decimal("1.4"))
    assert (found.person_hour, found.people, found.stale) == (80, 6, 30)
    assert found.exchange == {"USD": Exchange(Decimal("0.92"), date(2026, 11, 20))}
    assert found.hosts["gpu1"] == (HostPrice(date(2026, 1, 1), date(2026, 12, 31), Decimal("2.5")),)
    assert found.hosts["gpu2"] == (
        HostPrice(
            date(2026, 1, 1), date(2026, 5, 31), purchase=Purchase(Decimal(30000), Decimal(4), Decimal(2000)),
            hosting=Decimal(150), people=Decimal(4), watts_idle=Decimal(250), watts_busy=Decimal(900), device="h100",
        ),
        HostPrice(date(2026, 6, 1), None, Decimal(1), watts_rest=Decimal(100), metered=True),
    )  # fmt: skip
    assert found.offers["l40s"].watts_busy == found.offers["l40s"].watts_idle == 300
    first = Capacity(
        "small", "h100", Decimal(20000), Decimal(200000), Decimal(2500), date(2026, 11, 1)
    )
    assert found.capacity("small", "h100") == first
    # Without a figure of its own, a cached token takes as long as another one.
    assert found.capacity("small", "other") == Capacity(
        "small", "", Decimal(2000), Decimal(2000), Decimal(250), date(2026, 11, 1)
    )
    assert found.capacity("large", "h100") is None
    assert (found.against, found.apis["acme/big"].currency) == (("acme/big",), "GBP")
    read = date(2026, 11, 20)
    assert found.apis["acme/long"].rates == (
        ApiRate(read, (Tier(0, Decimal(2), Decimal(10)),), ends=date(2026, 12, 31)),
        ApiRate(
            read,
            (
                Tier(0, Decimal(4), Decimal(20), Decimal("0.4")),
                Tier(200000, Decimal(8), Decimal(30)),
            ),
            date(2027, 1, 1),
        ),
    )


BOUGHT = """\
currency: EUR
energy: {kwh: 0.3}
hosts:
  gpu1:
    - {from: 2026-01-01, purchase: {price: 3000, years: 3}, watts: 100, hosting: 50}
    - {from: 2027-01-01, purchase: {price: 3000, years: 3%s}, watts: 100, hosting: 60}
    - {from: 2028-01-01, purchase: {price: 3000, years: 3}, watts: 100, hosting: 70}
"""


@pytest.mark.parametrize(
    ("later", "bought"),
    [
        ("", (None, date(2026, 1, 1), date(2026, 1, 1))),
        (", residual: 1", (None, None, None)),
        (", bought: 2026-12-01", (None, date(2026, 12, 1), date(2026, 12, 1))),
    ],
    ids=["the same", "another", "the same kind, bought anew"],
)
def test_a_later_price_with_the_same_purchase_goes_on_with_its_write_off(
    later: str, bought: tuple[date | None, ...]
) -> None:
    prices = load(BOUGHT % later).hosts["gpu1"]
    assert tuple(each.purchase and each.purchase.bought for each in prices) == bought


SMALL = """\
currency: EUR
hosts:
  gpu1: {from: 2026-01-01, hourly: 2}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hosts: {a: {from: 2026-01-01, hourly: 1}}", "costs.yaml:1:1: the currency is missing"),
        (SMALL.replace("EUR", "EURO"), "costs.yaml:1:11: currency: no currency 'EURO'"),
        (SMALL.replace("EUR", "BTC"), "costs.yaml:1:11: currency: no currency 'BTC'"),
        (SMALL.replace("hosts", "host"), "costs.yaml:2:1: host: no field 'host'"),
        ("currency: EUR\n", "costs.yaml:1:1: hosts: no host has a price"),
        (SMALL.replace("from: 2026-01-01, ", ""),
         "costs.yaml:3:9: hosts.gpu1: `from` is missing: the day from which the price holds"),
        (BOUGHT % ", bought: 2027-01-02",
         "costs.yaml:6:68: hosts.gpu1.purchase.bought: 2027-01-02 is after 2027-01-01, the price's `from`"),
        (SMALL.replace("2026-01-01", "2026-02-30"), "costs.yaml:3:16: hosts.gpu1.from: '2026-02-30' is no date"),
        (SMALL.replace("2}", "-2}"), "costs.yaml:3:36: hosts.gpu1.hourly: -2 is negative"),
        (SMALL.replace("2}", "two}"), "costs.yaml:3:36: hosts.gpu1.hourly: 'two' is no number"),
        (SMALL.replace("2}", ".nan}"), "costs.yaml:3:36: hosts.gpu1.hourly: '.nan' is no number"),
        (SMALL.replace("2}", "2, until: 2025-12-31}"),
         "costs.yaml:3:46: hosts.gpu1.until: 2025-12-31 is before 2026-01-01, its `from`"),
        (SMALL.replace(", hourly: 2", ""), "costs.yaml:3:9: hosts.gpu1: the host has no price"),
        (SMALL.replace("2}", "2, watts: 300}"),
         "costs.yaml:3:9: hosts.gpu1: it has watts, and energy has no price"),
        (SMALL.replace("2}", "2, people: 3}"),
         "costs.yaml:3:9: hosts.gpu1: it has hours of people without a price"),
        (SMALL.replace("2}", "2, watts: {idle: 3, busy: 2}}"),
         "costs.yaml:3:62: hosts.gpu1.watts.busy: 2 W busy are less than 3 W idle"),
        (SMALL.replace("hourly: 2", "purchase: {price: 1, years: 4}"),
         "costs.yaml:3:9: hosts.gpu1: a bought host needs its power"),
        (SMALL.replace("hourly: 2", "purchase: {price: 1, years: 0}, watts: 1"),
         "costs.yaml:3:56: hosts.gpu1.purchase.years: 0 is not between 0.1 and 1,000,000,000,000"),
        (SMALL.replace("{from: 2026-01-01, hourly: 2}",
                       "\n    - {from: 2026-02-01, hourly: 2}\n    - {from: 2026-02-01, hourly: 3}"),
         "costs.yaml:5:14: hosts.gpu1.from: 2026-02-01 is not after 2026-02-01, the price above"),
        (SMALL.replace("{from: 2026-01-01, hourly: 2}",
                       "\n    - {from: 2026-01-01, until: 2026-02-01, hourly: 2}\n    - {from: 2026-02-01, hourly: 3}"),
         "costs.yaml:5:14: hosts.gpu1.from: the price above holds until 2026-02-01: two at a time"),
        (SMALL + "apis:\n  a/b: {input: 1, output: 2}\n",
         "costs.yaml:5:8: apis.a/b: `read` is missing: the day on which the price was read"),
        (SMALL + "apis:\n  a/b: {read: 2026-11-20, input: 1}\n", "costs.yaml:5:8: apis.a/b: the price has no `output`"),
        (SMALL + "apis:\n  a/b: {read: 2026-11-20, input: 1, output: -2}\n",
         "costs.yaml:5:45: apis.a/b.output: -2 is negative"),
        (SMALL + "apis:\n  a/b: {read: 2026-11-20, input: 1, output: 2, currency: XXX}\n",
         "costs.yaml:5:58: apis.a/b.currency: no currency 'XXX'"),
        (SMALL + "apis:\n  a/b:\n    - {read: 2026-11-20, input: 1, output: 2}\n"
                 "    - {read: 2026-11-21, input: 1, output: 2}\n",
         "costs.yaml:7:7: apis.a/b: two prices from the beginning on"),
        (SMALL + "exchange: {USD: {rate: 0.9}}\n",
         "costs.yaml:4:17: exchange.USD: `read` is missing: the day on which it was read"),
        (SMALL + "exchange: {EUR: {rate: 1, read: 2026-11-20}}\n",
         "costs.yaml:4:12: exchange.EUR: 'EUR' is the currency itself"),
        (SMALL + "capacity: [{model: a, input: 1, output: 0, measured: 2026-11-01}]\n",
         "costs.yaml:4:41: capacity.output: 0 is not between 0.001 and 1,000,000,000,000"),
        (SMALL + "capacity: [{model: a, input: 1, output: 1}]\n",
         "costs.yaml:4:12: capacity: `measured` is missing: the day on which it was measured"),
        (SMALL + "capacity: [{model: a, input: 1, output: 1, measured: 2026-11-01},\n"
                 "  {model: a, input: 2, output: 2, measured: 2026-11-02}]\n",
         "costs.yaml:5:3: capacity: a has a capacity above"),
        (SMALL + "energy: {kwh: 0.3, pue: 0.9}\n",
         "costs.yaml:4:25: energy.pue: 0.9 is not between 1 and 1,000,000,000,000"),
        (SMALL + "charge: {a: {input: 1, output: 2}}\n",
         "costs.yaml:4:13: charge.a: `from` is missing: the day from which the price holds"),
        (SMALL + "charge: {a: {from: 2026-11-01, input: 1}}\n",
         "costs.yaml:4:13: charge.a: the price has no `output`"),
        (SMALL + "charge: {a: {from: 2026-11-01, input: -1, output: 2}}\n",
         "costs.yaml:4:39: charge.a.input: -1 is negative"),
        (SMALL + "charge: {a: {from: 2026-11-01, input: 0.0000001, output: 2}}\n",
         "costs.yaml:4:39: charge.a.input: 1E-7 has more than 6 decimals"),
        (SMALL + "charge:\n  a:\n    - {from: 2026-11-01, input: 1, output: 2}\n"
                 "    - {from: 2026-11-01, input: 1, output: 2}\n",
         "costs.yaml:7:14: charge.a.from: 2026-11-01 is not after 2026-11-01, the price above"),
    ],
)  # fmt: skip
def test_a_fault_has_its_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        load(text)
    assert refused.value.message == message
    assert refused.value.hint


def test_the_shipped_table_is_whole_and_dated() -> None:
    found = load_price_table()
    assert (found.source, found.read) == ("genai-prices 0.2.3", date(2026, 11, 10))
    assert found.licence.startswith("MIT")
    assert SHIPPED.with_name("LICENSE-genai-prices.txt").read_text().startswith("The MIT License")
    assert len(found.models) > 300
    assert all(each.currency == "USD" and each.rates for each in found.models.values())
    read = found.read
    # A tier by the length of the prompt, a later start, and prices by the time of day.
    assert found.models["anthropic/claude-haiku-5-5"].rates == (
        ApiRate(read, (
            Tier(0, Decimal("0.1"), Decimal("0.5"), Decimal("0.01")),
            Tier(100_000, Decimal("0.5"), Decimal("2.5"), Decimal("0.05")),
        )),
    )  # fmt: skip
    assert [each.begins for each in found.models["google/gemini-3.8-flash"].rates] == [
        None,
        date(2027, 1, 1),
    ]
    assert [each.daily for each in found.models["deepseek/deepseek-v4-flash"].rates] == [
        None, None, None, (60, 240), (360, 600),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data["models"].popitem(), "its models are not those of its digest"),
        (lambda data: data.pop("read"), "it has no 'read'"),
        (lambda data: data.update(read="yesterday"), "Invalid isoformat string"),
    ],
)
def test_a_table_that_was_changed_is_refused(change: object, words: str, tmp_path: Path) -> None:
    data = json.loads(SHIPPED.read_text())
    assert callable(change)
    change(data)
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=words):
        load_price_table(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_price_table(tmp_path / "absent.json")


def test_a_currency_in_small_letters_is_taken_for_its_code() -> None:
    with pytest.raises(InputError) as refused:
        load(SMALL.replace("EUR", "eur"))
    assert refused.value.hint == "did you mean EUR?"
    with pytest.raises(InputError) as refused:
        load(SMALL.replace("EUR", "QQQ"))
    assert refused.value.hint == "docs/economics.md has an example"
