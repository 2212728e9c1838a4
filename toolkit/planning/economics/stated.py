"""A traffic that somebody states, where there is no measured use yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from toolkit.domain.costs.economics import (
    Costs,
    HostPrice,
    Interval,
    Reservation,
    Traffic,
    midnight,
)
from toolkit.errors import InputError
from toolkit.planning.economics.bills import Situation
from toolkit.planning.economics.work import Tokens

KEY = "stated"


def stated(
    costs: Costs, model: str, tokens: Tokens, first: date, days: int, hosts: Sequence[str] = ()
) -> Situation:
    """Return the situation in which `model` alone is live on `hosts` (by default on all with a price) for `days`.

    The tokens, those of all days together, come evenly over days and hosts; no meter has counted what they draw. Raises
    InputError where a host has no price on the first day, or none has, and where a metered one has no stated watts.
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
    return unmetered(
        Situation(
            replace(costs, hosts=used),
            span,
            tuple(Reservation(name, model, 0, span, live=True) for name in chosen),
            tuple(_spread(model, tokens, span.days, chosen)),
        )
    )


def unmetered(situation: Situation) -> Situation:
    """Return the situation with stated watts in place of meters, which do not tell what another traffic would draw.

    Raises InputError where a metered host has no stated watts in the situation's time.
    """

    def plain(name: str, price: HostPrice) -> HostPrice:
        if not price.metered:
            return price
        if price.watts_idle is None:
            if not _meets(price, situation.span):
                return price
            raise InputError(
                f"the meter of {name} does not tell what it would draw otherwise",
                hint="write its `watts: {idle: 200, busy: 900}` into the file of costs",
            )
        return replace(price, metered=False)

    prices = {
        name: tuple(plain(name, each) for each in periods)
        for name, periods in situation.costs.hosts.items()
    }
    return replace(situation, costs=replace(situation.costs, hosts=prices), metered=())


def _meets(price: HostPrice, span: Interval) -> bool:
    """Return whether a price holds on a day of the span."""
    days = span.days
    return bool(days) and price.begins <= days[-1] and (price.ends is None or price.ends >= days[0])


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
