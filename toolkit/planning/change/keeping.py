"""How many hosts go on serving a model while its rollout is under way, and what that allows."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from toolkit.domain.hosts.facts import HostFacts
from toolkit.planning.change.rollout import RolloutPlan, serving_hosts, too_few


class Keeping:
    """The hosts that serve the model of `plan`: those of `facts`, by name, and what the rollout makes of them.

    `keep` of them must go on serving at each moment. Where one host alone serves, or all run one replica together,
    there is no other to go on.
    """

    def __init__(self, plan: RolloutPlan, facts: Mapping[str, HostFacts], keep: int) -> None:
        self._model, self._rolling, self._keep = plan.model, plan.rolling, keep
        self._serving = set(serving_hosts(plan.model, facts))
        together = any(release.span for release in plan.releases)
        self._applies = len(self._serving) > 1 and not together

    def joined(self, name: str) -> None:
        """Count a host that serves from now on."""
        self._serving.add(name)

    def lost(self, name: str) -> None:
        """Count a host no more: its former release could not be restored, so it may not serve."""
        self._serving.discard(name)

    def fault(self, batch: Collection[str]) -> str:
        """Return why the hosts of `batch` may not stop their replicas; empty where they may."""
        stopping = self._rolling & self._serving & {*batch}
        if not self._applies or len(self._serving) - len(stopping) >= self._keep or not stopping:
            return ""
        words = too_few(self._model, len(self._serving), self._keep, stopping)
        return f"no further batch began: {words}"

    def at_once(self, names: Collection[str]) -> int:
        """Return how many of the hosts `names` may go back to their former release at once."""
        if not self._applies or not self._rolling & {*names}:
            return len(names)
        return min(len(names), max(1, len(self._serving) - self._keep))
