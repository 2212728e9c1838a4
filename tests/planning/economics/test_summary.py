"""A bill in one line a model."""

from __future__ import annotations

from decimal import Decimal

from tests.planning.economics.given import FIRST, WEEK, costs, held, rounded, use
from tests.planning.economics.test_api import FLAT, RENTED, TURNS
from toolkit.planning.economics.account import account
from toolkit.planning.economics.bills import Situation
from toolkit.planning.economics.comparison import compare
from toolkit.planning.economics.summary import Summary, summaries


def test_a_summary_names_the_cheapest_api() -> None:
    """1 million tokens in cost 2 USD or 1 USD at the two APIs, and a USD costs 0.5."""
    situation = Situation(costs(RENTED), WEEK, (held(),), (use(1_000_000, 0),))
    bill = account(situation)
    (found,) = summaries(bill, compare(situation, bill, [FLAT, TURNS], FIRST))
    assert (found.model, found.ours, found.currency) == ("small", 168, "EUR")
    assert (found.api, found.api_cost, found.stale) == ("acme/big", Decimal("0.5"), "")
    # 1,000 s of 604,800 s were work.
    assert rounded(found.unused) == "0.9983"


def test_without_anything_to_compare_it_has_no_api() -> None:
    bill = account(Situation(costs(RENTED), WEEK, (held(),), ()))
    assert summaries(bill, ()) == (Summary("small", "EUR", Decimal(168), Decimal(1)),)
