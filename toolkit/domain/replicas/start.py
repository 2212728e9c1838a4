"""The time that the start of a replica took, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartRecord:
    """A start in the history. `phases` has the seconds of each phase of its engine that was seen, in their order.

    `engine` is the id of the engine's lock, `at` the end of the start in seconds since the epoch.
    """

    model: str
    release: int
    host: str
    engine: str
    phases: Mapping[str, float]
    at: float
