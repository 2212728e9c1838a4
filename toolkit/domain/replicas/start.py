"""The time that starts of replicas took, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

# Use the newest starts alone: since older ones a disk, a host or a cache of compiled graphs may have changed.
_NEWEST = 5


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


def usual_phases(starts: Sequence[StartRecord], engine: str, host: str) -> dict[str, float]:
    """Return the usual seconds of each phase of a start of `engine` on `host`, empty where no start is comparable.

    `starts` are those of the model, newest first. Those with the engine on `host` are taken, else those with the engine
    on any host, else those of the model. A phase that fewer than half of them had is not usual.
    """
    same = [each for each in starts if each.engine == engine]
    here = [each for each in same if each.host == host]
    taken = (here or same or list(starts))[:_NEWEST]
    names = dict.fromkeys(name for each in taken for name in each.phases)
    seconds = {name: [each.phases[name] for each in taken if name in each.phases] for name in names}
    return {name: median(found) for name, found in seconds.items() if 2 * len(found) >= len(taken)}
