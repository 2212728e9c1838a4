"""Let no model wake on a host while a replica starts there: each would take memory that the other counts on."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.deployment.plan import BEGINS, ENDS, Step, StepKind
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import NothingSuitableError
from toolkit.planning.change.doze import room_to_wake
from toolkit.planning.change.room import find_room
from toolkit.workflows.change.subject import HostChange


class WakesHeld:
    """Wakes on `host` are held off from the first step that makes room for a start of `change` until the last start.

    `facts` are those of its plan. Where a step fails they stay so until the lock of the host ends: what is undone may
    have to start as well.
    """

    def __init__(self, host: HostPort, change: HostChange, facts: HostFacts) -> None:
        self._host, self._change, self._facts = host, change, facts
        self._held = False

    def before(self, steps: Sequence[Step]) -> None:
        """Hold wakes off where the first of the remaining `steps` begins a start.

        Raises NothingSuitableError where a model has woken since the plan, and has the memory of what is to start.
        """
        if self._held or steps[0].kind not in (*ENDS, *BEGINS):
            return
        if not any(step.kind in BEGINS for step in steps):
            return
        self._host.hold_wakes(on=True)
        self._held = True
        # The release of an undoing served before, and there is nothing better to go back to.
        if not self._change.proven:
            self._require_room(steps)

    def after(self, steps: Sequence[Step]) -> None:
        """Let wakes begin again once no start is left after the first of `steps`."""
        if self._held and not any(step.kind in BEGINS for step in steps[1:]):
            self._host.hold_wakes(on=False)
            self._held = False

    def _require_room(self, steps: Sequence[Step]) -> None:
        facts = self._host.observe()
        slept = {slot.model for slot in self._facts.slots if slot.rests}
        woken = {slot.model for slot in facts.slots if slot.model in slept and not slot.rests}
        if not woken:
            return
        names = ", ".join(sorted(woken))
        ending = {(step.kind, step.slot) for step in steps}
        stopped, dozing = (
            [slot for slot in facts.slots_of(self._change.model) if (kind, slot.slot) in ending]
            for kind in ENDS
        )
        there = {slot.slot: slot for slot in facts.slots_of(self._change.model)}
        for step in (each for each in steps if each.kind in BEGINS):
            release = self._change.releases[step.slot]
            room = find_room(release, facts, stopped, dozing)
            if step.kind is StepKind.WAKE and step.slot in there:
                room = room_to_wake(there[step.slot], release, facts, stopped)
            if not room.fits:
                raise NothingSuitableError(
                    f"{release.title} does not fit on {facts.name} any more: {names} has woken since the plan was"
                    f" made; {room.reason}",
                    hint=" or ".join(f"toolkit sleep {each}" for each in sorted(woken))
                    + ", then the same command again",
                )
