"""The number of hosts that go on serving a model during its rollout, and the changes that it allows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from toolkit.domain.deployment.release import Deployment
from toolkit.domain.hosts.facts import HostFacts
from toolkit.planning.change.rollout import RolloutPlan, serving_hosts, too_few


def undone_in_turn(
    opened: Sequence[Deployment], facts: Mapping[str, HostFacts], keep: int
) -> list[list[str]]:
    """Return the hosts of `facts`, by name, in groups: deployments `opened` on one group end before the next begins.

    Where the former replica had made way, the new one stops before that can start. So beside each group `keep` hosts
    that serve the model now go on, or as many as can. A replica over several hosts stops and starts as a whole.
    """
    concerned: dict[str, set[str]] = {name: set() for name in facts}
    may_stop: dict[str, int] = {}
    for model in dict.fromkeys(each.model for each in opened if each.action != "stop"):
        serving = serving_hosts(model, facts)
        may_stop[model] = max(1, len(serving) - keep)
        for each in opened:
            if each.model == model and each.host in serving and not _spans(model, facts[each.host]):
                concerned[each.host].add(model)
    free = [name for name, models in concerned.items() if not models]
    groups = [free, *_groups({name: each for name, each in concerned.items() if each}, may_stop)]
    return [each for each in groups if each]


def _groups(
    concerned: Mapping[str, Collection[str]], may_stop: Mapping[str, int]
) -> Iterator[list[str]]:
    """Yield the hosts, of which each stops replicas of some models, in groups that stop no more of a model than may."""
    waiting = list(concerned)
    while waiting:
        room, group = dict(may_stop), list[str]()
        for name in waiting:
            if all(room[model] for model in concerned[name]):
                group.append(name)
                for model in concerned[name]:
                    room[model] -= 1
        yield group
        waiting = [name for name in waiting if name not in group]


def _spans(model: str, facts: HostFacts) -> bool:
    return any(slot.release and slot.release.span for slot in facts.slots_of(model))


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
