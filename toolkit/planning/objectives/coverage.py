"""Since when, and with which gaps, hosts have counted what objectives are measured by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.domain.clients.tally import Watched

# Hosts write down every few minutes that they count, and a collection takes a moment.
ALLOWANCE = 900.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """A host's counting: `since` in seconds since the epoch, and the seconds since then that were not counted."""

    host: str
    since: float
    missing: float


def coverage(watched: Iterable[Watched], until: float) -> tuple[Coverage, ...]:
    """Return the coverage of each host by its hours, which are those of the window up to `until`."""
    seconds: dict[str, dict[int, float]] = {}
    for each in watched:
        hours = seconds.setdefault(each.host, {})
        # A clock that was put back counts an hour twice.
        hours[each.hour] = min(3600.0, hours.get(each.hour, 0.0) + each.seconds)
    return tuple(_of(host, hours, until) for host, hours in sorted(seconds.items()))


def _of(host: str, hours: dict[int, float], until: float) -> Coverage:
    first = min(hours)
    # The first hour counts from the moment at which the host began to.
    since = (first + 1) * 3600 - hours[first]
    if first == until // 3600:
        since = until - hours[first]
    now = int(until // 3600)
    told = sum(seconds for hour, seconds in hours.items() if hour < now)
    missing = until - since - told - min(hours.get(now, 0.0), until - now * 3600)
    return Coverage(host, since, missing if missing > ALLOWANCE else 0.0)
