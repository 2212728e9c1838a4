"""The division of a host's time and its costs among the replicas that hold it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from toolkit.domain.costs.economics import (
    HOUR,
    HOURS_A_MONTH,
    Costs,
    HostPrice,
    Interval,
    Reservation,
    day_of,
    midnight,
)
from toolkit.errors import InputError

ZERO = Decimal(0)
_DAY = 86_400


@dataclass(slots=True)
class Share:
    """A model's part of a host: `seconds` of its live replicas, and its part of the host's time and costs.

    `replica_seconds` are those of whole replicas: half of each second of one that runs over two hosts.

    `live` and `standby` are seconds of the whole host: half of a host for ten seconds is five. `live_fixed` and
    `standby_fixed` is money, without energy.
    """

    seconds: int = 0
    replica_seconds: Decimal = ZERO
    standby_seconds: int = 0
    live: Decimal = ZERO
    standby: Decimal = ZERO
    live_fixed: Decimal = ZERO
    standby_fixed: Decimal = ZERO


@dataclass(slots=True)
class HostTime:
    """A host while one `price` holds: the part `span` of a bill's time, its costs without energy, its models' shares.

    `empty` are the seconds in which no replica holds it, with the money `empty_fixed`.
    """

    host: str
    price: HostPrice
    span: Interval
    capital: Decimal = ZERO
    hosting: Decimal = ZERO
    people: Decimal = ZERO
    empty: int = 0
    empty_fixed: Decimal = ZERO
    shares: dict[str, Share] = field(default_factory=dict)

    @property
    def seconds(self) -> int:
        """The seconds for which the host is paid at this price."""
        return self.span.seconds


def divide(
    host: str, costs: Costs, span: Interval, reservations: Iterable[Reservation]
) -> tuple[HostTime, ...]:
    """Return how the host's costs in `span` divide, for each of its prices in their order.

    At each moment the costs of the host divide among its replicas by their weight. Raises InputError where a replica
    holds the host while it has no price.
    """
    held = [each for each in reservations if each.host == host]
    found: list[HostTime] = []
    for part, price, present in segments(host, costs, span, held):
        if price is None:
            if present:
                raise InputError(
                    f"{host} runs {present[0].model} on {day_of(part.begins)} and has no price then",
                    hint=f"write `{host}: {{from: {day_of(part.begins)}, …}}` into the file of costs",
                )
            continue
        if not found or found[-1].price != price:
            found.append(HostTime(host, price, part))
        found[-1].span = Interval(found[-1].span.begins, part.ends)
        _add(found[-1], costs, part, present)
    return tuple(found)


def _add(time: HostTime, costs: Costs, part: Interval, present: list[Reservation]) -> None:
    price, hours = time.price, Decimal(part.seconds) / HOUR
    capital = capital_an_hour(price, part.begins) * hours
    hosting = price.hosting / HOURS_A_MONTH * hours
    people = price.people * costs.person_hour / HOURS_A_MONTH * hours
    time.capital += capital
    time.hosting += hosting
    time.people += people
    money, whole = capital + hosting + people, sum(each.weight for each in present)
    if not present:
        time.empty += part.seconds
        time.empty_fixed += money
    for each in present:
        share = time.shares.setdefault(each.model, Share())
        fraction = Decimal(each.weight) / Decimal(whole)
        if each.live:
            share.seconds += part.seconds
            share.replica_seconds += Decimal(part.seconds) / each.hosts
            share.live += fraction * part.seconds
            share.live_fixed += fraction * money
        else:
            share.standby_seconds += part.seconds
            share.standby += fraction * part.seconds
            share.standby_fixed += fraction * money


def segments(
    host: str, costs: Costs, span: Interval, held: Iterable[Reservation]
) -> Iterator[tuple[Interval, HostPrice | None, list[Reservation]]]:
    """Yield the parts of `span` in which neither the host's price nor its replicas change, in their order."""
    held = list(held)
    cuts = {span.begins, span.ends}
    for each in held:
        cuts |= {each.span.begins, each.span.ends}
    for price in costs.hosts.get(host, ()):
        cuts.add(midnight(price.begins))
        if price.ends is not None:
            cuts.add(midnight(price.ends) + _DAY)
        if price.purchase is not None:
            cuts.add(_written_off(price))
    inside = sorted(cut for cut in cuts if span.begins <= cut <= span.ends)
    for begins, ends in pairwise(inside):
        part = Interval(begins, ends)
        present = [each for each in held if each.span.begins <= begins and ends <= each.span.ends]
        yield part, costs.price_on(host, begins), present


def capital_an_hour(price: HostPrice, moment: int) -> Decimal:
    """Return the rent of a host, or what is written off of it, per hour at a moment."""
    if price.purchase is None:
        return price.hourly
    return price.purchase.hourly if moment < _written_off(price) else ZERO


def _written_off(price: HostPrice) -> int:
    assert price.purchase is not None
    return midnight(price.purchase.bought or price.begins) + int(price.purchase.years * 365 * _DAY)
