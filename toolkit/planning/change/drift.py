"""Differences between what runs on a host and what was deployed there."""

from __future__ import annotations

from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts, SlotFacts


def drift_of(facts: HostFacts) -> tuple[str, ...]:
    """Return each difference between what runs on a host and what was deployed there, in words."""
    found = [
        f"{facts.name} {slot.model} {slot.slot}: {words}"
        for slot in facts.slots
        for words in (*slot.drift, *_missing(slot, facts))
    ]
    found += [
        f"{facts.name} router: {name} has another weight than its files say"
        for name in facts.router.drift
    ]
    found += [f"{facts.name}: {words}{_remedy(words, facts)}" for words in facts.changed_files]
    found += [
        f"{facts.name}: {path} cannot be read; toolkit repair makes it anew"
        for path in facts.damaged
    ]
    return tuple(found)


def next_start(release: Release, facts: HostFacts) -> tuple[str, ...]:
    """Return the remark about a standby whose files changed: it serves with those that it has loaded."""
    if not facts.has_changed_snapshot(release):
        return ()
    words = "its files changed after they were hashed, so its next start may be refused"
    return (f"{facts.name}: {release.title} serves from memory; {words}: toolkit verify",)


def _remedy(words: str, facts: HostFacts) -> str:
    if words.startswith("bin/hostside-"):
        return "; toolkit repair places it anew"
    if words.startswith("sockets/"):
        return f"; {router_restart(facts)}"
    return "; toolkit verify reads it" if words.startswith("snapshots/") else ""


def router_restart(facts: HostFacts) -> str:
    """Return how a person starts the router of a host again, which cuts the streams that it has."""
    there = "systemctl restart toolkit-router" if facts.init == "systemd" else "end its process"
    return f"on {facts.name}: {there}"


def missing_engines(facts: HostFacts) -> tuple[str, ...]:
    """Return the engines that the slots of a host need and that are not on it."""
    needed = [slot.release.engine for slot in facts.slots if slot.release]
    return tuple(each for each in dict.fromkeys(needed) if each not in facts.engines)


def _missing(slot: SlotFacts, facts: HostFacts) -> tuple[str, ...]:
    """Return the parts that are missing for the next start of the slot; the running process needs none of them."""
    words = []
    if slot.release and slot.release.engine not in facts.engines:
        words.append(f"its engine {slot.release.engine} is not on the host")
    parts = slot.release.parts if slot.release else ()
    words += [
        f"its files (snapshot {part.snapshot[:12]}) are not on the host"
        for part in parts
        if part.snapshot not in facts.snapshots
    ]
    return tuple(words)
