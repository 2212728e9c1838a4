"""The recorded use of a fleet, and when its models held its hosts, from the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta

from toolkit.adapters.history.history import History
from toolkit.domain.clients.use import UseRow
from toolkit.domain.costs.economics import Costs, Interval, Metered, Traffic, day_of, midnight
from toolkit.planning.economics.bills import Situation
from toolkit.planning.economics.reserved import reserved

# Two sums over the recorded use are smaller by far than its rows.
_SUMS = ("requests", "tokens_in", "cached", "tokens_out", "unknown")
_BY_PLACE, _BY_KEY = ("day", "host", "model", "base"), ("key", "model", "base")


def recorded(
    history: History,
    costs: Costs,
    span: Interval,
    metered: Iterable[Metered] = (),
    *,
    keys: bool = True,
) -> tuple[Situation, tuple[str, ...]]:
    """Return the situation in `span` as the history has it, and remarks on its records.

    Without `keys` the bill has none. A day counts whole: use is recorded by the day. An adapter's use belongs to the
    model whose replica computed it.
    """
    days = day_of(span.begins).isoformat(), day_of(span.ends - 1).isoformat()
    # Read the keys first: if another command collects use in between, a model of the bill lacks a key, and no key lacks
    # its model.
    by_key = history.use(*days, by=_BY_KEY, sums=_SUMS) if keys else ()
    rows = history.use(*days, by=_BY_PLACE, sums=_SUMS)
    models = history.models()
    releases = {
        (release.model, release.number): release
        for model in models
        for release, _ in history.releases(model)
    }
    weights = {name: max(1, each.memory * max(1, each.devices)) for name, each in releases.items()}
    spans = {name: each.span.size for name, each in releases.items() if each.span}
    deployments = [each for model in models for each in history.deployments(model)]
    only = next(iter(costs.hosts)) if len(costs.hosts) == 1 else ""
    # Records that are older than fleets name no host.
    deployments = [replace(each, host=each.host or only) for each in deployments]
    held, notes = reserved(deployments, weights, span.ends)
    return (
        Situation(
            costs,
            span,
            tuple(
                replace(each, hosts=spans.get((each.model, each.release), 1))
                for each in held
                if each.span.within(span).seconds
            ),
            tuple(map(_traffic, rows)),
            tuple(metered),
            tuple(map(_traffic, by_key)),
            history.asleep(span.begins // 3600, (span.ends - 1) // 3600),
        ),
        notes,
    )


def window(since: date, until: date, now: int) -> Interval:
    """Return the span from the beginning of `since` to the end of `until`, or to now where that is earlier."""
    return Interval(midnight(since), min(midnight(until) + 86_400, now))


def to_come(history: History, now: float) -> dict[str, int]:
    """Return by host the requests that are recorded for days after that of `now`, in seconds since the epoch."""
    tomorrow = day_of(now) + timedelta(days=1)
    found = history.use(tomorrow.isoformat(), by=("host",), sums=("requests",))
    return {each.host: each.requests for each in found}


def words_on_days_to_come(found: Mapping[str, int]) -> tuple[str, ...]:
    """Return a remark for each host of `to_come`: no period that ends today has these requests."""
    return tuple(
        f"{host}: {requests:,} requests are recorded for days that have not come yet, and are not in here: its clock"
        " was ahead of this machine's"
        for host, requests in found.items()
    )


def _traffic(row: UseRow) -> Traffic:
    return Traffic(
        date.fromisoformat(row.day) if row.day else date.min,
        row.host,
        row.key,
        row.base or row.model,
        row.requests,
        row.tokens_in,
        row.cached,
        row.tokens_out,
        row.unknown,
    )
