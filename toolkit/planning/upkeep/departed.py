"""Releases on hosts that the registry no longer describes: their model, version or pin has left it."""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.domain.registry.model import Registry


def departed(facts: Iterable[HostFacts], registry: Registry) -> tuple[str, ...]:
    """Return a sentence for each replica whose version is not in `registry` as it runs, also for one that sleeps."""
    found = []
    for host in facts:
        for slot in host.slots:
            reason = _reason(slot.release, registry) if slot.release else ""
            if slot.release and reason:
                found.append(f"{slot.release.title} {_does(slot)} on {host.name}, and {reason}")
    return tuple(found)


def _does(slot: SlotFacts) -> str:
    if slot.weight:
        return "serves"
    if slot.asleep:
        return "sleeps"
    if slot.dozes:
        return "dozes"
    return "rests" if slot.rests else "stands by"


def _reason(release: Release, registry: Registry) -> str:
    """Return, in words, what the registry lacks of a release; empty where it has its version with the same pin."""
    model = registry.models.get(release.model)
    if release.model in registry.waiting:
        # The registry has the model; its versions are known once it is pinned.
        return ""
    if model is None:
        return f"the model {release.model} has left the registry"
    version = next((each for each in model.versions if each.name == release.version), None)
    if version is None:
        return f"the version {release.version} has left the registry"
    if version.source.key != release.source:
        return f"the registry has {version.source.key} for it, not {release.source}"
    if version.revision != release.revision:
        return (
            f"the registry has revision {version.revision[:12]} for it, not {release.revision[:12]}"
        )
    return ""
