"""Choose the snapshots and engines to remove from a host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts


@dataclass(frozen=True, slots=True)
class Prune:
    """Snapshots (digests) and engines (lock ids) to remove from a host; `kept` says what stays and why."""

    snapshots: tuple[str, ...]
    engines: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not self.snapshots and not self.engines


def plan_prune(facts: HostFacts, recent: Iterable[Release]) -> Prune:
    """Plan to remove everything that neither a slot of the host nor one of the `recent` releases uses."""
    running = [slot.release for slot in facts.slots if slot.release]
    keep = [*running, *recent]
    snapshots = {digest for release in keep for digest in release.snapshots}
    engines = {release.engine for release in keep}
    kept = [f"{release.title}: in a slot" for release in running]
    kept += [f"{release.title}: recent" for release in recent if release not in running]
    return Prune(
        tuple(each for each in facts.snapshots if each not in snapshots),
        tuple(each for each in facts.engines if each not in engines),
        tuple(kept),
    )
