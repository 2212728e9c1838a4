"""What speaks for a model inside and what for a closed API."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from toolkit.planning.economics.api import BreakEven, Quote
from toolkit.planning.economics.comparison import Comparison
from toolkit.planning.economics.which import Point, PromptResults, Workload, points
from toolkit.planning.economics.work import Tokens

QUOTE = Quote("acme/big", Decimal(25), Decimal(30), date(2026, 11, 1), "a list")
BESIDE = Comparison(
    "small", Decimal(100), Tokens(10, 4_000_000, 0, 1_000_000), QUOTE,
    BreakEven(Decimal(4), Decimal("0.4")),
)  # fmt: skip
LOAD = Workload(BESIDE, "EUR", False, Decimal("0.9"), Decimal("0.02"))
HERE = PromptResults(9, 1, 0, (1.0, 2.0, 3.0))


def test_money_speaks_for_one_side_or_the_other() -> None:
    """5 million tokens for 25 are 5 a million."""
    assert points(LOAD) == (
        Point("requests may leave", "they stay", "yes, by the registry and this command"),
        Point("cost of this traffic", "EUR 100.00", "EUR 25.00", "api"),
        Point("of it for time without work", "90 %", "0 %", "api"),
        Point("one more million tokens", "EUR 0.0200", "EUR 5.0000", "inside"),
        Point("same cost at", "4 times this traffic", ""),
    )


def test_what_is_marked_inside_is_said_first() -> None:
    assert points(replace(LOAD, inside=True))[0] == Point(
        "requests may leave", "they stay", "no: marked inside", "inside"
    )


def test_an_unknown_figure_is_no_point() -> None:
    quiet = replace(BESIDE, tokens=Tokens(), even=None)
    subjects = [each.subject for each in points(Workload(quiet, "EUR", False, None, None))]
    assert subjects == ["requests may leave", "cost of this traffic"]
    none = replace(BESIDE, quote=replace(QUOTE, cost=None), even=None)
    assert points(replace(LOAD, comparison=none))[1] == Point(
        "cost of this traffic", "EUR 100.00", "no price"
    )


def test_a_stale_price_and_its_changes_are_points() -> None:
    quote = replace(QUOTE, stale="read 71 days ago", changes=("from 2027-01-01 on USD 2 in",))
    found = points(replace(LOAD, comparison=replace(BESIDE, quote=quote)))
    assert found[-2:] == (
        Point("price of the API", "-", "stale: read 71 days ago"),
        Point("price of the API", "-", "from 2027-01-01 on USD 2 in"),
    )


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (None, [("9 of 10", "not asked", ""), ("2.00 s", "not asked", ""), ("2 of 3", "not asked", "")]),
        (PromptResults(8, 2, 0, (0.5, 0.6)),
         [("9 of 10", "8 of 10", "inside"), ("2.00 s", "0.55 s", "api"), ("2 of 3", "2 of 2", "api")]),
        (PromptResults(9, 0, 1, (2.0, 9.0, 1.0)),
         [("9 of 10", "9 of 10", ""), ("2.00 s", "2.00 s", ""), ("2 of 3", "2 of 3", "")]),
        # It answered nothing.
        (PromptResults(0, 10, 0, ()),
         [("9 of 10", "0 of 10", "inside"), ("2.00 s", "not asked", ""), ("2 of 3", "not asked", "")]),
    ],
)  # fmt: skip
def test_golden_prompts_speak_too(
    there: PromptResults | None, expected: list[tuple[str, str, str]]
) -> None:
    found = points(replace(LOAD, here=HERE, there=there, latency=2.0))[-3:]
    assert [each.subject for each in found] == [
        "golden prompts passed", "median answer", "answers within 2 s",
    ]  # fmt: skip
    assert [(each.inside, each.api, each.speaks_for) for each in found] == expected
