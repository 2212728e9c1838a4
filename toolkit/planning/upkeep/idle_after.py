"""Whether a model has had no request for so long that it is to sleep: a pure function of what its hosts count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.domain.hosts.load import HostSample


@dataclass(frozen=True, slots=True)
class Activity:
    """The counts of a model's hosts now: the `requests` so far, whether some are `open`, and whether it is `up`.

    `requests` is no number but a text that stays the same while none comes: a router that starts anew counts from 0,
    so that a sum could stay the same by chance.
    """

    requests: str
    open: bool
    up: bool


@dataclass(frozen=True, slots=True)
class Idle:
    """The count of a model as a run last saw it change, and the moment of that, in seconds since the epoch."""

    requests: str
    since: float


def counted(samples: Mapping[str, HostSample]) -> dict[str, Activity]:
    """Return the hosts' counts by model, from a sample of every host by its name."""
    models = {each.model for sample in samples.values() for each in sample.replicas}
    return {model: _of(model, samples) for model in sorted(models)}


def look(known: Idle | None, count: Activity, now: float, after: float) -> tuple[Idle, bool]:
    """Return a model's record of idleness at `now`, and whether it has been idle for `after` seconds.

    A model that is not up is not idle: its time begins when it is. So does that of a model whose count is not the known
    one, as after a restart of a router.
    """
    if known is None or not count.up or count.open or count.requests != known.requests:
        return Idle(count.requests, now), False
    return known, now - known.since >= after


def _of(model: str, samples: Mapping[str, HostSample]) -> Activity:
    rows = [
        (host, each)
        for host, sample in samples.items()
        for each in sample.targets
        if each.model == model
    ]
    sums: dict[tuple[str, str], int] = {}
    for host, each in rows:
        sums[host, each.slot] = sums.get((host, each.slot), 0) + each.answered
    words = (f"{host}/{slot}={number}" for (host, slot), number in sorted(sums.items()))
    up = any(
        each.answers
        for sample in samples.values()
        for each in sample.replicas
        if each.model == model
    )
    return Activity(" ".join(words), any(each.open for _, each in rows), up)
