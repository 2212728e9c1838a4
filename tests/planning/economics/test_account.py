"""The bill of own hosts, against figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from tests.planning.economics.given import DAY, WEEK, costs, held, rounded, use
from toolkit.domain.costs.economics import Interval, Metered
from toolkit.errors import InputError
from toolkit.planning.economics.account import account
from toolkit.planning.economics.bills import PerMillion, Situation

RENTED = """\
currency: EUR
hosts:
  gpu1: {from: 2026-01-01, hourly: 1}
capacity:
  - {model: small, input: 1000, cached: 10000, output: 100, measured: 2026-11-01}
"""
BOUGHT = """\
currency: EUR
energy: {kwh: 0.20, pue: 1.5}
hosts:
  gpu1:
    from: 2026-01-01
    purchase: {price: 35040, years: 4}
    watts: {idle: 200, busy: 1000}
capacity:
  - {model: small, input: 1000, cached: 10000, output: 100, measured: 2026-11-01}
"""


def kinds(found: PerMillion | None) -> tuple[str, ...]:
    assert found is not None
    return tuple(rounded(each) for each in (found.input, found.cached, found.output))


def test_a_rented_host_costs_its_hours_whatever_it_does() -> None:
    """168 h at 1 an hour are 168.

    100 million fresh tokens / 1,000 are 100,000 s, 100 million cached ones / 10,000 are 10,000 s, 10 million output
    tokens / 100 are 100,000 s: 210,000 s of work in 604,800 s, a utilisation of 0.347222. Work costs 168 x 0.347222 =
    58.3333, idle time the other 109.6667.
    A million fresh tokens take 1,000 s of the 210,000 s: 168 x 1,000 / 210,000 = 0.8; cached ones a tenth of it, output
    tokens ten times of it. At full load a second costs 1 / 3,600, so a million fresh tokens 1,000 / 3,600 = 0.2778.
    One more token costs nothing.
    """
    traffic = (use(200_000_000, 10_000_000, cached=100_000_000),)
    bill = account(Situation(costs(RENTED), WEEK, (held(),), traffic))
    (model,) = bill.models
    assert (bill.total, model.total) == (168, 168)
    assert rounded(model.utilisation, 6) == "0.347222"
    assert (rounded(model.working), rounded(model.idle)) == ("58.3333", "109.6667")
    assert kinds(model.actual) == ("0.8000", "0.0800", "8.0000")
    assert kinds(model.full) == ("0.2778", "0.0278", "2.7778")
    assert kinds(model.marginal) == ("0.0000", "0.0000", "0.0000")
    assert rounded(bill.unused) == "109.6667"


def test_time_in_which_a_model_slept_is_told_apart_from_idle_time() -> None:
    """Of the idle 109.6667, it slept 42 h of 168: 42. More seconds than it had no work are no more than that."""
    traffic = (use(200_000_000, 10_000_000, cached=100_000_000),)
    situation = Situation(costs(RENTED), WEEK, (held(),), traffic)
    for slept, asleep, idle in ((42 * 3600, "42.0000", "67.6667"), (10**9, "109.6667", "0.0000")):
        bill = account(replace(situation, asleep={("gpu1", "small"): slept, ("gpu2", "x"): 5}))
        (model,) = bill.models
        assert (rounded(model.asleep), rounded(model.idle)) == (asleep, idle)
        assert (rounded(bill.unused), model.total) == ("109.6667", 168)


def test_a_bought_host_is_written_off_and_pays_its_energy() -> None:
    """35,040 / (4 x 8,760 h) is 1 an hour, 168 in the week.

    10 million output tokens / 100 are 100,000 s of work, a utilisation of 0.165344. Idle energy: 200 W x 168 h x 1.5 =
    50.4 kWh, 10.08. Work: 800 W x 100,000 s / 3,600 x 1.5 = 33.3333 kWh, 6.6667. All: 184.7467.
    Work costs (168 + 10.08) x 0.165344 + 6.6667 = 36.1111; idle time 148.6356.
    One more million output tokens take 10,000 s: 800 W x 10,000 s / 3.6e6 x 1.5 = 3.3333 kWh, 0.6667.
    At full load the week costs 168 + 10.08 + 800 W x 168 h x 1.5 x 0.20 / 1000 = 218.40, and makes 60.48 million output
    tokens: 3.6111 a million.
    """
    bill = account(Situation(costs(BOUGHT), WEEK, (held(),), (use(0, 10_000_000),)))
    (model,), (host,) = bill.models, bill.hosts
    assert (host.capital, rounded(host.kwh), rounded(host.energy)) == (168, "83.7333", "16.7467")
    assert rounded(model.total) == "184.7467"
    assert (rounded(model.working), rounded(model.idle)) == ("36.1111", "148.6356")
    assert kinds(model.actual) == ("-", "-", "18.4747")
    assert kinds(model.marginal)[2] == "0.6667"
    assert kinds(model.full)[2] == "3.6111"
    assert rounded(model.marginal_total) == "6.6667"


def test_a_host_that_is_written_off_costs_no_capital() -> None:
    text = BOUGHT.replace("years: 4", "years: 1").replace("2026-01-01", "2025-11-04")
    bill = account(Situation(costs(text), WEEK, (held(),), ()))
    # The year ends after two of the seven days: 35,040 / 8,760 x 48 h.
    assert bill.hosts[0].capital == 4 * 48
    later = text.replace("2025-11-04", "2026-06-01").replace(
        "years: 1", "years: 1, bought: 2025-11-04"
    )
    assert account(Situation(costs(later), WEEK, (held(),), ())).hosts[0].capital == 4 * 48


def test_replicas_share_a_host_by_their_memory_while_they_are_there() -> None:
    """A week at 1 an hour: `small` is live with 1 part of memory, `large` stands by with 3 for the last four days.

    72 h of `small` alone: 72. 96 h together: 24 for `small`, 72 for `large`.
    """
    late = Interval(WEEK.begins + 3 * DAY, WEEK.ends)
    there = (held(), held(model="large", span=late, live=False, weight=3))
    bill = account(Situation(costs(RENTED), WEEK, there, ()))
    assert [(each.model, each.total, each.standby) for each in bill.models] == [
        ("large", 72, 72),
        ("small", 96, 0),
    ]
    assert bill.unused == 168


def test_time_without_any_replica_is_nobodys() -> None:
    early = Interval(WEEK.begins, WEEK.begins + DAY)
    bill = account(Situation(costs(RENTED), WEEK, (held(span=early),), ()))
    assert (bill.models[0].total, bill.empty, bill.total) == (24, 144, 168)


def test_the_parts_of_a_bill_sum_up_to_it() -> None:
    text = BOUGHT.replace(
        "capacity:",
        "  gpu2: {from: 2026-11-05, hourly: 2.2, hosting: 90, people: 3}\npeople: {hour: 70, hours: 5}\ncapacity:",
    )
    middle = Interval(WEEK.begins + DAY, WEEK.begins + 5 * DAY)
    late = Interval(WEEK.begins + 4 * DAY, WEEK.ends)
    there = (
        held(),
        held(model="large", span=middle, weight=7),
        held(host="gpu2", span=late, live=False),
    )
    traffic = (use(7_000_000, 3_000_000), use(5_000, 70_000, model="large", key="bob"))
    bill = account(Situation(costs(text), WEEK, there, traffic))
    models = sum(each.total for each in bill.models)
    assert abs(models + bill.empty - bill.total) < Decimal("1e-15")
    assert abs(sum(each.total for each in bill.keys) - models) < Decimal("1e-15")
    # 5 hours a month for the fleet, 70 each: 168 / 730 of a month. gpu2 adds 3 hours for its 96 hours.
    people = sum(each.people for each in bill.hosts)
    assert rounded(people) == rounded(Decimal(350 * 168 + 210 * 96) / 730)


def test_a_key_pays_for_the_work_of_its_tokens() -> None:
    """Ann: 1 million in (1,000 s) and 10,000 out (100 s). Bob: 30,000 out (300 s). 168 x 1,100 / 1,400 = 132."""
    traffic = (use(1_000_000, 10_000), use(0, 30_000, key="bob"))
    bill = account(Situation(costs(RENTED), WEEK, (held(),), traffic))
    assert [(each.key, rounded(each.total)) for each in bill.keys] == [
        ("ann", "132.0000"),
        ("bob", "36.0000"),
    ]


def test_without_a_capacity_no_utilisation_is_claimed() -> None:
    text = RENTED[: RENTED.index("capacity")]
    bill = account(Situation(costs(text), WEEK, (held(),), (use(1_000_000, 1_000_000),)))
    (model,) = bill.models
    assert (model.utilisation, model.idle, model.full, bill.unused) == (None, None, None, None)
    # 1 : 0.1 : 5.
    assert kinds(model.actual) == ("28.0000", "-", "140.0000")
    assert bill.notes == ("small at gpu1: utilisation unknown without its `capacity`",)


def test_more_tokens_than_a_replica_can_do_are_said() -> None:
    bill = account(Situation(costs(RENTED), WEEK, (held(),), (use(0, 70_000_000),)))
    assert bill.notes == ("small at gpu1: more tokens than its `capacity` allows",)
    assert bill.models[0].idle == 0


def test_tokens_where_nothing_ran_are_said() -> None:
    bill = account(Situation(costs(RENTED), WEEK, (), (use(5, 6),)))
    assert bill.notes == ("small at gpu1: 11 tokens while nothing says that it ran there",)
    assert bill.empty == 168
    # A request that was refused has no tokens, and nothing to say.
    assert account(Situation(costs(RENTED), WEEK, (), (use(0, 0),))).notes == ()


@pytest.mark.parametrize(
    ("readings", "kwh", "source"),
    [
        # A meter wins over the watts: 100 kWh x 1.5.
        ([Metered("gpu1", WEEK, Decimal(100))], "150.0000", "metered"),
        # Half of a stretch of two weeks.
        (
            [Metered("gpu1", Interval(WEEK.begins - 7 * DAY, WEEK.ends), Decimal(100))],
            "75.0000",
            "metered",
        ),
        # Six days metered; on the seventh 200 W x 24 h = 4.8 kWh.
        (
            [Metered("gpu1", Interval(WEEK.begins, WEEK.ends - DAY), Decimal(60))],
            "97.2000",
            "metered, 24.0 h of stated watts",
        ),
        ([Metered("gpu2", WEEK, Decimal(100))], "50.4000", "metered, 168.0 h of stated watts"),
    ],
)
def test_a_meter_is_read(readings: list[Metered], kwh: str, source: str) -> None:
    text = BOUGHT.replace("busy: 1000}", "busy: 1000}\n    metered: true")
    bill = account(Situation(costs(text), WEEK, (held(),), (), tuple(readings)))
    (host,) = bill.hosts
    assert (rounded(host.kwh), host.energy_source) == (kwh, source)
    assert bill.total == bill.models[0].total


@pytest.mark.parametrize(
    ("counted", "kwh", "source", "notes"),
    [
        # 4 x 1,000 W x 24 h are 96 kWh, and a counter may have steps of 1 kWh.
        (97, "145.5000", "metered", ()),
        # 200 W x 24 h x 1.5 take the place of what no such host draws; watts beside the meter are among them.
        (
            98,
            "7.2000",
            "metered, 24.0 h of stated watts",
            (
                "gpu1: readings of 24.0 h are more than 4 times its busy watts: stated watts take their place",
            ),
        ),
    ],
)
def test_a_reading_that_no_host_draws_is_refused(
    counted: int, kwh: str, source: str, notes: tuple[str, ...]
) -> None:
    text = BOUGHT.replace("busy: 1000}", "busy: 1000}\n    metered: true")
    day = Interval(WEEK.begins, WEEK.begins + DAY)
    read = (Metered("gpu1", day, Decimal(counted)),)
    bill = account(Situation(costs(text), day, (held(span=day),), (), read))
    assert (rounded(bill.hosts[0].kwh), bill.hosts[0].energy_source) == (kwh, source)
    assert bill.notes == notes


def test_stated_watts_are_those_of_the_whole_host_also_beside_a_meter() -> None:
    """Six days: 60 kWh and 50 W x 144 h, 67.2 kWh. The seventh: 200 W x 24 h, 4.8 kWh. 72 x 1.5 are 108."""
    text = BOUGHT.replace("busy: 1000}", "busy: 1000}\n    metered: {rest: 50}")
    read = (Metered("gpu1", Interval(WEEK.begins, WEEK.ends - DAY), Decimal(60)),)
    (host,) = account(Situation(costs(text), WEEK, (held(),), (), read)).hosts
    assert rounded(host.kwh) == "108.0000"


def test_a_gap_of_a_meter_without_stated_watts_is_refused() -> None:
    text = BOUGHT.replace("watts: {idle: 200, busy: 1000}", "metered: {rest: 50}")
    short = Metered("gpu1", Interval(WEEK.begins, WEEK.begins + DAY), Decimal(5))
    with pytest.raises(InputError, match=r"gpu1 has no readings of its meter for 144\.0 h"):
        account(Situation(costs(text), WEEK, (held(),), (), (short,)))
    whole = replace(short, span=WEEK)
    bill = account(Situation(costs(text), WEEK, (held(),), (use(0, 1000),), (whole,)))
    # (5 kWh + 50 W x 168 h) x 1.5; what one more token draws is unknown.
    assert rounded(bill.hosts[0].kwh) == "20.1000"
    assert (bill.models[0].marginal, bill.models[0].marginal_total) == (None, None)


def test_a_replica_on_a_host_without_a_price_is_refused() -> None:
    text = RENTED.replace("from: 2026-01-01", "from: 2026-01-01, until: 2026-11-04")
    with pytest.raises(InputError) as refused:
        account(Situation(costs(text), WEEK, (held(),), ()))
    assert refused.value.message == "gpu1 runs small on 2026-11-05 and has no price then"
    early = Interval(WEEK.begins, WEEK.begins + 3 * DAY)
    assert account(Situation(costs(text), WEEK, (held(span=early),), ())).total == 72


def test_a_later_price_holds_from_its_day_on() -> None:
    text = RENTED.replace(
        "{from: 2026-01-01, hourly: 1}",
        "[{from: 2026-01-01, hourly: 1}, {from: 2026-11-08, hourly: 2}]",
    )
    bill = account(Situation(costs(text), WEEK, (held(),), ()))
    assert bill.total == 6 * 24 + 48
    assert costs(text).price_on("gpu1", WEEK.begins) == costs(text).hosts["gpu1"][0]
    assert costs(text).hosts["gpu1"][0].ends == date(2026, 11, 7)
