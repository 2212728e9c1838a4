"""Tallies out of what Prometheus read of hosts: the same counts by the hour as a host's ledger hands out.

A host tells counters (`toolkit/hostside/tally_figures.py`). They grow by what an hour had, begin anew at 0 where a host
lost what it had counted, and a series appears with its first request. Hours in which Prometheus read nothing are told
with the next one that it read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from toolkit.domain.clients.tally import Tally, WatchedHour
from toolkit.domain.hosts.metrics import HOST_JOB, Selection, Series, bounds
from toolkit.domain.registry.objective import Objective, Promise
from toolkit.hostside.tally_names import (
    BETWEEN_TOKENS,
    FIRST_TOKEN,
    LEFT_WAITING,
    READ_SECONDS,
    REQUESTS,
)

HOUR = 3600.0
_JOB: Mapping[str, tuple[str, ...]] = {"job": (HOST_JOB,)}
# The counter that tells which hosts were read, and when.
READ = Selection(READ_SECONDS, _JOB)
_ALL = "+Inf"
_TIMES = {
    Promise.FIRST: ((FIRST_TOKEN, "first"), (LEFT_WAITING, "gone")),
    Promise.BETWEEN: ((BETWEEN_TOKENS, "gap"),),
}


def selections(models: Sequence[str], objective: Objective) -> tuple[Selection, ...]:
    """Return the selections for an objective of a model; `models` are its name and those of its adapters."""
    of_models = {**_JOB, "model": tuple(models)}
    if objective.promise is Promise.AVAILABILITY:
        return (Selection(REQUESTS, of_models),)
    wanted = (*bounds(objective.under), _ALL)
    return tuple(
        Selection(f"{name}_bucket", {**of_models, "le": wanted})
        for name, _ in _TIMES[objective.promise]
    )


def sampled(
    objective: Objective,
    read: Sequence[Series],
    found: Sequence[Sequence[Series]],
    first: int,
) -> list[Tally]:
    """Return the tallies of an objective's requests.

    `found` has the series of each of its `selections`, `read` those of `READ`. The values of both are those of hours
    from `first - 1` on, in hours since the epoch; the one before `first` is what the others are measured from.
    """
    began = {_host(each): _began(each) for each in read}
    counts: dict[tuple[int, str, str, str, int], dict[str, int]] = {}
    for series, (kind, wanted) in zip(found, _kinds(objective), strict=True):
        for each in series:
            name = _count(each, kind, wanted)
            start = began.get(_host(each))
            if start is None or name is None:
                continue
            for place, requests in _grown(each.values, *start):
                hour = first - 1 + place
                labels = each.labels
                row = (
                    hour,
                    _host(each),
                    labels.get("model", ""),
                    labels.get("version", ""),
                    _number(labels.get("release", "")),
                )
                mine = counts.setdefault(row, {})
                mine[name] = mine.get(name, 0) + round(requests)
    return [Tally(*row, _apart(each, objective)) for row, each in sorted(counts.items())]


def watched(read: Iterable[Series], first: int) -> list[WatchedHour]:
    """Return the seconds of each hour in which hosts read their logs; see `sampled`."""
    found = []
    for each in read:
        seconds: dict[int, float] = {}
        for place, more in _grown(each.values, *_began(each)):
            # A growth while Prometheus read nothing belongs to the hours before.
            while more > 0 and place > 0:
                part = min(more, HOUR - seconds.get(place, 0.0))
                if part > 0:
                    seconds[place] = seconds.get(place, 0.0) + part
                more, place = more - part, place - 1
        found += [
            WatchedHour(first - 1 + place, _host(each), part)
            for place, part in sorted(seconds.items())
        ]
    return found


def _kinds(objective: Objective) -> tuple[tuple[str, str], ...]:
    if objective.promise is Promise.AVAILABILITY:
        return (("", ""),)
    return tuple((kind, f"{objective.under:g}") for _, kind in _TIMES[objective.promise])


def _count(series: Series, kind: str, under: str) -> str | None:
    """Return the name of the count in tallies; None for a series that has none."""
    if not kind:
        status, reason = series.labels.get("status", ""), series.labels.get("reason", "")
        return f"{status}:{reason}" if reason else status
    bound = series.labels.get("le", "")
    if bound == _ALL:
        return f"{kind}<=inf"
    return f"{kind}<={under}" if bound in (under, f"{under}.0") else None


def _apart(counts: Mapping[str, int], objective: Objective) -> dict[str, int]:
    """Return counts in which a bucket has no requests of the buckets below it, as those of tallies."""
    found = dict(counts)
    for kind, under in _kinds(objective):
        if kind and f"{kind}<=inf" in found:
            found[f"{kind}<=inf"] -= found.get(f"{kind}<={under}", 0)
    return {name: requests for name, requests in found.items() if requests > 0}


def _began(read: Series) -> tuple[int, bool]:
    """Return the place of a host's first value, and whether it counted from 0 within that hour."""
    for place, value in enumerate(read.values):
        if value is not None:
            return place, value <= HOUR
    return len(read.values), False


def _grown(
    values: Sequence[float | None], start: int, from_zero: bool
) -> Iterable[tuple[int, float]]:
    """Yield by how much a counter grew, with the place of the hour; never of the hour before the window.

    `start` is the place of the host's first value, `from_zero` whether the host began to count then.
    """
    last: float | None = 0.0 if from_zero else None
    for place, value in enumerate(values):
        if value is None:
            continue
        if last is None and place > start:
            # The host was read before and did not have the series: it begins at 0.
            last = 0.0
        if last is not None and place > 0:
            more = value - last if value >= last else value
            if more > 0:
                yield place, more
        last = value


def _host(series: Series) -> str:
    return series.labels.get("host") or series.labels.get("instance", "")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0
