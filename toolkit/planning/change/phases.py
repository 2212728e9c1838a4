"""How long the phases of a start usually take, by former starts."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from toolkit.domain.deployment.release import Release
from toolkit.domain.replicas.start import StartRecord

# The newest ones alone: a disk, a host or a cache of compiled graphs may have changed since.
_NEWEST = 5


def usual_phases(starts: Sequence[StartRecord], release: Release, host: str) -> dict[str, float]:
    """Return the usual seconds of each phase, empty where no start is comparable.

    `starts` are those of the release's model, newest first. Those with its engine on `host` are taken, else those with
    its engine on any host, else those of the model. A phase that fewer than half of them had is not usual.
    """
    same = [each for each in starts if each.engine == release.engine]
    here = [each for each in same if each.host == host]
    taken = (here or same or list(starts))[:_NEWEST]
    names = dict.fromkeys(name for each in taken for name in each.phases)
    seconds = {name: [each.phases[name] for each in taken if name in each.phases] for name in names}
    return {name: median(found) for name, found in seconds.items() if 2 * len(found) >= len(taken)}
