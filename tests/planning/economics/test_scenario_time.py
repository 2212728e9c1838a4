"""What-if lines have the models, the times and the work of the bill that they stand beside."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from tests.planning.economics.given import DAY, WEEK, costs, held, rounded, use
from toolkit.domain.costs.economics import Interval
from toolkit.errors import InputError
from toolkit.planning.economics.account import account
from toolkit.planning.economics.bills import Account, Situation
from toolkit.planning.economics.scenario import apply, parse_scenario
from toolkit.planning.economics.stated import stated
from toolkit.planning.economics.work import Tokens

LATE = Interval(WEEK.begins + 3 * DAY, WEEK.ends)
TWO = """\
currency: EUR
hosts:
  gpu1: {from: 2026-01-01, hourly: 1}
  gpu2: {from: 2026-01-01, hourly: 1}
capacity:
  - {model: small, input: 1000, output: 100, measured: 2026-11-01}
  - {model: large, input: 1000, output: 50, measured: 2026-11-01}
"""
LATER = TWO.replace("gpu2: {from: 2026-01-01", "gpu2: {from: 2026-11-05")


def what_if(situation: Situation, words: str) -> Account:
    """Return the bill of a scenario."""
    return account(apply(situation, parse_scenario(words)))


def test_a_model_of_a_removed_host_moves_to_one_that_stays() -> None:
    """Both models share gpu1 for 168 h at 1, half each.

    `small` has 6 million output tokens, 60,000 s of 604,800; `large` has 6 million, 120,000 s: 0.0992 and 0.1984.
    """
    there = (held(), held(host="gpu2", model="large"))
    traffic = (use(0, 6_000_000), use(0, 6_000_000, host="gpu2", model="large"))
    bill = what_if(Situation(costs(TWO), WEEK, there, traffic), "hosts=1")
    assert [(each.model, each.total, rounded(each.utilisation)) for each in bill.models] == [
        ("large", 84, "0.1984"),
        ("small", 84, "0.0992"),
    ]
    assert (bill.total, bill.notes) == (168, ())


def test_a_model_that_stays_elsewhere_moves_for_the_time_that_it_was_not_there() -> None:
    """`small` is on gpu2 all week, on gpu1 from Thursday on: gpu1 alone has it once for all of 168 h."""
    there = (held(span=LATE), held(host="gpu2"))
    bill = what_if(Situation(costs(TWO), WEEK, there, (use(0, 9, host="gpu2"),)), "hosts=1")
    (model,) = bill.models
    assert (model.live_hours, model.total, bill.empty) == (168, 168, 0)
    assert bill.notes == ()


def test_a_standby_of_a_removed_host_moves_too() -> None:
    """gpu1 has `small` and, from Thursday on, the standby from gpu2: 96 h of half a host, 48."""
    there = (
        held(),
        held(host="gpu2", model="large"),
        held(host="gpu2", live=False, span=LATE),
    )
    bill = what_if(Situation(costs(TWO), WEEK, (*there, held(model="large")), ()), "hosts=1")
    small = next(each for each in bill.models if each.model == "small")
    assert small.standby_hours == 96
    # 72 h of two replicas, 96 h of three: 36 + 32, and 32 for the standby.
    assert (rounded(small.total), rounded(small.standby)) == ("100.0000", "32.0000")


def test_a_model_that_no_host_can_take_is_named() -> None:
    """gpu1 has a price from Thursday on alone, and `large` ran on gpu2 all week."""
    text = TWO.replace("gpu1: {from: 2026-01-01", "gpu1: {from: 2026-11-05")
    there = (held(span=LATE), held(host="gpu2", model="large"))
    with pytest.raises(InputError) as refused:
        what_if(Situation(costs(text), WEEK, there, ()), "hosts=1")
    assert refused.value.message == (
        "hosts=1 leaves no host with a price for large, which runs on gpu2 from 2026-11-02 on"
    )
    assert refused.value.hint


def test_sleep_moves_with_a_model() -> None:
    """`large` slept 16.8 h of its 168 h on gpu2: a tenth of its half of gpu1, 8.40."""
    there = (held(), held(host="gpu2", model="large"))
    asleep = {("gpu2", "large"): 60_480, ("gpu1", "small"): 60_480}
    bill = what_if(Situation(costs(TWO), WEEK, there, (), asleep=asleep), "hosts=1")
    assert [rounded(each.asleep) for each in bill.models] == ["8.4000", "8.4000"]
    # An added host is like the one that it stands beside, and another model sleeps in the place of the former.
    one = Situation(costs(TWO), WEEK, (held(),), (), asleep={("gpu1", "small"): 60_480})
    assert rounded(what_if(one, "hosts=+1").models[0].asleep) == "33.6000"
    assert rounded(what_if(one, "model=large").models[0].asleep) == "16.8000"


def test_traffic_spreads_over_the_hosts_that_serve_on_its_day() -> None:
    """gpu2 came on Thursday. Monday's tokens are work of gpu1 alone, as they are without a change."""
    there = (held(), held(host="gpu2", span=LATE))
    traffic = (use(0, 6_000_000), use(0, 6_000_000, day=date(2026, 11, 6)))
    situation = Situation(costs(LATER), WEEK, there, traffic)
    other = apply(situation, parse_scenario("hosts=2"))
    assert [(row.day.day, row.host, row.tokens_out) for row in other.traffic] == [
        (2, "gpu1", 6_000_000),
        (6, "gpu1", 3_000_000),
        (6, "gpu2", 3_000_000),
    ]
    as_it_is, changed = account(situation), account(other)
    assert changed.notes == () == as_it_is.notes
    assert changed.models[0].utilisation == as_it_is.models[0].utilisation
    # Nothing served on the day: the tokens stay where they were, and are named there.
    early = replace(situation, reservations=(held(span=LATE),), traffic=(use(0, 7),))
    assert apply(early, parse_scenario("hosts=1")).traffic == early.traffic


