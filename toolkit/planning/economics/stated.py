"""A traffic that somebody states, where there is no measured use yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from toolkit.domain.costs.economics import Costs, Interval, Reservation, Traffic, midnight
from toolkit.errors import InputError
from toolkit.planning.economics.bills import Situation
from toolkit.planning.economics.work import Tokens

KEY = "stated"


def stated(
    costs: Costs, model: str, tokens: Tokens, first: date, days: int, hosts: Sequence[str] = ()
) -> Situation:
    """Return the situation in which `model` alone is live on `hosts` (by default on all with a price) for `days`.

    The tokens, those of all days together, come evenly over days and hosts. Raises InputError where a host has no price
    on the first day, or none has.
    """
    priced = [name for name in costs.hosts if costs.price_on(name, midnight(first))]
    for name in hosts:
        if name not in priced:
            raise InputError(
                f"the host {name!r} has no price on {first}",
                hint=f"hosts with a price: {', '.join(priced) or 'none'}",
            )
    chosen = tuple(hosts) or tuple(priced)
    if not chosen:
        raise InputError(
            f"no host has a price on {first}", hint="give a host a price from that day"
        )
    span = Interval(midnight(first), midnight(first + timedelta(days=days)))
    used = {name: costs.hosts[name] for name in chosen}
    return Situation(
        replace(costs, hosts=used),
        span,
        tuple(Reservation(name, model, 0, span, live=True) for name in chosen),
        tuple(_spread(model, tokens, span.days, chosen)),
    )


def _spread(
    model: str, tokens: Tokens, days: Sequence[date], hosts: Sequence[str]
) -> Sequence[Traffic]:
    """Return rows whose sums are exactly the tokens."""
    places = [(day, host) for day in days for host in hosts]
    counts = [
        parts(each, len(places))
        for each in (tokens.requests, tokens.input, tokens.cached, tokens.output)
    ]
    return [
        Traffic(day, host, KEY, model, *(count[number] for count in counts))
        for number, (day, host) in enumerate(places)
    ]


def parts(whole: int, number: int) -> list[int]:
    """Return `number` parts of a whole that differ by one at most."""
    return [whole * (each + 1) // number - whole * each // number for each in range(number)]
