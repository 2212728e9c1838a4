"""Scenarios: the same bill with more hosts, another device, another model, other traffic, another write-off."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from toolkit.domain.costs.economics import HostPrice, Traffic, day_of
from toolkit.errors import InputError
from toolkit.planning.economics.bills import Situation
from toolkit.planning.economics.fleet_size import resized, serving
from toolkit.planning.economics.stated import unmetered

HINT = "write hosts=+1, hosts=4, traffic=0.5, device=OFFER, model=NAME or write-off=5; several with commas"
_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_HOSTS = re.compile(r"[+-]?[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class Variation:
    """One thing that is otherwise: `what` of CHANGES, and its value as typed."""

    what: str
    value: str


def parse_scenario(text: str) -> tuple[Variation, ...]:
    """Return the changes in a text such as `hosts=+1,traffic=0.5`; raises InputError."""
    found = []
    for each in text.split(","):
        what, equals, value = each.strip().partition("=")
        if what not in CHANGES or not equals or not value:
            raise InputError(f"{each.strip()!r} is nothing that --what-if knows", hint=HINT)
        found.append(Variation(what, value.strip()))
    return tuple(found)


def apply(situation: Situation, changes: Sequence[Variation]) -> Situation:
    """Return the situation with the changes in their order.

    Readings of meters do not tell what other hosts or another traffic would draw: stated watts take their place. Raises
    InputError where a change names nothing that there is, or stated watts are missing.
    """
    for each in changes:
        situation = CHANGES[each.what](situation, each.value)
    return situation


def _traffic(situation: Situation, value: str) -> Situation:
    if not _NUMBER.fullmatch(value):
        raise InputError(f"traffic={value} is no multiple of the traffic", hint="traffic=0.5")
    factor = Decimal(value)
    return unmetered(
        replace(
            situation,
            traffic=_multiple(situation.traffic, factor),
            keys=None if situation.keys is None else _multiple(situation.keys, factor),
        )
    )


def _multiple(rows: Sequence[Traffic], factor: Decimal) -> tuple[Traffic, ...]:
    fields = ("requests", "tokens_in", "cached", "tokens_out")
    found, left = [], dict.fromkeys(fields, Decimal(0))
    for row in rows:
        counts: dict[str, Any] = {}
        for name in fields:
            # The next row gets the remainder of this row's rounding, so that the sums are exact.
            exact = getattr(row, name) * factor + left[name]
            counts[name] = int(exact)
            left[name] = exact - counts[name]
        found.append(replace(row, **counts))
    return tuple(found)


def _hosts(situation: Situation, value: str) -> Situation:
    if not _HOSTS.fullmatch(value):
        raise InputError(f"hosts={value} is no number of hosts", hint="hosts=+1 or hosts=4")
    there = len(serving(situation))
    if not there:
        raise InputError("no host serves, so none can be added", hint="toolkit cost --tokens-in …")
    wanted = int(value) + (there if value[0] in "+-" else 0)
    if not 1 <= wanted <= 1000:
        raise InputError(f"hosts={value} leaves {wanted} hosts", hint="1 to 1,000 hosts")
    return unmetered(resized(situation, wanted))


def _device(situation: Situation, value: str) -> Situation:
    offers = situation.costs.offers
    if value not in offers:
        raise InputError(
            f"the file of costs has no offer {value!r}",
            hint=f"offers: {', '.join(offers) or 'none; write one below `offers:`'}",
        )
    first = day_of(situation.span.begins)
    prices = {
        name: _offered(offers[value], periods, first)
        for name, periods in situation.costs.hosts.items()
    }
    return unmetered(replace(situation, costs=replace(situation.costs, hosts=prices)))


def _offered(offer: HostPrice, periods: Sequence[HostPrice], first: date) -> tuple[HostPrice, ...]:
    """Return the offer for the days on which a host has a price, from the day `first` on.

    Days without a break have one price: the write-off of a purchase does not begin again amid them.
    """
    found: list[HostPrice] = []
    for each in periods:
        if each.ends is not None and each.ends < first:
            continue
        last = found[-1].ends if found else None
        if last is not None and each.begins == last + timedelta(days=1):
            found[-1] = replace(found[-1], ends=each.ends)
        else:
            found.append(replace(offer, begins=max(each.begins, first), ends=each.ends))
    return tuple(found)


def _model(situation: Situation, value: str) -> Situation:
    """Return the situation in which another model has the place and the traffic of the one that there is."""
    names = {each.model for each in situation.reservations}
    former, colon, new = value.rpartition(":")
    if not colon and len(names) > 1:
        raise InputError(
            f"model={value} does not say in place of which model",
            hint=f"model={sorted(names)[0]}:{value}",
        )
    former = former or next(iter(names), "")
    if former not in names:
        raise InputError(f"{former!r} does not run", hint=f"models: {', '.join(sorted(names))}")
    known = sorted({each.model for each in situation.costs.capacities})
    if new not in known:
        raise InputError(
            f"the file of costs has no capacity of {new!r}",
            hint=f"models with a capacity: {', '.join(known) or 'none'}",
        )
    return unmetered(
        replace(
            situation,
            reservations=tuple(
                replace(each, model=new) if each.model == former else each
                for each in situation.reservations
            ),
            traffic=_renamed(situation.traffic, former, new),
            keys=None if situation.keys is None else _renamed(situation.keys, former, new),
            asleep=_sleeps_as(situation.asleep, former, new),
        )
    )


def _sleeps_as(
    asleep: Mapping[tuple[str, str], int], former: str, new: str
) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for (host, model), seconds in asleep.items():
        at = host, new if model == former else model
        found[at] = found.get(at, 0) + seconds
    return found


def _renamed(rows: Sequence[Traffic], former: str, new: str) -> tuple[Traffic, ...]:
    return tuple(replace(row, model=new) if row.model == former else row for row in rows)


def _write_off(situation: Situation, value: str) -> Situation:
    years = Decimal(value) if _NUMBER.fullmatch(value) else Decimal(0)
    if years < Decimal("0.1"):
        raise InputError(f"write-off={value} is no number of years", hint="write-off=5")

    def other(price: HostPrice) -> HostPrice:
        if price.purchase is None:
            return price
        return replace(price, purchase=replace(price.purchase, years=years))

    if not any(each.purchase for periods in situation.costs.hosts.values() for each in periods):
        raise InputError("no host is bought, so none is written off", hint=HINT)
    prices = {
        name: tuple(other(each) for each in periods)
        for name, periods in situation.costs.hosts.items()
    }
    return replace(situation, costs=replace(situation.costs, hosts=prices))


CHANGES: Mapping[str, Callable[[Situation, str], Situation]] = {
    "hosts": _hosts,
    "traffic": _traffic,
    "device": _device,
    "model": _model,
    "write-off": _write_off,
}
