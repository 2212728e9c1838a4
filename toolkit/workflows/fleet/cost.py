"""Gather the data of a bill, and make the bill with the comparisons beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from toolkit.domain.costs.economics import ApiPrice
from toolkit.errors import InputError
from toolkit.planning.economics.account import account
from toolkit.planning.economics.bills import Account, Situation
from toolkit.planning.economics.comparison import Comparison, chosen_apis, compare
from toolkit.planning.economics.scenario import apply, parse_scenario


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill, and the same traffic at closed APIs. `scenario` is what was changed, empty for nothing."""

    scenario: str
    account: Account
    beside: tuple[Comparison, ...]


def bills(
    situation: Situation,
    shipped: Mapping[str, ApiPrice],
    named: Sequence[str],
    today: date,
    *,
    prompt: int | None = None,
    scenarios: Sequence[str] = (),
) -> tuple[Bill, ...]:
    """Return the bill of a situation, and that of each scenario after it.

    `shipped` are prices of closed models, `named` those to compare with, `prompt` the length of prompts in tokens.
    Raises InputError for what the costs lack, and for scenarios that name nothing that there is.
    """
    apis = chosen_apis(situation.costs, shipped, named)
    made = []
    for words in (None, *scenarios):
        try:
            other = situation if words is None else apply(situation, parse_scenario(words))
            found = account(other)
        except InputError as error:
            prefix = "" if words is None else f"--what-if {words}: "
            raise InputError(f"{prefix}{error.message}", hint=error.hint) from None
        beside = compare(other, found, apis, today, prompt=prompt)
        made.append(Bill(words or "", found, beside))
    return tuple(made)
