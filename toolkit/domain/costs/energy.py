"""The energy that a host's devices count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EnergyCount:
    """The sum of the counters of `devices` in joules at a time in seconds since the epoch, by the host's clock.

    `counters` are the joules of each device by its name. Where nothing counts, `devices` is 0 and `fault` says why. A
    counter begins anew when the driver is loaded anew.
    """

    at: float
    joules: float
    devices: int
    fault: str = ""
    counters: Mapping[str, float] = field(default_factory=dict, hash=False)
