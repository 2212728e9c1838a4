"""The same models and traffic on more or fewer hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from toolkit.domain.costs.economics import Costs, Interval, Reservation, Traffic, day_of
from toolkit.errors import InputError
from toolkit.planning.economics.bills import Situation
from toolkit.planning.economics.shares import segments
from toolkit.planning.economics.stated import parts
from toolkit.planning.economics.work import Tokens, tokens_of

_Asleep = Mapping[tuple[str, str], int]


def serving(situation: Situation) -> list[str]:
    """Return the hosts on which a model is live, in the order of the reservations."""
    return list(dict.fromkeys(each.host for each in situation.reservations if each.live))


def resized(situation: Situation, wanted: int) -> Situation:
    """Return the situation with `wanted` hosts that serve; traffic spreads over them by the day.

    Added hosts are like those that serve, one after the other. The models of removed ones move to those that stay, for
    the time in which they are not there anyway. Raises InputError where no host that stays has a price for a model's
    time.
    """
    there = serving(situation)
    grown = _with_more(situation, there, wanted)
    return _without(grown, there[wanted:], there[:wanted]) if wanted < len(there) else grown


def _with_more(situation: Situation, there: Sequence[str], wanted: int) -> Situation:
    costs, held = dict(situation.costs.hosts), list(situation.reservations)
    asleep = dict(situation.asleep)
    for number in range(len(there), wanted):
        like = there[number % len(there)]
        name = f"{like}+{number}"
        costs[name] = costs[like]
        held += [replace(each, host=name) for each in situation.reservations if each.host == like]
        asleep |= {
            (name, model): seconds
            for (host, model), seconds in situation.asleep.items()
            if host == like
        }
    return _settled(situation, replace(situation.costs, hosts=costs), held, asleep)


def _without(situation: Situation, gone: Sequence[str], kept: Sequence[str]) -> Situation:
    held = [each for each in situation.reservations if each.host not in gone]
    asleep = {at: seconds for at, seconds in situation.asleep.items() if at[0] not in gone}
    for number, host in enumerate(gone):
        # Begin at another host for each removed one, so that their models spread.
        first = number % len(kept)
        homes = (*kept[first:], *kept[:first])
        for each in [each for each in situation.reservations if each.host == host]:
            span = each.span.within(situation.span)
            same = [one.span for one in held if (one.model, one.live) == (each.model, each.live)]
            for part in _rest(span, same):
                home = _home(situation, each, part, homes, len(kept))
                held.append(replace(each, host=home, span=part))
                if each.live:
                    slept = _slept(situation, each, part)
                    asleep[home, each.model] = asleep.get((home, each.model), 0) + slept
    prices = {name: each for name, each in situation.costs.hosts.items() if name not in gone}
    return _settled(situation, replace(situation.costs, hosts=prices), held, asleep)


def _rest(span: Interval, covered: Iterable[Interval]) -> list[Interval]:
    """Return the parts of a span that nothing covers."""
    left = [span]
    for each in covered:
        left = [
            Interval(begins, ends)
            for part in left
            for begins, ends in (
                (part.begins, min(part.ends, each.begins)),
                (max(part.begins, each.ends), part.ends),
            )
        ]
        left = [part for part in left if part.seconds]
    return [part for part in left if part.seconds]


def _home(
    situation: Situation, moved: Reservation, part: Interval, homes: Sequence[str], number: int
) -> str:
    """Return the first host with a price for all of a part of time."""
    for host in homes:
        if all(price for _, price, _ in segments(host, situation.costs, part, ())):
            return host
    raise InputError(
        f"hosts={number} leaves no host with a price for {moved.model}, which runs on {moved.host} "
        f"from {day_of(part.begins)} on",
        hint="take more hosts, or days on which those that stay have a price",
    )


def _slept(situation: Situation, moved: Reservation, part: Interval) -> int:
    """Return the seconds of sleep in a part of a model's time on a host: as much as in the mean of that time."""
    live = sum(
        each.span.within(situation.span).seconds
        for each in situation.reservations
        if each.live and (each.host, each.model) == (moved.host, moved.model)
    )
    return situation.asleep.get((moved.host, moved.model), 0) * part.seconds // live


def _settled(
    situation: Situation, costs: Costs, held: Sequence[Reservation], asleep: _Asleep
) -> Situation:
    return replace(
        situation,
        costs=costs,
        reservations=tuple(held),
        traffic=_spread(situation.traffic, held),
        asleep=asleep,
    )


def _spread(traffic: Sequence[Traffic], reservations: Iterable[Reservation]) -> tuple[Traffic, ...]:
    """Return the traffic of each model and day spread evenly over the hosts on which it is live on that day."""
    homes: dict[tuple[str, date], dict[str, None]] = {}
    for each in reservations:
        if each.live:
            for day in each.span.days:
                homes.setdefault((each.model, day), {})[each.host] = None
    # Spreading the rows of each host by themselves would make as many rows as there are pairs of hosts.
    sums: dict[tuple[date, str, str], Tokens] = {}
    for row in traffic:
        if (row.model, row.day) in homes:
            kind = (row.day, row.key, row.model)
            sums[kind] = sums.get(kind, Tokens()) + tokens_of(row)
    found = [row for row in traffic if (row.model, row.day) not in homes]
    for (day, key, model), each_day in sums.items():
        hosts = homes[model, day]
        counts = [
            parts(each, len(hosts))
            for each in (
                each_day.requests,
                each_day.input,
                each_day.cached,
                each_day.output,
                each_day.unknown,
            )
        ]
        found += [
            Traffic(day, host, key, model, *(count[number] for count in counts))
            for number, host in enumerate(hosts)
        ]
    return tuple(found)
