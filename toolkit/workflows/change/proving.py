"""The gates of a version's guard, within the change that makes it live."""

from __future__ import annotations

from toolkit.domain.facts import HostFacts
from toolkit.domain.guard import Guard
from toolkit.workflows.change.guarding import keep_result
from toolkit.workflows.guard.gates import refusal, run_gates
from toolkit.workflows.guard.replicas import Place
from toolkit.workflows.tools import Tools


def prove(tools: Tools, guard: Guard, new: Place, rollout: str) -> str:
    """Run the gates on the replica at `new`, beside the serving one, and record what they find.

    Return why the release must not take traffic; nothing where it may.
    """
    old = serving_beside(tools.host.observe(), new)
    results = run_gates(tools.host, guard, new, old, tools.say, tools.scorer)
    for result in results:
        keep_result(tools, new.release, rollout, result)
    return refusal(results, guard)


def serving_beside(facts: HostFacts, new: Place) -> Place | None:
    """Return the replica that serves the model of `new` from another slot; None where none does or answers."""
    current = facts.serving_slot(new.release.model)
    if current is None or current.slot == new.slot or not current.healthy or not current.release:
        return None
    return Place(current.slot, current.port, current.release)
