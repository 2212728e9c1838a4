"""The replicas of a release for people and programs: host, slot and state of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.cli.views.slot import state_words
from toolkit.domain.hosts.facts import FleetFacts, SlotFacts
from toolkit.planning.routing.agreement import agreed

Replicas = Mapping[int, Sequence[tuple[str, SlotFacts]]]


def replicas_of(model: str, seen: FleetFacts) -> Replicas:
    """Return host's name and slot of each replica of a model, by the number of its release."""
    _, facts = agreed(seen.by_label)
    found: dict[int, list[tuple[str, SlotFacts]]] = {}
    for name, each in facts.items():
        for slot in each.slots_of(model):
            if slot.release is not None:
                found.setdefault(slot.release.number, []).append((name, slot))
    return found


def replicas_json(there: Replicas, number: int) -> list[dict[str, Any]]:
    """Return what `--json` prints of the replicas of release `number`."""
    return [
        {"host": name, "slot": slot.slot, "state": state_words(slot)}
        for name, slot in there.get(number, ())
    ]


def replicas_words(there: Replicas, number: int, *, several: bool) -> str:
    """Return the states of the replicas of release `number`; with `several` hosts each with the names of its hosts."""
    states: dict[str, list[str]] = {}
    for name, slot in there.get(number, ()):
        states.setdefault(state_words(slot), []).append(name)
    words = [f"{each} on {', '.join(names)}" if several else each for each, names in states.items()]
    return "; ".join(words) or "-"
