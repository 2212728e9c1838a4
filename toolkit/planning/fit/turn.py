"""Whether a release fits in turn with others that sleep before it starts: the largest of them counts, not their sum."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.domain.quantity import stated_size
from toolkit.errors import RefusedError
from toolkit.planning.change.room import find_room
from toolkit.planning.change.sleep import require_restful


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a release fits once the `models` sleep, on which `devices`, and why (not), in `words`."""

    fits: bool
    words: str
    models: tuple[str, ...]
    devices: tuple[int, ...] = ()


def turn_of(release: Release, alternates: Collection[str], facts: HostFacts) -> Turn | None:
    """Return how a release fits on a host in turn with those of its `alternates` that are awake there.

    None where none is. The release takes the place of all slots of its own model.
    """
    awake = [slot for slot in facts.slots if slot.model in alternates and not slot.rests]
    if not awake:
        return None
    models = tuple(sorted({slot.model for slot in awake}))
    names = ", ".join(models)
    for model in models:
        try:
            require_restful(model, {facts.name: facts}, {facts.name: facts.converged})
        except RefusedError as error:
            return Turn(False, f"{model} cannot make room: {error.message}", models)
    room = find_room(release, facts, [*facts.slots_of(release.model), *awake])
    if not room.fits:
        return Turn(False, f"not in turn with {names} either: {room.reason} then", models)
    largest = stated_size(max(release.memory, *(_needed(slot) for slot in awake)))
    words = (
        f"in turn with {names}: one of them is awake at a time, and the largest counts, {largest};"
        f" first: {' and '.join(f'toolkit sleep {each}' for each in models)}"
    )
    return Turn(True, words, models, room.devices)


def _needed(slot: SlotFacts) -> int:
    return slot.release.memory if slot.release else slot.memory
