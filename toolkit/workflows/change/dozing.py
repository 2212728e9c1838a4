"""Let a replica doze, and wake it: what a step does of it, before the way that every replica can go."""

from __future__ import annotations

from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.planning.change.doze import WAKE_SECONDS
from toolkit.planning.change.room import find_room
from toolkit.workflows.guard.checks import fault_of_checks
from toolkit.workflows.tools import Tools

# Seconds in which an engine must fall asleep; its first sleep took 16 s where it was measured.
DOZE_SECONDS = 90.0


def fell_asleep(tools: Tools, facts: HostFacts, slot: str, coming: Release) -> bool:
    """Let the replica in a slot of `facts` fall asleep; return whether it did and left room, and say why not.

    The room is for `coming`, a release of the same model.
    """
    there = {each.slot: each.release for each in facts.slots_of(coming.model)}
    release = there[slot]
    assert release is not None, "the plan lets a release doze"
    waited = tools.host.doze(f"{coming.model}-{slot}", release.memory, DOZE_SECONDS)
    fault = "" if waited.ok else f"it does not doze: {waited.reason}"
    if waited.ok and not (room := find_room(coming, tools.host.observe(), ())).fits:
        fault = f"it keeps too much of its device: {coming.title} {room.reason}"
    if fault:
        tools.say(f"  {fault}; it is stopped")
    return not fault


def woke(tools: Tools, release: Release, slot: str, port: int) -> bool:
    """Wake the replica in a slot and ask it its checks; return whether it passes them, and say why not."""
    waited = tools.host.rouse(f"{release.model}-{slot}", port, WAKE_SECONDS)
    fault = fault_of_checks(tools.host, port, release) if waited.ok else waited.reason
    if fault:
        tools.say(f"  it does not serve again: {fault}; it starts anew")
    return not fault
