"""Replicas that run over several hosts together: one host answers and has the records of use, and all of them work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from toolkit.domain.costs.economics import Rates, Reservation, Traffic
from toolkit.planning.economics.shares import Share
from toolkit.planning.economics.stated import parts

_COUNTS = ("requests", "tokens_in", "cached", "tokens_out", "unknown")
# (host, model, day) -> the hosts of the replica that the model had there on that day.
Together = Mapping[tuple[str, str, date], Sequence[str]]


def together(reservations: Iterable[Reservation]) -> Together:
    """Return the hosts of each live replica that runs over several, by each of them, its model and the day."""
    hosts: dict[tuple[str, int, date], list[str]] = {}
    for each in reservations:
        if each.live and each.hosts > 1:
            for day in each.span.days:
                there = hosts.setdefault((each.model, each.release, day), [])
                if each.host not in there:
                    there.append(each.host)
    return {(host, model, day): there for (model, _, day), there in hosts.items() for host in there}


def spread(traffic: Iterable[Traffic], found: Together) -> tuple[Traffic, ...]:
    """Return the traffic in even parts at all hosts of the replicas that had it, with the same sums."""
    rows: list[Traffic] = []
    for row in traffic:
        hosts = found.get((row.host, row.model, row.day))
        if hosts is None:
            rows.append(row)
            continue
        counts = [parts(getattr(row, name), len(hosts)) for name in _COUNTS]
        for host, *each in zip(hosts, *counts, strict=True):
            rows.append(replace(row, host=host, **dict(zip(_COUNTS, each, strict=True))))
    return tuple(rows)


def rates_of(share: Share, rates: Rates) -> Rates:
    """Return a model's rates at a host with replicas of `rates`: a part of them for a replica over several hosts."""
    if not share.seconds or share.replica_seconds == share.seconds:
        return rates
    part = share.replica_seconds / Decimal(share.seconds)
    first, second, third = (each * part for each in rates)
    return first, second, third
