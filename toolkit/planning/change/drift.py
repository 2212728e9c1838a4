"""Differences between what runs on a host and what was deployed there."""

from __future__ import annotations

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
    found += [
        f"{facts.name}: {words}" + ("; toolkit repair places it anew" if _is_copy(words) else "")
        for words in facts.changed_files
    ]
    found += [
        f"{facts.name}: {path} cannot be read; toolkit repair makes it anew"
        for path in facts.damaged
    ]
    return tuple(found)


def _is_copy(words: str) -> bool:
    return words.startswith("bin/hostside-")


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
