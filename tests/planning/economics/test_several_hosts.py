"""A replica that runs over several hosts: one of them answers, and all of them work."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.planning.economics.given import DAY, WEEK, costs, held, rounded, use
from toolkit.domain.costs.economics import Interval
from toolkit.planning.economics.account import account
from toolkit.planning.economics.bills import Situation
from toolkit.planning.economics.idle import idleness
from toolkit.planning.economics.scenario import apply, parse_scenario

COSTS = """\
currency: EUR
energy: {kwh: 0.20}
hosts:
  gpu1: {from: 2026-01-01, hourly: 2, watts: {idle: 500, busy: 1500}}
  gpu2: {from: 2026-01-01, hourly: 2, watts: {idle: 500, busy: 1500}}
capacity:
  - {model: large, input: 1000, output: 100, measured: 2026-11-01}
"""
PAIR = tuple(replace(held(host, "large"), hosts=2) for host in ("gpu1", "gpu2"))
# 30,240,000 output tokens take 302,400 s of the replica, half of the week.
TRAFFIC = (use(0, 30_240_000, model="large", requests=7),)


def test_all_hosts_of_a_replica_work_while_one_of_them_answers() -> None:
    """Both hosts cost 2 x 168 x 2 = 672, and draw 2 x (500 W x 168 h + 1,000 W x 84 h) = 336 kWh, 67.20.

    Half of the time is work: (672 + 2 x 84 kWh x 0.20) / 2 + 2 x 84 kWh x 0.20 = 386.40. At full load the two hosts
    cost 4 + 0.60 an hour, in which the replica makes 360,000 output tokens: 12.7778 a million. One more million takes
    10,000 s of both, at 1,000 W more: 5.5556 kWh, 1.1111.
    """
    bill = account(Situation(costs(COSTS), WEEK, PAIR, TRAFFIC))
    (model,) = bill.models
    assert (bill.total, bill.notes) == (Decimal("739.2"), ())
    assert (model.tokens.output, model.tokens.requests) == (30_240_000, 7)
    assert rounded(model.utilisation) == "0.5000"
    assert (rounded(model.working), rounded(model.idle)) == ("386.4000", "352.8000")
    assert model.full and model.marginal
    assert rounded(model.full.output) == "12.7778"
    assert rounded(model.marginal.output) == "1.1111"


def test_the_days_on_which_a_model_had_one_host_count_as_those_of_one() -> None:
    """Three days on one host with 100 tokens a second, four on two with 50 each: 9 and 4 x 2 days of a host."""
    change = WEEK.begins + 3 * DAY
    alone = held("gpu1", "large", span=Interval(WEEK.begins, change))
    late = tuple(replace(each, release=2, span=Interval(change, WEEK.ends)) for each in PAIR)
    after = use(0, 17_280_000, model="large", day=Interval(change, WEEK.ends).days[0])
    traffic = (use(0, 12_960_000, model="large"), after)
    (model,) = account(Situation(costs(COSTS), WEEK, (alone, *late), traffic)).models
    # 129,600 s of three days, and 172,800 s of four.
    assert model.live_hours == 264
    assert rounded(model.utilisation) == "0.5000"


def test_another_models_use_stays_where_it_was() -> None:
    there = (*PAIR, held("gpu1", "small"))
    traffic = (*TRAFFIC, use(0, 60, requests=3))
    text = COSTS + "  - {model: small, input: 1000, output: 100, measured: 2026-11-01}\n"
    bill = account(Situation(costs(text), WEEK, there, traffic))
    assert {each.model: rounded(each.utilisation, 6) for each in bill.models} == {
        "large": "0.500000",
        "small": "0.000001",
    }


def test_a_scenario_has_the_hosts_of_a_replica_too() -> None:
    situation = apply(Situation(costs(COSTS), WEEK, PAIR, TRAFFIC), parse_scenario("traffic=2"))
    (model,) = account(situation).models
    assert rounded(model.utilisation) == "1.0000"


def test_no_host_of_a_replica_that_is_used_is_idle() -> None:
    found = idleness(Situation(costs(COSTS), WEEK, PAIR, TRAFFIC))
    assert [(each.host, each.requests, each.idle) for each in found.held] == [
        ("gpu1", 7, False),
        ("gpu2", 7, False),
    ]
    others = (held("gpu1", "large"), held("gpu2", "large"))
    assert [
        each.idle for each in idleness(Situation(costs(COSTS), WEEK, others, TRAFFIC)).held
    ] == [
        True,
        False,
    ]
