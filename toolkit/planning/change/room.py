"""Whether a replica fits beside the running replicas, or only in the place of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts, ProcessState, SlotFacts
from toolkit.domain.quantity import format_size, part_of, stated_size
from toolkit.hostside.memory import SYSTEM_RESERVE

# Bytes of a device that stay with a replica that dozes. Measured: 1,856 MiB of 22,280, on an H100 with a model of 7
# billion parameters and vLLM 0.26 (docs/benchmarks.md).
RESTING = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Room:
    """Whether a release fits, and on which `devices`; `reason` has the figures."""

    fits: bool
    reason: str
    devices: tuple[int, ...] = ()


def find_room(
    release: Release,
    facts: HostFacts,
    stopped: Sequence[SlotFacts],
    dozing: Sequence[SlotFacts] = (),
) -> Room:
    """Return whether `release` fits once the replicas in `stopped` have given back their memory, and those in `dozing`
    all but what stays with them.

    Replicas that wake take theirs before it starts.
    """
    if not Accelerator(release.accelerator).traits.has_devices:
        return _system_memory(release, facts, stopped)
    return _devices(release, facts, stopped, dozing)


def devices_to_start(release: Release, facts: HostFacts, slot: str) -> tuple[int, ...]:
    """Return the devices on which a replica of `release` starts in `slot` of the host: none only where it takes none.

    One that runs there already, and is not ready yet, stays on its own; so does any where no driver says what is free.
    Where the room of the plan is gone it starts on the emptiest: its engine says what it lacks. Without named devices
    it would take any, and no plan would know.
    """
    own = [each for each in facts.slots_of(release.model) if each.slot == slot]
    for each in own:
        stays = (each.process is ProcessState.RUNNING and not each.rests) or not facts.devices
        same = each.release is not None and each.release.same_as(release)
        if stays and same and len(each.devices) == release.devices:
            return each.devices
    room = find_room(release, facts, own)
    if room.fits or not Accelerator(release.accelerator).traits.has_devices:
        return room.devices
    ranked = sorted(facts.devices, key=lambda each: (-each.memory_free, each.index))
    return tuple(sorted(each.index for each in ranked[: release.devices]))


def _system_memory(release: Release, facts: HostFacts, stopped: Sequence[SlotFacts]) -> Room:
    free = facts.memory_available - SYSTEM_RESERVE + sum(slot.memory for slot in stopped)
    for slot in _waking(facts, stopped):
        free -= max(0, _needed(slot) - slot.memory) if not slot.devices else 0
    words = f"needs {stated_size(release.memory)} of memory, {format_size(max(free, 0))} free"
    return Room(release.memory <= free, words)


def _devices(
    release: Release,
    facts: HostFacts,
    stopped: Sequence[SlotFacts],
    dozing: Sequence[SlotFacts],
) -> Room:
    share = part_of(release.memory, release.devices)
    free = {device.index: device.memory_free for device in facts.devices}
    for slot in (*stopped, *dozing):
        # A crashed replica has given its memory back already, and another process may have it now.
        if slot.process is not ProcessState.RUNNING or slot.rests:
            continue
        stays = RESTING if slot in dozing else 0
        for index in slot.devices:
            if slot.release is not None and index in free:
                taken = slot.device_memory or (RESTING if slot.dozes else slot.release.memory)
                free[index] += max(0, taken - stays) // max(1, len(slot.devices))
    for slot in _waking(facts, [*stopped, *dozing]):
        for index in slot.devices:
            if index in free:
                coming = max(0, _needed(slot) - (slot.device_memory or 0))
                free[index] -= coming // max(1, len(slot.devices))
    total = {device.index: device.memory for device in facts.devices}
    able = [index for index in free if min(free[index], total[index]) >= share]
    able.sort(key=lambda index: (-free[index], index))
    most = format_size(max(free.values(), default=0))
    words = (
        f"needs {stated_size(share)} on {release.devices} device(s), {most} free on the emptiest"
    )
    if len(able) < release.devices:
        return Room(False, words)
    return Room(True, words, tuple(sorted(able[: release.devices])))


def _waking(facts: HostFacts, stopped: Sequence[SlotFacts]) -> list[SlotFacts]:
    """Return the slots whose replicas have begun to wake and go on."""
    going = {(slot.model, slot.slot) for slot in stopped}
    return [
        slot
        for slot in facts.slots
        if slot.asleep == "waking" and not slot.rests and (slot.model, slot.slot) not in going
    ]


def _needed(slot: SlotFacts) -> int:
    return slot.release.memory if slot.release else 0
