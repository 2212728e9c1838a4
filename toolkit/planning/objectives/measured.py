"""A model beside its objectives."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.planning.objectives.attained import Attained
from toolkit.planning.objectives.coverage import Coverage


@dataclass(frozen=True, slots=True)
class Source:
    """The source of figures: the address of a Prometheus, else the hosts' ledgers.

    `why_not` says why a Prometheus that is set has told nothing.
    """

    prometheus: str = ""
    why_not: str = ""

    @property
    def words(self) -> str:
        """The source in words."""
        return f"Prometheus at {self.prometheus}" if self.prometheus else "the hosts"


@dataclass(frozen=True, slots=True)
class Measured:
    """A model's objectives over the last `days`, up to the time `until` (seconds since the epoch).

    Of the hosts in `uncounted`, which belong to the fleet, nothing was counted in that time.
    """

    model: str
    days: int
    until: float
    objectives: tuple[Attained, ...]
    coverage: tuple[Coverage, ...]
    uncounted: tuple[str, ...] = ()

    @property
    def since(self) -> float:
        """The begin of the window, in seconds since the epoch."""
        return self.until - self.days * 86_400
