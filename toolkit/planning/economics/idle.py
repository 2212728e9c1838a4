"""Replicas and hosts that nobody uses, with what they cost a day.

A host costs what it costs whether it works or not. Its costs of a day divide among the replicas that hold it now, by
the memory that they hold, as in the bill; idle watts are among them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from toolkit.domain.costs.economics import HOURS_A_MONTH, Costs, HostPrice, Reservation
from toolkit.planning.economics.bills import Situation
from toolkit.planning.economics.several_hosts import Together, together
from toolkit.planning.economics.shares import ZERO, capital_an_hour

_HOURS = Decimal(24)
LIVE, STANDBY, EMPTY = "live", "standby", "empty"


@dataclass(frozen=True, slots=True)
class HostPart:
    """A part of a host, held by a replica; without a `model` nothing holds the host.

    `state` is `live`, `standby` or `empty`. `requests` came in the span, the last of them on the day `last`: None where
    there were none, and for a standby. A live one slept for `asleep_seconds` of the span. `a_day` is None where the
    host has no price, or its energy is read from a meter.
    """

    host: str
    model: str
    release: int
    state: str
    requests: int
    last: date | None
    a_day: Decimal | None
    asleep_seconds: int = 0

    @property
    def idle(self) -> bool:
        """Whether nobody has used it: a host without replicas, a standby, and a replica without a request."""
        return self.state != LIVE or not self.requests


@dataclass(frozen=True, slots=True)
class Idleness:
    """The models that hold the hosts now, the most expensive idle part first; amounts are in `currency`."""

    currency: str
    held: tuple[HostPart, ...]

    @property
    def a_day(self) -> Decimal | None:
        """The cost of all of it a day; None where a part of it is not known."""
        return _sum(self.held)

    @property
    def idle_a_day(self) -> Decimal | None:
        """The cost of the idle parts a day."""
        return _sum(each for each in self.held if each.idle)


def idleness(situation: Situation) -> Idleness:
    """Return the holders of hosts at the end of the span, and whether each was used in the span."""
    costs, end = situation.costs, situation.span.ends
    there = [each for each in situation.reservations if each.span.ends >= end]
    names = dict.fromkeys(
        [*(name for name in costs.hosts if costs.price_on(name, end - 1)), *(x.host for x in there)]
    )
    found: list[HostPart] = []
    pairs = together(situation.reservations)
    for host in names:
        mine = [each for each in there if each.host == host]
        cost = _a_day(costs, costs.price_on(host, end - 1), end - 1, len(names))
        whole = Decimal(sum(each.weight for each in mine))
        if not mine:
            found.append(HostPart(host, "", 0, EMPTY, 0, None, cost))
        for each in mine:
            part = None if cost is None else cost * each.weight / whole
            found.append(_held(situation, each, part, pairs))
    found.sort(
        key=lambda each: (not each.idle, -(each.a_day or ZERO), each.host, each.model, each.state)
    )
    return Idleness(costs.currency, tuple(found))


def _held(
    situation: Situation, there: Reservation, a_day: Decimal | None, found: Together
) -> HostPart:
    rows = [
        each
        for each in situation.traffic
        if there.live
        and each.model == there.model
        and there.host in found.get((each.host, each.model, each.day), (each.host,))
        and each.requests
    ]
    return HostPart(
        there.host,
        there.model,
        there.release,
        LIVE if there.live else STANDBY,
        sum(each.requests for each in rows),
        max((each.day for each in rows), default=None),
        a_day,
        situation.asleep.get((there.host, there.model), 0) if there.live else 0,
    )


def _a_day(costs: Costs, price: HostPrice | None, moment: int, hosts: int) -> Decimal | None:
    """Return the cost of a host on an idle day, its part of the work for the fleet included."""
    if price is None or price.metered:
        return None
    monthly = price.hosting + costs.person_hour * (price.people + costs.people / hosts)
    energy = (price.watts_idle or ZERO) / 1000 * costs.pue * costs.kwh
    return _HOURS * (capital_an_hour(price, moment) + monthly / HOURS_A_MONTH + energy)


def _sum(held: Iterable[HostPart]) -> Decimal | None:
    known = [each.a_day for each in held]
    return None if None in known else sum((each for each in known if each is not None), ZERO)
