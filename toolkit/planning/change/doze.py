"""Whether a former replica dozes in place of being stopped, and the steps that wake it.

It keeps its process and its weights, these in the host's memory, and gives its device to the new one. So a rollback
takes seconds. Nothing here acts; where the engine does not fall asleep, or does not wake, it is stopped as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toolkit.domain.deployment.plan import Step, StepKind
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts, ProcessState, SlotFacts
from toolkit.domain.quantity import format_size, stated_size
from toolkit.hostside.memory import SYSTEM_RESERVE
from toolkit.planning.change.room import Room, find_room
from toolkit.planning.engines import engine_of

DOZE_NOTE = "both replicas do not fit at once: the old one falls asleep before the new one starts"
WAKE_DOWNTIME = "about 5 s"
# A replica that has not woken and answered by then is ended.
WAKE_SECONDS = 10.0


def can_lie_down(
    coming: Release, facts: HostFacts, current: SlotFacts, leaving: Sequence[SlotFacts]
) -> tuple[bool, str]:
    """Return whether the replica in `current` dozes while `coming` starts, and, where it could but does not, why.

    The replicas `leaving` are stopped before. It needs as much of the host's memory as its release states at most.
    """
    release = current.release
    if release is None or not engine_of(release.engine).can_doze(release):
        return False, ""
    if not current.healthy or current.drift:
        return False, ""
    others = sorted(
        {
            slot.model
            for slot in facts.slots
            if slot.model != current.model and {*slot.devices} & {*current.devices}
        }
    )
    if others:
        return False, _no_doze(release, f"{', '.join(others)} shares its device")
    room = find_room(coming, facts, leaving, dozing=(current,))
    if not room.fits:
        return False, _no_doze(release, f"{coming.title} {room.reason} beside what stays of it")
    free = facts.memory_available - SYSTEM_RESERVE + sum(map(_held_back, leaving))
    if free < release.memory:
        needs = f"its weights may need {stated_size(release.memory)} of the host's memory"
        return False, _no_doze(release, f"{needs}, {format_size(max(free, 0))} are free")
    return True, ""


def _held_back(slot: SlotFacts) -> int:
    """Return the bytes of the host's memory that a replica which dozes gives back, at most: the step looks again."""
    return slot.release.memory if slot.dozes and slot.release else 0


def _no_doze(release: Release, why: str) -> str:
    return f"release {release.title} cannot doze, so it stops: {why}"


def doze_step(slot: SlotFacts) -> Step:
    """Return the step by which the replica in `slot` falls asleep."""
    assert slot.release is not None, "what may doze has a release"
    why = f"release {slot.release.title} makes way: its weights wait in the host's memory for a rollback"
    return Step(StepKind.DOZE, why, slot.slot)


def wake_step(slot: SlotFacts) -> Step:
    """Return the step by which the replica in `slot` wakes."""
    assert slot.release is not None, "what dozes has a release"
    return Step(StepKind.WAKE, f"release {slot.release.title} dozes here", slot.slot)


def dozes_as(slot: SlotFacts, release: Release) -> bool:
    """Whether the replica in `slot` dozes and is of this release."""
    same = slot.release is not None and slot.release.same_as(release)
    return same and slot.dozes and not slot.drift


def can_wake(
    slot: SlotFacts, release: Release, facts: HostFacts, leaving: Sequence[SlotFacts]
) -> bool:
    """Whether the replica in `slot` dozes, is of this release, and has room once those `leaving` have stopped."""
    return dozes_as(slot, release) and room_to_wake(slot, release, facts, leaving).fits


def room_to_wake(
    slot: SlotFacts, release: Release, facts: HostFacts, leaving: Sequence[SlotFacts]
) -> Room:
    """Return whether its own devices have room for the replica in `slot`: others may have come since it fell asleep.

    A driver's tool that fails, as after an update of the driver, says nothing of them and keeps no process from waking.
    """
    own = tuple(each for each in facts.devices if each.index in slot.devices)
    if len(own) < len(slot.devices):
        return Room(True, "the driver does not say what is free", slot.devices)
    return find_room(release, replace(facts, devices=own), (slot, *leaving))


def is_cold(slot: SlotFacts) -> bool:
    """Whether no replica of a slot runs that could take traffic at once; what rests in its place is none."""
    return slot.process is not ProcessState.RUNNING or made_way(slot)


def made_way(slot: SlotFacts) -> bool:
    """Whether a replica has made way for its successor: it dozes, or its engine has ended since."""
    return slot.dozes or (slot.rests and not slot.asleep)


def in_the_way(
    model: str, facts: HostFacts, target: SlotFacts, current: SlotFacts | None
) -> list[SlotFacts]:
    """Return the slots whose replicas have no traffic and are stopped for a new one in `target`."""
    kept = {target.slot, current.slot if current else target.slot}
    occupied = [target] if target.process is not ProcessState.ABSENT else []
    # Besides these two, a slot dozes only if no release serves.
    return occupied + [
        slot for slot in facts.slots_of(model) if slot.dozes and slot.slot not in kept
    ]
