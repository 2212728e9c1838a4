"""Choose the snapshots and engines to remove from a host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import RefusedError


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


def held_by(facts: HostFacts) -> list[tuple[Release, str]]:
    """Return the releases whose files the host needs, each with the reason: in a slot, or to end an open deployment."""
    found = [(slot.release, "in a slot") for slot in facts.slots if slot.release]
    running = [release for release, _ in found]
    for each in facts.open_deployments:
        ends_with = (each.release, each.previous)
        found += [(one, "of an open deployment") for one in ends_with if one and one not in running]
    return found


def require_known(facts: Iterable[HostFacts]) -> None:
    """Raise RefusedError where a damaged file hides which release a slot or an open deployment needs."""
    for each in facts:
        if lost := (*each.lost_records, *each.lost_manifests):
            raise RefusedError(
                f"{each.name}: {lost[0]} cannot be read, so what the host needs is not known; nothing was removed",
                hint="toolkit repair",
            )


def plan_prune(facts: HostFacts, recent: Iterable[Release]) -> Prune:
    """Plan to remove everything that neither the host itself nor one of the `recent` releases needs."""
    held = held_by(facts)
    needed = [release for release, _ in held]
    kept = [*held, *((each, "recent") for each in recent if each not in needed)]
    snapshots = {digest for release, _ in kept for digest in release.snapshots}
    engines = {release.engine for release, _ in kept}
    return Prune(
        tuple(each for each in facts.snapshots if each not in snapshots),
        tuple(each for each in facts.engines if each not in engines),
        tuple(f"{release.title}: {why}" for release, why in kept),
    )
