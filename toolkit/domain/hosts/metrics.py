"""The words for a fleet's metrics: set-up, targets, selections, series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The job by which Prometheus reads what the watch of a host writes, see `toolkit.hostside.tally_names`.
HOST_JOB = "toolkit-host"


def bounds(seconds: float) -> tuple[str, ...]:
    """Return how Prometheus may write a bound of a histogram: from version 3 on, `2.0` where a host writes `2`."""
    text = f"{seconds:g}"
    return (text, f"{text}.0") if text.isdecimal() else (text,)


@dataclass(frozen=True, slots=True)
class UsualObjectives:
    """The objectives that alerts use for models that promise nothing of their own.

    `availability` is the share of requests that must be answered, below 1; `first_token` the seconds in which all but
    one of twenty answers must begin.
    """

    availability: float = 0.999
    first_token: float = 2.0


@dataclass(frozen=True, slots=True)
class MetricsSetup:
    """The directory for Prometheus, as the operator has set it up.

    `docs` is where runbooks begin, a URL or a path, without the anchor. `alertmanagers` are addresses, HOST:PORT.
    `schedule` is the path of the schedule whose windows are watched, empty for none, `registry` that of its models, and
    `ops_exporter` the address of a node exporter that reads the figures of this ops machine.
    """

    directory: str
    objectives: UsualObjectives = UsualObjectives()
    docs: str = "docs/observability.md"
    schedule: str = ""
    registry: str = ""
    ops_exporter: str = ""
    alertmanagers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """One address and path that Prometheus reads, with the labels of what it reads there."""

    address: str
    path: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Selection:
    """The series of a metric whose labels have one of the given values."""

    metric: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Series:
    """A counter that Prometheus read: its labels, and its last value within each hour, None for an hour without one."""

    labels: Mapping[str, str] = field(hash=False)
    values: tuple[float | None, ...] = ()
