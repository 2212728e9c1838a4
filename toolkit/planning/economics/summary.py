"""A bill in one line a model, for pages that show it beside other things."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from toolkit.planning.economics.bills import Account
from toolkit.planning.economics.comparison import Comparison


@dataclass(frozen=True, slots=True)
class Summary:
    """The cost of a model, the part of it that paid for idle and standby time, and the cheapest of the closed APIs.

    `unused` is from 0 to 1, None where the utilisation is not known. `api` is empty where none has a price for the
    traffic; `stale` says why its price may be wrong.
    """

    model: str
    currency: str
    ours: Decimal
    unused: Decimal | None
    api: str = ""
    api_cost: Decimal | None = None
    stale: str = ""


def summaries(bill: Account, beside: Iterable[Comparison]) -> tuple[Summary, ...]:
    """Return a line for each model of the bill, in its order."""
    quoted: dict[str, list[Comparison]] = {}
    for each in beside:
        if each.quote.cost is not None and each.tokens.all:
            quoted.setdefault(each.model, []).append(each)
    found = []
    for model in bill.models:
        unused = None
        if model.idle is not None and model.total:
            unused = (model.idle + model.asleep + model.standby) / model.total
        cheapest = min(
            quoted.get(model.model, ()),
            key=lambda each: each.quote.cost or Decimal(0),
            default=None,
        )
        found.append(
            Summary(
                model.model,
                bill.currency,
                model.total,
                unused,
                cheapest.quote.api if cheapest else "",
                cheapest.quote.cost if cheapest else None,
                cheapest.quote.stale if cheapest else "",
            )
        )
    return tuple(found)
