"""What Prometheus is told of a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UsualObjectives:
    """What alerts are measured against for models that promise nothing of their own.

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
class Target:
    """One address and path that Prometheus reads, with the labels of what it reads there."""

    address: str
    path: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
