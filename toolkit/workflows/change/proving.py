"""The gates of a version's guard, within the change that makes it live."""

from __future__ import annotations

from toolkit.domain.facts import HostFacts
from toolkit.domain.guard import Guard
from toolkit.domain.release import Release
from toolkit.errors import ReleaseFailedError
from toolkit.workflows.change.guarding import keep_result
from toolkit.workflows.guard.former import recorded
from toolkit.workflows.guard.gates import refusal, run_gates
from toolkit.workflows.guard.replicas import Place
from toolkit.workflows.tools import Tools


class Proving:
    """What a new release must prove on one host before any traffic, in the deployment of `rollout`."""

    def __init__(self, tools: Tools, guard: Guard, rollout: str) -> None:
        self._tools, self._guard, self._rollout = tools, guard, rollout
        self._former: Place | None = None

    def record_former(self, model: str, slot: str) -> None:
        """Record the answers of the release in `slot`, whose place the new one takes."""
        if self._guard.off:
            return
        found = [each for each in self._tools.host.observe().slots_of(model) if each.slot == slot]
        for each in found:
            if each.release and each.healthy:
                place = Place(each.slot, each.port, each.release)
                self._former = recorded(self._tools.host, self._guard, place)

    def prove(self, release: Release, slot: str, port: int) -> None:
        """Run the gates on the release in `slot`, beside the serving one, and record what they find.

        Raises ReleaseFailedError where the release must not take traffic.
        """
        tools, guard, new = self._tools, self._guard, Place(slot, port, release)
        old = serving_beside(tools.host.observe(), new)
        results = run_gates(tools.host, guard, new, old, tools.say, tools.scorer, self._former)
        for result in results:
            keep_result(tools, new.release, self._rollout, result)
        if why := refusal(results, guard):
            raise ReleaseFailedError(
                f"{new.release.title} {why}", hint=f"toolkit releases {new.release.model} --gates"
            )


def serving_beside(facts: HostFacts, new: Place) -> Place | None:
    """Return the replica that serves the model of `new` from another slot; None where none does or answers."""
    current = facts.serving_slot(new.release.model)
    if current is None or current.slot == new.slot or not current.healthy or not current.release:
        return None
    return Place(current.slot, current.port, current.release)
