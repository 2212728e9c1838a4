"""Choose the snapshots, engines and leftovers to remove from a host."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.leftover import Leftover, LeftoverKind
from toolkit.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Prune:
    """Snapshots (digests), engines (lock ids) and leftovers to remove from a host; `kept` says what stays and why."""

    snapshots: tuple[str, ...]
    engines: tuple[str, ...]
    kept: tuple[str, ...]
    leftovers: tuple[Leftover, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not self.snapshots and not self.engines and not self.leftovers

    def among(self, other: Prune) -> Prune:
        """Return the removals that are in both."""
        paths = {each.path for each in other.leftovers}
        return Prune(
            tuple(each for each in self.snapshots if each in other.snapshots),
            tuple(each for each in self.engines if each in other.engines),
            self.kept,
            tuple(each for each in self.leftovers if each.path in paths),
        )


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


def plan_prune(
    facts: HostFacts, recent: Iterable[Release], leftovers: Iterable[Leftover] = ()
) -> Prune:
    """Plan to remove everything that neither the host itself nor one of the `recent` releases needs.

    Of the `leftovers` those stay that a process works on, and those with which a needed release will go on.
    """
    held = held_by(facts)
    needed = [release for release, _ in held]
    kept = [*held, *((each, "recent") for each in recent if each not in needed)]
    snapshots = {digest for release, _ in kept for digest in release.snapshots}
    engines = {release.engine for release, _ in kept}
    running = {slot.release.engine for slot in facts.slots if slot.release}
    lacking = (snapshots - set(facts.snapshots)) | (engines - set(facts.engines))
    staying = {each: _reason(each, lacking, running) for each in leftovers}
    return Prune(
        tuple(each for each in facts.snapshots if each not in snapshots),
        tuple(each for each in facts.engines if each not in engines),
        (
            *(f"{release.title}: {why}" for release, why in kept),
            *(f"{each.path}: {why}" for each, why in staying.items() if why),
        ),
        tuple(each for each, why in staying.items() if not why),
    )


def _reason(left: Leftover, lacking: Collection[str], running: Collection[str]) -> str:
    """Return in words why a leftover stays; empty where it goes.

    `lacking` are the snapshots and engines that are needed and not there, `running` the engines of the slots.
    """
    if left.busy:
        return left.busy
    if left.kind in (LeftoverKind.TRANSFER, LeftoverKind.PACKAGES) and left.of in lacking:
        return "the next deployment goes on with it"
    if left.path == f"engines/{left.of}" and left.of in running:
        return "a slot runs with it; toolkit verify --repair installs it anew"
    return ""
