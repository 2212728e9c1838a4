"""End the replicas of a host at once: one that hangs or starts keeps no other one."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.adapters.interruption import Interruption
from toolkit.domain.deployment.plan import Step
from toolkit.workflows.change.act import Act
from toolkit.workflows.fleet.at_once import at_once


def perform_apart(act: Act, steps: Sequence[Step], interruption: Interruption) -> None:
    """Perform the steps of no slot first, then those of each slot in order, all slots at once.

    Raises the first failure once all slots have ended. An interruption ends the waits of all.
    """
    act.perform(step for step in steps if not step.slot)
    slots = [[step for step in steps if step.slot == slot] for slot in _slots(steps)]
    if slots:
        at_once(len(slots), slots, act.perform, interruption.begin)


def _slots(steps: Sequence[Step]) -> Sequence[str]:
    return list(dict.fromkeys(step.slot for step in steps if step.slot))
