"""The charge to keys, for their quotas of cost: the prices of the file of costs, as hosts count with them."""

from __future__ import annotations

import re
from decimal import Decimal

from toolkit.domain.clients.keys import MILLION, Charge, Price
from toolkit.domain.costs.economics import Costs
from toolkit.errors import InputError, RefusedError

_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([A-Z]{3})")


def charge_of(costs: Costs, told: float) -> Charge:
    """Return the charge that the costs state; `told` is the time, in seconds since the epoch.

    Raises RefusedError where they state none. The real cost of tokens depends on the later use of the
    fleet, so it is no price in advance: a quota could not say how much of it is left.
    """
    if not costs.charge:
        raise RefusedError(
            "the file of costs does not say what keys are charged",
            hint="see what a million tokens cost, and write it under `charge:`: toolkit cost --since 30d",
        )
    models = {
        name: tuple(
            Price(
                each.begins.isoformat(),
                _whole(each.input),
                _whole(each.cached),
                _whole(each.output),
            )
            for each in prices
        )
        for name, prices in costs.charge.items()
    }
    return Charge(told, costs.currency, models)


def amount_of(text: str, currency: str) -> int:
    """Return an amount such as `50EUR` in millionths; raises InputError where it is none of `currency`."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or not Decimal(found[1]):
        raise InputError(f"{text[:40]!r} is no amount", hint=f"--cost-per-month 50{currency}")
    if found[2] != currency:
        raise InputError(
            f"{text} is not in {currency}, the currency of the file of costs",
            hint=f"--cost-per-month {found[1]}{currency}",
        )
    return _whole(Decimal(found[1]))


def _whole(amount: Decimal) -> int:
    return int(amount * MILLION)
