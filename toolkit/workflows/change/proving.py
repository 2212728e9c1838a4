"""The gates of a version's guard, within the change that makes it live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from toolkit.domain.deployment.release import Release, ReleaseAdapter
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import GateResult
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.registry.model import Version
from toolkit.errors import ReleaseFailedError
from toolkit.workflows.change.guarding import keep_result
from toolkit.workflows.guard.adapters import adapter_gates, adapter_named, adapter_replica
from toolkit.workflows.guard.former import recorded
from toolkit.workflows.guard.gates import refusal, run_gates
from toolkit.workflows.guard.replicas import GatedReplica
from toolkit.workflows.tools import Tools


class Proving:
    """The proofs of a new release on one host before any traffic, in the deployment of `rollout`.

    `passed` names the golden prompts that the release passed each time: a guard may hold it to these alone, because the
    gate allows the loss of others.
    """

    def __init__(self, tools: Tools, guard: Guard, rollout: str) -> None:
        self._tools, self._guard, self._rollout = tools, guard, rollout
        self._former: GatedReplica | None = None
        self.passed: frozenset[str] = frozenset()

    def record_former(self, model: str, slot: str) -> None:
        """Record the answers of the release in `slot`, whose place the new one takes."""
        if self._guard.off:
            return
        found = [each for each in self._tools.host.observe().slots_of(model) if each.slot == slot]
        for each in found:
            if each.release and each.healthy:
                replica = GatedReplica(each.slot, each.port, each.release)
                self._former = recorded(self._tools.host, self._guard, replica)

    def prove(self, release: Release, slot: str, port: int) -> None:
        """Run the gates on the release in `slot`, beside the serving one, and record what they find.

        Raises ReleaseFailedError where the release must not take traffic.
        """
        tools, guard, new = self._tools, self._guard, GatedReplica(slot, port, release)
        old = serving_beside(tools.host.observe(), new)
        results = run_gates(tools.host, guard, new, old, tools.say, tools.scorer, self._former)
        self.passed = passed_in(results)
        for result in results:
            keep_result(tools, new.release, self._rollout, result)
        if why := refusal(results, guard):
            raise ReleaseFailedError(
                f"{new.release.title} {why}", hint=f"toolkit releases {new.release.model} --gates"
            )


class ProvingAdapters:
    """The proofs of a release's adapters on one host, each by its own of the `guards`, by name.

    `results` are the verdicts so far, `refusals` why adapters must not get traffic. `passed` names, by adapter, the
    golden prompts that it passed each time. With `alone` nothing is to be
    changed, and a refusal ends nothing.
    """

    def __init__(
        self, tools: Tools, guards: Mapping[str, Guard], rollout: str, *, alone: bool = False
    ) -> None:
        self._tools, self.guards, self._rollout, self._alone = tools, guards, rollout, alone
        self.results: list[GateResult] = []
        self.refusals: list[str] = []
        self.passed: dict[str, frozenset[str]] = {}

    def beside(
        self, release: Release, slot: str, port: int, former: Release | None
    ) -> Callable[[ReleaseAdapter, str], None]:
        """Return `prove` for adapters that the replica in `slot` has under given names, beside those of `former`."""
        old = GatedReplica(slot, port, former) if former else None

        def prove(adapter: ReleaseAdapter, name: str) -> None:
            self.prove(release, adapter, adapter_replica(slot, port, release, adapter, name), old)

        return prove

    def prove_all(
        self, release: Release, slot: str, port: int, adapters: Iterable[ReleaseAdapter]
    ) -> None:
        """Run the gates of `adapters` that a replica has under their names, beside those of the serving replica.

        Those of the serving replica itself have nothing to be compared with.
        """
        old = serving_beside(self._tools.host.observe(), GatedReplica(slot, port, release))
        for adapter in adapters:
            self.prove(release, adapter, adapter_replica(slot, port, release, adapter), old)

    def prove(
        self,
        release: Release,
        adapter: ReleaseAdapter,
        new: GatedReplica,
        former: GatedReplica | None,
    ) -> None:
        """Run the gates on an adapter of `release` at `new`, and record what they find.

        `former` is the replica that may have one which serves under the name of the adapter. Raises
        ReleaseFailedError where the adapter must not get traffic.
        """
        tools, guard = self._tools, self.guards.get(adapter.name)
        if guard is None or guard.off:
            return
        known = adapter_named(former.release, adapter.name) if former else None
        old = (
            adapter_replica(former.slot, former.port, former.release, known)
            if former and known
            else None
        )
        results = adapter_gates(tools, adapter, guard, new, old)
        self.results += results
        self.passed[adapter.name] = passed_in(results)
        for result in results:
            keep_result(tools, release, self._rollout, result)
        if why := refusal(results, guard):
            self.refusals.append(f"adapter {adapter.name} of {release.title} {why}")
            if not self._alone:
                hint = f"toolkit releases {release.model} --gates"
                raise ReleaseFailedError(self.refusals[-1], hint=hint)


def passed_in(results: Iterable[GateResult]) -> frozenset[str]:
    """Return the names of the golden prompts that were passed each time in any of the gates."""
    return frozenset(name for each in results for name in each.passed)


def guards_of(version: Version | None) -> dict[str, Guard]:
    """Return the guards of a version's adapters by name; none without a version, as in a rollback."""
    return {each.name: each.guard for each in version.adapters} if version else {}


def serving_beside(facts: HostFacts, new: GatedReplica) -> GatedReplica | None:
    """Return the replica that serves the model of `new` from another slot; None where none does or answers."""
    current = facts.serving_slot(new.release.model)
    if current is None or current.slot == new.slot or not current.healthy or not current.release:
        return None
    return GatedReplica(current.slot, current.port, current.release)
