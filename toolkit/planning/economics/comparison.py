"""The bill of own hosts beside what closed APIs charge for the same traffic."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from toolkit.domain.costs.economics import ApiPrice, Costs, Traffic
from toolkit.errors import InputError
from toolkit.planning.economics.api import (
    BreakEven,
    Quote,
    break_even,
    by_day,
    exchange_rate,
    exchange_staleness,
    quote,
)
from toolkit.planning.economics.bills import Account, Situation
from toolkit.planning.economics.shares import ZERO
from toolkit.planning.economics.work import Tokens

# The models that a bill is compared with where neither the file of costs nor the command names any.
USUAL = ("openai/gpt-6.1-terra", "anthropic/claude-sonnet-5-5", "google/gemini-3.8-flash")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model's bill, or the whole fleet's with an empty `model`, beside one API's.

    `even` is None where the API has no price, or where nothing tells the marginal cost here.
    """

    model: str
    ours: Decimal
    tokens: Tokens
    quote: Quote
    even: BreakEven | None

    @property
    def api_is_cheaper(self) -> bool | None:
        """Whether the API costs less; None where it has no price, or nothing was asked."""
        if self.quote.cost is None or not self.tokens.all:
            return None
        return self.quote.cost < self.ours


def chosen_apis(
    costs: Costs, shipped: Mapping[str, ApiPrice], named: Sequence[str]
) -> tuple[ApiPrice, ...]:
    """Return the prices to compare with: the named ones, else those of the file of costs, else the usual ones.

    A price in the file of costs replaces the shipped one. Raises InputError for a name that neither has.
    """
    known = {**shipped, **costs.apis}
    found = []
    where = "" if named or not costs.against else ", which the file of costs has in `against`,"
    asked = named or costs.against or [each for each in USUAL if each in known]
    for name in dict.fromkeys(asked):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            raise InputError(
                f"no price of {name!r}{where} is known",
                hint=f"did you mean {' or '.join(near)}?" if near else "toolkit prices",
            )
        found.append(known[name])
    return tuple(found)


def compare(
    situation: Situation,
    bill: Account,
    apis: Sequence[ApiPrice],
    today: date,
    *,
    prompt: int | None = None,
) -> tuple[Comparison, ...]:
    """Return each model beside each API; and the fleet as a whole, unless it is one model and nothing else.

    `prompt` is the length in tokens for prices by the length of prompts, by default the mean. Raises InputError where
    the costs have no exchange rate for an API's currency.
    """
    costs = situation.costs
    rates = {api.name: _rate(costs, api) for api in apis}
    rows: dict[str, list[Traffic]] = {}
    for row in situation.traffic:
        rows.setdefault(row.model, []).append(row)
    subjects: list[tuple[str, Decimal, Decimal | None, Decimal | None, list[Traffic]]] = [
        (each.model, each.total, each.marginal_total, each.utilisation, rows[each.model])
        for each in bill.models
        if each.model in rows
    ]
    if len(bill.models) > 1 or bill.empty:
        subjects.append(("", bill.total, *_whole(bill), list(situation.traffic)))
    found = []
    for model, ours, marginal, used, traffic in subjects:
        tokens = by_day(traffic)
        whole = sum(tokens.values(), Tokens())
        for api in apis:
            quoted = quote(api, tokens, rates[api.name], today, stale=costs.stale, prompt=prompt)
            quoted = replace(quoted, stale=quoted.stale or _rate_staleness(costs, api, today))
            even = None
            if quoted.cost is not None and marginal is not None and quoted.cost:
                even = break_even(ours - marginal, marginal, quoted.cost, used)
            found.append(Comparison(model, ours, whole, quoted, even))
    return tuple(found)


def _rate(costs: Costs, api: ApiPrice) -> Decimal:
    rate = exchange_rate(
        costs.currency, api, {name: each.rate for name, each in costs.exchange.items()}
    )
    if rate is None:
        raise InputError(
            f"{api.name} is paid in {api.currency}, and nothing says what one {api.currency} costs in {costs.currency}",
            hint=f"write `exchange: {{{api.currency}: {{rate: 0.92, read: 2026-11-20}}}}` into the file of costs",
        )
    return rate


def _rate_staleness(costs: Costs, api: ApiPrice, today: date) -> str:
    """Return why the exchange rate of a price may be wrong; empty where it needs none."""
    exchange = costs.exchange.get(api.currency)
    if exchange is None or api.currency == costs.currency:
        return ""
    return exchange_staleness(api.currency, exchange, today, costs.stale)


def _whole(bill: Account) -> tuple[Decimal | None, Decimal | None]:
    """Return the marginal cost of all models and their utilisation together."""
    marginal: Decimal | None = ZERO
    worked: Decimal | None = ZERO
    hours = ZERO
    for each in bill.models:
        hours += each.live_hours
        if marginal is not None:
            marginal = None if each.marginal_total is None else marginal + each.marginal_total
        if worked is not None:
            used = each.utilisation
            worked = None if used is None else worked + used * each.live_hours
    return marginal, worked / hours if worked is not None and hours else None
