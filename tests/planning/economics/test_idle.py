"""What nobody uses, with what it costs a day, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from tests.planning.economics.given import WEEK, costs, held, rounded, use
from toolkit.domain.costs.economics import Interval
from toolkit.planning.economics.bills import Situation
from toolkit.planning.economics.idle import HostPart, idleness

RENTED = """\
currency: EUR
hosts:
  gpu1: {from: 2026-01-01, hourly: 2}
  gpu2: {from: 2026-01-01, hourly: 1}
"""
# 8,760 / (1 x 8,760) is 1 an hour; 73 / 730 is 0.1; (2 + 1) x 73 / 730 is 0.3; 0.5 kW x 2 x 0.20 is 0.2: 1.6 an hour.
BOUGHT = """\
currency: EUR
energy: {kwh: 0.20, pue: 2}
people: {hour: 73, hours: 1}
hosts:
  gpu1:
    from: 2026-01-01
    purchase: {price: 8760, years: 1}
    watts: {idle: 500, busy: 900}
    hosting: 73
    people: 2
"""


def test_a_host_divides_by_memory_and_what_had_no_request_is_idle() -> None:
    there = (
        held(weight=3),
        replace(held(model="large", weight=1, live=False), release=4),
        held("gpu2", "large"),
    )
    traffic = (use(1, 1, requests=5), use(1, 1, requests=2, day=date(2026, 11, 4)))
    found = idleness(Situation(costs(RENTED), WEEK, there, traffic))
    assert found.held == (
        HostPart("gpu2", "large", 1, "live", 0, None, Decimal(24)),
        HostPart("gpu1", "large", 4, "standby", 0, None, Decimal(12)),
        HostPart("gpu1", "small", 1, "live", 7, date(2026, 11, 4), Decimal(36)),
    )
    assert [each.idle for each in found.held] == [True, True, False]
    assert (found.a_day, found.idle_a_day) == (Decimal(72), Decimal(36))


def test_a_host_without_replicas_costs_all_the_same() -> None:
    over = held("gpu2", span=Interval(WEEK.begins, WEEK.ends - 60))
    found = idleness(Situation(costs(RENTED), WEEK, (held(), over), (use(1, 1),)))
    assert [(each.host, each.state, each.a_day) for each in found.held] == [
        ("gpu2", "empty", Decimal(24)),
        ("gpu1", "live", Decimal(48)),
    ]


def test_write_off_hosting_people_and_idle_watts() -> None:
    found = idleness(Situation(costs(BOUGHT), WEEK, (held(),), ()))
    assert rounded(found.held[0].a_day) == "38.4000"


def test_the_example_of_the_document() -> None:
    text = """\
currency: EUR
energy: {kwh: 0.30, pue: 1.4}
people: {hour: 80, hours: 6}
hosts:
  gpu1: {from: 2026-01-01, hourly: 2.50}
  gpu2:
    from: 2026-01-01
    purchase: {price: 30000, years: 4, residual: 2000}
    watts: {idle: 250, busy: 900}
    hosting: 150
    people: 4
"""
    there = (held(), held("gpu2"), held("gpu2", live=False))
    found = idleness(Situation(costs(text), WEEK, there, (use(1, 1),)))
    assert [rounded(each.a_day, 2) for each in found.held] == ["22.52", "22.52", "67.89"]
    assert (rounded(found.a_day, 2), rounded(found.idle_a_day, 2)) == ("112.93", "45.04")


def test_what_is_not_known_is_no_sum() -> None:
    metered = "currency: EUR\nenergy: {kwh: 0.2}\nhosts:\n  gpu1: {from: 2026-01-01, hourly: 1, metered: true}\n"
    text = metered + "  gpu2: {from: 2026-01-01, hourly: 1}\n"
    found = idleness(Situation(costs(text), WEEK, (held(), held("gpu2")), (use(1, 1),)))
    assert [(each.host, each.a_day) for each in found.held] == [
        ("gpu2", Decimal(24)),
        ("gpu1", None),
    ]
    assert (found.a_day, found.idle_a_day) == (None, Decimal(24))


def test_use_of_another_host_is_not_this_replicas() -> None:
    found = idleness(Situation(costs(RENTED), WEEK, (held(),), (use(1, 1, host="gpu2"),)))
    assert [each.idle for each in found.held if each.host == "gpu1"] == [True]
