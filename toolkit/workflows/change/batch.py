"""The work of a rollout: prepare all hosts, then change them batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from toolkit.domain.facts import HostFacts
from toolkit.domain.model import Version
from toolkit.domain.plan import Plan, StepKind
from toolkit.domain.release import Outcome
from toolkit.errors import ReleaseFailedError, ToolkitError
from toolkit.planning.change.rollout import PREPARATION, Limits, RolloutPlan
from toolkit.workflows.change.act import Act, Change
from toolkit.workflows.change.recording import open_deployment
from toolkit.workflows.change.recover import undo
from toolkit.workflows.change.rendezvous import JointDoor, joint_routes
from toolkit.workflows.change.send import travels
from toolkit.workflows.change.shared_supplies import JointSupplies
from toolkit.workflows.fleet.at_once import at_once
from toolkit.workflows.tools import Timing, Tools


class Rollout:
    """One release on its way to the hosts of `plan`. The hosts are held; `facts` are by host's name."""

    def __init__(
        self,
        members: Sequence[Tools],
        plan: RolloutPlan,
        facts: Mapping[str, HostFacts],
        version: Version | None,
        timing: Timing,
        id: str,
    ) -> None:
        self._tools = {each.host.name: _named(each) for each in members}
        self._plan, self._facts, self._version, self._timing, self._id = (
            plan, facts, version, timing, id,
        )  # fmt: skip
        self._deployments: dict[str, int] = {}
        self._failures: dict[str, str] = {}
        self._states = {name: _standing(each) for name, each in plan.plans.items()}
        self._interruption, self._interrupted = members[0].interruption, False
        self._begun: set[str] = set()

    def perform(self, limits: Limits) -> dict[str, str]:
        """Bring all hosts to their plans; return by host what runs there, in words.

        Raises ReleaseFailedError, with the state of each host, where more than `limits.max_failures` failed or any
        did in the end. A batch with too many failures is restored, and no further one begins.
        """
        if any(release.span for release in self._plan.releases):
            # A replica over several hosts is whole or not at all.
            limits = replace(limits, max_failures=0)
        self._open()
        try:
            self._prepare()
            for batch in self._plan.batches:
                if self._interrupted or len(self._failures) > limits.max_failures:
                    break
                self._change([name for name in batch if name not in self._failures], limits)
        finally:
            self._close()
        if self._failures:
            raise ReleaseFailedError(
                "\n  ".join(
                    [
                        "; ".join(f"{name}: {why}" for name, why in self._failures.items()),
                        "the hosts now:",
                        *(f"{name}: {state}" for name, state in self._states.items()),
                    ]
                ),
                hint=f"toolkit status; the same command again converges them, "
                f"or toolkit rollback {self._plan.model}",
            )
        return self._states

    def _open(self) -> None:
        for batch in self._plan.batches:
            for name in batch:
                self._deployments[name] = open_deployment(
                    self._tools[name],
                    self._plan.plans[name],
                    self._facts.values(),
                    rollout=self._id,
                )

    def _prepare(self) -> None:
        """Bring what is needed to all hosts at once: nothing of it touches what serves."""
        steps = {
            name: [step for step in self._plan.plans[name].steps if step.kind in PREPARATION]
            for name in self._deployments
        }
        busy = [name for name, found in steps.items() if found]
        if not busy:
            return
        supplies = JointSupplies(self._tools[busy[0]], {name: self._coming(name) for name in busy})

        def prepare(name: str) -> None:
            tools = replace(
                self._tools[name],
                supplies=lambda: supplies,
                distribution=lambda: supplies.for_host(name),
            )
            try:
                self._act(name, tools).perform(steps[name])
            finally:
                supplies.leave(name)

        for name, error in self._at_once(busy, prepare, supplies.abort).items():
            self._failures[name] = error
            self._undo(name, error)

    def _coming(self, name: str) -> list[tuple[str, str]]:
        """Return kind and name of the trees that must be sent to the host."""
        plan, host = self._plan.plans[name], self._tools[name].host.host
        kinds = {step.kind for step in plan.steps}
        release, found = plan.release, []
        if release is None or not travels(host):
            return []
        if StepKind.INSTALL_ENGINE in kinds and release.engine not in self._facts[name].engines:
            found.append(("wheelhouse", release.engine))
        if StepKind.DISTRIBUTE in kinds:
            found.append(("snapshots", release.snapshot))
        return found

    def _change(self, batch: Sequence[str], limits: Limits) -> None:
        if not batch:
            return
        self._begun.update(batch)
        joint = joint_routes(self._tools[batch[0]].doors, len(batch))

        def change(name: str) -> None:
            steps = [s for s in self._plan.plans[name].steps if s.kind not in PREPARATION]
            try:
                self._act(name, replace(self._tools[name], doors=JointDoor(joint))).perform(steps)
            except ToolkitError as error:
                if len(self._failures) >= limits.max_failures:
                    joint.abort(f"{name} failed: {error.message.splitlines()[0]}")
                raise
            finally:
                joint.leave()

        failed = self._at_once(batch, change, joint.abort)
        cause = {name: why for name, why in failed.items() if "not carried out, because" not in why}
        restore = len(self._failures) + len(cause) > limits.max_failures and bool(failed)
        self._failures.update(cause)
        undone = [name for name in batch if name in failed or restore]
        for name in batch:
            if name not in undone:
                self._end(name, Outcome.LIVE, "")
                release = self._plan.plans[name].release
                self._states[name] = f"live: {release.title}" if release else "live"
        if undone:
            # At once: hosts that run a replica together can only start it together.
            why = {name: failed.get(name) or "another host of its batch failed" for name in undone}
            at_once(len(undone), undone, lambda name: self._undo(name, why[name]))

    def _at_once(
        self,
        names: Sequence[str],
        act: Callable[[str], None],
        abort: Callable[[str], None],
    ) -> dict[str, str]:
        """Perform `act` for all names in threads; return why it failed, by name. Ctrl-C ends all of them."""
        found: dict[str, str] = {}
        at_work: set[str] = set()

        def attempt(name: str) -> None:
            at_work.add(name)
            try:
                act(name)
            except ToolkitError as error:
                found[name] = error.message
            finally:
                at_work.remove(name)

        def stop() -> None:
            # Before `abort`, which has to wait for a joint action under way.
            self._interruption.begin()
            abort("interrupted")

        try:
            at_once(len(names), names, attempt, stop)
        except KeyboardInterrupt:
            if at_work:  # The operator does not wait for them either: the next command completes or undoes it.
                raise
            self._interrupted = True
            self._interruption.over()
            return dict.fromkeys(names, "interrupted")
        return {name: found[name] for name in names if name in found}

    def _act(self, name: str, tools: Tools) -> Act:
        plan = self._plan.plans[name]
        assert plan.release is not None
        change = Change(plan.model, {plan.slot: plan.release}, self._version, self._timing)
        return Act(tools, change, self._deployments[name], self._facts[name])

    def _undo(self, name: str, reason: str) -> None:
        tools = self._tools[name]
        tools.say(f"restoring what served before: {reason.splitlines()[0]}")
        deployment = self._deployments.pop(name)
        try:
            undo(tools, deployment, reason, self._timing)
        except ToolkitError as error:
            self._states[name] = (
                f"not restored: {error.message}; the next command completes or undoes it"
            )
            return
        before = self._plan.plans[name].previous
        self._states[name] = f"restored: {before.title}" if before else "restored: nothing runs"

    def _end(self, name: str, outcome: Outcome, reason: str) -> None:
        self._tools[name].history.end_deployment(self._deployments.pop(name), outcome, reason)

    def _close(self) -> None:
        """What was never begun is no open deployment."""
        for name in self._deployments.keys() - self._begun:
            self._end(name, Outcome.UNDONE, "its batch was not reached")


def _standing(plan: Plan) -> str:
    if plan.empty and plan.release:
        return f"live: {plan.release.title}, unchanged"
    return f"untouched: {plan.previous.title}" if plan.previous else "untouched: nothing runs"


def _named(tools: Tools) -> Tools:
    name, say = tools.host.name, tools.say
    return replace(tools, say=lambda text: say(f"{name}: {text}"))
