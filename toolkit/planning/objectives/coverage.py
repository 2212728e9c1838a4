"""Since when, and with which gaps, hosts have counted what objectives are measured by."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from toolkit.domain.clients.tally import WatchedHour

# Hosts write down every few minutes that they count, and a collection takes a moment.
ALLOWANCE = 900.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """A host's counting: `since` in seconds since the epoch, and the seconds since then that were not counted.

    A host that left the fleet has counted `until` then; None for one that counts still.
    """

    host: str
    since: float
    missing: float
    until: float | None = None


def coverage(
    watched: Iterable[WatchedHour], until: float, fleet: Collection[str] | None = None
) -> tuple[Coverage, ...]:
    """Return the coverage of each host by its hours, which are those of the window up to `until`.

    `fleet` names the hosts that are to count up to then, None for all. Nobody asks another one, so what it counted ends
    with its last hour.
    """
    seconds: dict[str, dict[int, float]] = {}
    for each in watched:
        hours = seconds.setdefault(each.host, {})
        # A clock that was put back counts an hour twice.
        hours[each.hour] = min(3600.0, hours.get(each.hour, 0.0) + each.seconds)
    return tuple(
        _of(host, hours, until, stays=fleet is None or host in fleet)
        for host, hours in sorted(seconds.items())
    )


def uncounted(
    watched: Iterable[WatchedHour], fleet: Collection[str] | None = None
) -> tuple[str, ...]:
    """Return the hosts of the fleet that have counted in none of the hours, in order."""
    return tuple(sorted(set(fleet or ()) - {each.host for each in watched}))


def _of(host: str, hours: dict[int, float], until: float, *, stays: bool) -> Coverage:
    first, last = min(hours), max(hours)
    # The first hour counts from the moment at which the host began to.
    since = (first + 1) * 3600 - hours[first]
    if first == until // 3600:
        since = until - hours[first]
    if not stays and (last + 1) * 3600 < until - ALLOWANCE:
        # Its last hour counts up to the moment at which the host ended.
        end = max(since, last * 3600 + hours[last])
        missing = end - since - sum(hours.values())
        return Coverage(host, since, missing if missing > ALLOWANCE else 0.0, end)
    now = int(until // 3600)
    told = sum(seconds for hour, seconds in hours.items() if hour < now)
    missing = until - since - told - min(hours.get(now, 0.0), until - now * 3600)
    return Coverage(host, since, missing if missing > ALLOWANCE else 0.0)
