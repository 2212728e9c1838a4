"""The counts of hosts, routers and replicas up to a moment. Two samples of a host give its load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.domain.outside import checked


@dataclass(frozen=True, slots=True)
class Histogram:
    """Seconds of events: `total` in all, their `count`, and how many took at most a bound, by rising bounds."""

    buckets: tuple[tuple[float, float], ...]
    total: float
    count: float


@dataclass(frozen=True, slots=True)
class TargetCount:
    """Requests to a slot, by one worker of the router of its host; those that other hosts handed on are among them.

    `failed` are those with a status of 5xx or an answer that broke off, `refused` those with a status of 4xx; both are
    among the `answered`. `open` are under way.
    """

    worker: int
    model: str
    slot: str
    answered: int
    failed: int
    refused: int
    open: int


@dataclass(frozen=True, slots=True)
class ReplicaCount:
    """The counts of a replica's engine since its process began.

    `process` is another word for each process, empty where none runs. A figure that an engine lacks is None: requests
    `running` and `waiting`, tokens of prompts (`prompt`) and answers (`generated`), the part of its cache in use from 0
    to 1 (`cache_use`), the times until the `first` token and `between` tokens.
    """

    model: str
    slot: str
    process: str
    answers: bool
    running: float | None = None
    waiting: float | None = None
    prompt: float | None = None
    generated: float | None = None
    cache_use: float | None = None
    first: Histogram | None = None
    between: Histogram | None = None


@dataclass(frozen=True, slots=True)
class HostSample:
    """The counters of a host at one moment, `at` in seconds since the epoch.

    `clock` counts seconds that never jump, and is comparable within one `boot`. `router` tells whether one answers.
    """

    at: float
    clock: float
    boot: str
    router: bool
    targets: tuple[TargetCount, ...] = ()
    replicas: tuple[ReplicaCount, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> HostSample:
        """Return the sample in the result of the command `sample`; raises ValueError or LookupError for another one."""
        return checked(
            cls(
                at=data["at"],
                clock=data["clock"],
                boot=data["boot"],
                router=data["router"],
                targets=tuple(TargetCount(**each) for each in data["targets"]),
                replicas=tuple(_replica(each) for each in data["replicas"]),
            )
        )


def _replica(data: Mapping[str, Any]) -> ReplicaCount:
    spreads = {name: _histogram(data.get(name)) for name in ("first", "between")}
    return ReplicaCount(**{**data, **spreads})


def _histogram(data: Mapping[str, Any] | None) -> Histogram | None:
    if data is None:
        return None
    buckets = tuple((bound, number) for bound, number in data["buckets"])
    return Histogram(buckets, data["total"], data["count"])