CHEAP = LATER + "offers:\n  cheap: {from: 2026-11-01, hourly: 1, device: other}\n"


def test_another_device_costs_only_while_the_host_is_there() -> None:
    """gpu2 came on Thursday: 168 h and 96 h at 1, as it is and with the offer at the same price."""
    there = (held(), held(host="gpu2", span=LATE))
    situation = Situation(costs(CHEAP), WEEK, there, (use(0, 6_000_000),))
    assert account(situation).total == what_if(situation, "device=cheap").total == 264
    left = CHEAP.replace(
        "gpu2: {from: 2026-11-05, hourly: 1}",
        "gpu2: [{from: 2026-01-01, until: 2026-11-02, hourly: 5}, {from: 2026-11-08, hourly: 7}]",
    )
    # gpu2 is there on Monday and on Sunday: 168 + 48.
    there = (held(),)
    assert what_if(Situation(costs(left), WEEK, there, ()), "device=cheap").total == 216


def test_an_offer_is_bought_when_the_host_came_and_not_again_at_its_next_price() -> None:
    """876 over 0.1 years, 876 h, are 1 an hour, from the first of 60 days on: 876, although prices change on day 20.

    The host has been there for years, and what is bought instead is new on the first day of the bill.
    """
    text = """\
currency: EUR
energy: {kwh: 0.3}
hosts:
  gpu1: [{from: 2020-01-01, hourly: 3}, {from: 2026-11-22, hourly: 2}]
offers:
  own: {from: 2026-11-01, purchase: {price: 876, years: 0.1}, watts: 0}
"""
    span = Interval(WEEK.begins, WEEK.begins + 60 * DAY)
    bill = what_if(Situation(costs(text), span, (held(span=span),), ()), "device=own")
    assert bill.total == Decimal(876)


METERED = """\
currency: EUR
energy: {kwh: 0.20, pue: 1.5}
hosts:
  gpu1:
    - {from: 2025-01-01, hourly: 1, metered: true}
    - {from: 2026-06-01, hourly: 1, metered: true, watts: {idle: 200, busy: 800}}
capacity:
  - {model: small, input: 1000, output: 100, measured: 2026-11-01}
"""


def test_a_stated_traffic_draws_stated_watts_also_where_a_meter_tells_of_the_present_one() -> None:
    """(200 W x 24 h + 600 W x 10 h) x 1.5 at 0.20, 3.24, for 3,600,000 output tokens in a day of 24 at 1."""
    day = WEEK.days[0]
    tokens = Tokens(1, 0, 0, 3_600_000)
    situation = stated(costs(METERED), "small", tokens, day, 1)
    bill = account(situation)
    assert (rounded(bill.total, 2), bill.hosts[0].energy_source) == ("27.24", "stated watts")
    assert what_if(situation, "traffic=1").total == bill.total
    with pytest.raises(InputError, match="the meter of gpu1 does not tell what it would draw"):
        stated(
            costs(METERED.replace(", watts: {idle: 200, busy: 800}", "")), "small", tokens, day, 1
        )


def test_a_price_of_another_time_needs_no_watts_for_a_scenario() -> None:
    there = Situation(costs(METERED), WEEK, (held(),), (use(0, 9),))
    assert what_if(there, "traffic=0.5").hosts[0].energy_source == "stated watts"
