"""Carry a rollout out: prepare all hosts, then change them batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from toolkit.domain.deployment.plan import Plan, Step, StepKind
from toolkit.domain.deployment.release import Outcome, Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.failures import joined, own_words
from toolkit.errors import (
    CalledOffError,
    HostError,
    InterruptionError,
    ReleaseFailedError,
    ToolkitError,
)
from toolkit.planning.change.canary import is_declared, is_watched
from toolkit.planning.change.keeping import Keeping
from toolkit.planning.change.rollout import RolloutPlan, steps_of, until_letting_go
from toolkit.workflows.change.act import Act
from toolkit.workflows.change.compiled import carry_compiled, collect_compiled
from toolkit.workflows.change.recording import (
    begin_deployment,
    end_deployment,
    forget_on_host,
    keep_on_host,
)
from toolkit.workflows.change.recover import complete, undo
from toolkit.workflows.change.rendezvous import RendezvousRouters, one_change_of_routes
from toolkit.workflows.change.retire import retire
from toolkit.workflows.change.routers import missed
from toolkit.workflows.change.subject import HostChange
from toolkit.workflows.change.wanted import Order
from toolkit.workflows.fleet.at_once import at_once
from toolkit.workflows.tools import Tools


@dataclass(frozen=True, slots=True)
class HostState:
    """The state of a host after a rollout, in `words`, and the deployment that changed it."""

    words: str
    deployment: int | None = None


class Rollout:
    """One release on its way to the hosts of `plan`. The hosts are locked; `facts` are by host's name."""

    def __init__(
        self,
        members: Sequence[Tools],
        plan: RolloutPlan,
        facts: Mapping[str, HostFacts],
        order: Order,
    ) -> None:
        self._alone = all(not each.host.host.peers for each in members)
        self._tools = {
            each.host.name: each if self._alone else _naming_itself(each) for each in members
        }
        self._plan, self._facts, self._order, self._id = plan, facts, order, order.rollout
        # A replica over several hosts is whole or not at all.
        spans = any(release.span for release in plan.releases)
        self._allowed = 0 if spans else order.limits.max_failures
        self._states = {name: HostState(_standing(each)) for name, each in plan.plans.items()}
        self._open: dict[str, int] = {}
        # The last steps of hosts of the batch before, with their former replica; none of them touches a serving one.
        self._late: dict[str, tuple[Act, list[Step]]] = {}
        self._failures: dict[str, ToolkitError] = {}
        self._passed: list[str] = []
        self._interrupted = False
        self._keeping = Keeping(plan, facts, order.limits.keep)
        # Why a batch did not begin although enough hosts went well.
        self._ended = ""

    def perform(self) -> dict[str, HostState]:
        """Bring all hosts to their plans; return what runs on each.

        A host that fails before its batch is left out of it. A batch in which more hosts fail than may is restored,
        and no further batch begins, nor does one beside which too few hosts would serve. Where the version declares a
        canary or a bake, a release that fails is returned on the hosts of earlier batches as well. Raises the `joined`
        errors of the hosts that failed.
        """
        unreached = [name for batch in self._plan.batches for name in batch]
        try:
            self._begin(unreached)
            for number, batch in enumerate(self._plan.batches):
                if number == self._plan.prepared_before:
                    self._prepare(unreached)
                if self._interrupted or len(self._failures) > self._allowed:
                    break
                left = [name for name in batch if name not in self._failures]
                if fault := self._keeping.fault(left):
                    self._ended = fault
                    break
                # Before the batch counts as reached: it begins nothing, and takes as long as a transfer.
                carry_compiled(self._starting(left))
                unreached = unreached[len(batch) :]
                self._change(left, more=bool(unreached))
                collect_compiled(self._starting([n for n in left if n not in self._failures]))
            self._change((), more=False)
        except (ToolkitError, KeyboardInterrupt):
            self._give_up(unreached)
            self._complete(list(self._late))
            self._end_passed()
            raise
        self._give_up(unreached)
        self._end_passed()
        if self._failures:
            raise self._failure()
        return self._states

    def _begin(self, names: Sequence[str]) -> None:
        if not names:
            return
        tools, plans, facts = self._tools, self._plan.plans, self._facts
        # At once, since each host needs a moment to write it down.
        kept = at_once(
            len(names),
            names,
            lambda name: keep_on_host(tools[name], plans[name], self._id, facts[name]),
        )
        for name, keeps in zip(names, kept, strict=True):
            self._open[name] = begin_deployment(
                tools[name], plans[name], facts.values(), rollout=self._id, kept=keeps
            )

    def _prepare(self, names: Sequence[str]) -> None:
        """Bring files and engines to all hosts at once: this touches no serving replica."""
        steps = {name: steps_of(self._plan.plans[name], preparing=True) for name in names}
        if not (busy := [name for name in names if steps[name]]):
            return
        from toolkit.workflows.change.send import coming  # a rollback sends nothing
        from toolkit.workflows.change.shared_supplies import SharedSupplies

        supplies = SharedSupplies(
            self._tools[busy[0]],
            {
                name: coming(self._tools[name].host.host, self._plan.plans[name], self._facts[name])
                for name in busy
            },
        )

        def prepare(name: str) -> None:
            tools = replace(
                self._tools[name],
                supplies=lambda: supplies,
                distribution=lambda: supplies,
            )
            try:
                self._act(name, tools).perform(steps[name])
            finally:
                supplies.leave(name)

        failed = self._at_once(busy, prepare, supplies.abort)
        provisioned = [
            self._tools[name].host.host
            for name in busy
            if name not in failed and any(s.kind is StepKind.PROVISION for s in steps[name])
        ]
        # Here and not with the first batch: until then they would ask each other at their former addresses.
        self._tools[busy[0]].routers.moved(
            {host.label: host.relay_bind for host in provisioned if host.label}
        )
        self._failures.update(failed)
        for name, error in failed.items():
            self._undo(name, error)

    def _change(self, batch: Sequence[str], *, more: bool) -> None:
        """Change the hosts of `batch`, while those of the batch before let go of their former replicas.

        Where `more` hosts follow, those of `batch` let go of theirs with the next call.
        """
        late, self._late = self._late, {}
        if not batch and not late:
            return
        bearable = self._plan.bearable(batch, self._allowed)
        routers = next(iter(self._tools.values())).routers
        apart, back = bearable >= len(batch), self._plan.action == "rollback"
        meeting = one_change_of_routes(routers, len(batch), apart=apart, hurry=apart and back)
        later: dict[str, tuple[Act, list[Step]]] = {}
        lost: list[str] = []

        def change(name: str) -> None:
            tools = replace(self._tools[name], routers=RendezvousRouters(meeting, routers))
            steps = steps_of(self._plan.plans[name], preparing=False)
            count = until_letting_go(steps) if more else len(steps)
            act = self._act(name, tools)
            act.perform(steps[:count], steps[count:])
            if left := steps[count:]:
                later[name] = (act, left)

        def go_on(name: str) -> None:
            try:
                if name in late:
                    act, steps = late[name]
                    act.perform(steps)
                else:
                    change(name)
            except ToolkitError as error:
                lost.append(name)
                # Before it leaves: else the others make the change of a batch that has failed.
                if len(self._failures) + len(lost) > bearable:
                    why = own_words(name, error.message).splitlines()[0]
                    meeting.abort(f"{name} failed: {why}")
                raise
            finally:
                if name not in late:
                    meeting.leave()

        failed = retire({name: self._tools[name] for name in batch}, self._plan, self._facts)
        failed |= self._at_once([*late, *([] if failed else batch)], go_on, meeting.abort)
        # Late hosts belong to a batch whose release has passed: an interruption of the next batch is not their fault.
        cut = [name for name in late if isinstance(failed.get(name), InterruptionError)]
        failed = {name: error for name, error in failed.items() if name not in cut}
        self._judge(batch, [name for name in late if name not in cut], failed, later)
        self._complete(cut)

    def _judge(
        self,
        batch: Sequence[str],
        late: Sequence[str],
        failed: Mapping[str, ToolkitError],
        later: Mapping[str, tuple[Act, list[Step]]],
    ) -> None:
        """Undo the hosts that `failed`, and their whole batch where too many did; end those that have no step left.

        Hosts of the batch take the steps in `later` beside the next one.
        """
        causes = {name: e for name, e in failed.items() if not isinstance(e, CalledOffError)}
        self._failures.update(causes)
        bearable = self._plan.bearable(batch, self._allowed)
        whole_batch = bool(failed) and len(self._failures) > bearable
        undone = [n for n in (*late, *batch) if n in failed or (whole_batch and n in batch)]
        live = [name for name in batch if name not in undone]
        for name in live:
            self._keeping.joined(name)
        self._late = {name: later[name] for name in live if name in later}
        done = [n for n in (*late, *live) if n not in undone and n not in self._late]
        # A release that proves no good on a later host has proven it for the earlier ones, too.
        proving = [name for name in done if is_declared(self._plan.plans[name])]
        self._passed += proving
        if ended := [name for name in done if name not in proving]:
            at_once(len(ended), ended, self._end_live)
        if undone:
            neighbour = CalledOffError("another host of its batch failed")
            # At once: hosts that run a replica together can only start it together.
            at_once(
                len(undone), undone, lambda name: self._undo(name, failed.get(name) or neighbour)
            )

    def _at_once(
        self, names: Sequence[str], act: Callable[[str], None], abort: Callable[[str], None]
    ) -> dict[str, ToolkitError]:
        """Perform `act` for all names in threads; return the errors by name. Ctrl-C ends all of them."""
        if not names:
            return {}
        found: dict[str, ToolkitError] = {}
        at_work: set[str] = set()
        interruption = self._tools[names[0]].interruption

        def attempt(name: str) -> None:
            at_work.add(name)
            try:
                act(name)
            except ToolkitError as error:
                found[name] = error
            finally:
                at_work.remove(name)

        def stop() -> None:
            # Before `abort`, which has to wait for a joint action under way.
            interruption.begin()
            abort("interrupted")

        try:
            at_once(len(names), names, attempt, stop)
        except KeyboardInterrupt:
            if at_work:  # Pressed again: the next command completes or undoes the change.
                raise
            self._interrupted = True
            interruption.over()
            return {name: InterruptionError("interrupted") for name in names}
        return {name: found[name] for name in names if name in found}

    def _undo(self, name: str, error: ToolkitError) -> None:
        tools, reason = self._tools[name], error.message
        tools.say(f"restoring what served before: {reason.splitlines()[0]}")
        deployment = self._open.pop(name)
        refused = any(isinstance(each, ReleaseFailedError) for each in self._failures.values())
        try:
            undo(tools, deployment, reason, self._order.timing, refused=refused)
        except ToolkitError as second:
            why = own_words(name, second.message)
            words = f"not restored: {why}; the next command completes or undoes it"
            self._keeping.lost(name)
        else:
            before = self._plan.plans[name].previous
            words = f"restored: {before.title}" if before else "restored: nothing runs"
        self._states[name] = HostState(words, deployment)

    def _complete(self, names: Sequence[str]) -> None:
        """End the deployments of hosts that had the release already when this command was interrupted."""
        for name in names:
            deployment, release = self._open.pop(name), self._plan.plans[name].release
            try:
                done = complete(self._tools[name], deployment, "interrupted", self._order.timing)
            except ToolkitError as error:
                why = own_words(name, error.message)
                words = f"not ended: {why}; the next command completes or undoes it"
            else:
                words = f"live: {release.title}" if done.completes and release else "restored"
            self._states[name] = HostState(words, deployment)

    def _end_passed(self) -> None:
        """End the deployments of hosts on which the release passed: as live, or undone where it failed elsewhere."""
        passed, self._passed = self._passed, []
        failed = [n for n, each in self._failures.items() if isinstance(each, ReleaseFailedError)]
        if not passed:
            return
        if failed and len(self._failures) > self._allowed:
            called_off = CalledOffError(f"the release failed on {' and '.join(failed)}")
            width = self._keeping.at_once(passed)
            at_once(width, passed, lambda name: self._undo(name, called_off))
        else:
            at_once(len(passed), passed, self._end_live)

    def _end_live(self, name: str) -> None:
        deployment, release = self._open.pop(name), self._plan.plans[name].release
        watched = is_watched(self._plan.plans[name]) and self._facts[name].watched
        guarded = self._plan.model if watched else ""
        end_deployment(
            self._tools[name], deployment, Outcome.LIVE, rollout=self._id, guarded=guarded
        )
        self._states[name] = HostState(f"live: {release.title}" if release else "live", deployment)

    def _give_up(self, unreached: Sequence[str]) -> None:
        """End the deployments of hosts whose batch never began: the next command has nothing to complete there."""
        for name in unreached:
            if name not in self._open:
                forget_on_host(self._tools[name], self._id)
                continue
            # A host whose lock is lost is for the command that has it now, and the others are still this one's.
            with suppress(HostError):
                end_deployment(
                    self._tools[name],
                    self._open.pop(name),
                    Outcome.UNDONE,
                    "its batch was not reached",
                    rollout=self._id,
                )

    def _failure(self) -> ToolkitError:
        model = self._plan.model
        rows = [f"{name}: {state.words}" for name, state in self._states.items()]
        rows += [self._ended] if self._ended else []
        rows += missed(next(iter(self._tools.values())).routers.catch_up())
        words = [state.words for state in self._states.values()]
        live, returns = any(w.startswith("live: ") for w in words), self._plan.action == "rollback"
        if live and returns:
            rows.append(f"toolkit rollback {model}, once more, brings the others back")
        # Where nothing went live, a rollback would leave the release that serves everywhere.
        back = f", or toolkit rollback {model}" if live and not returns else ""
        return joined(
            self._failures,
            hint=f"toolkit status; the same command again converges them{back}",
            alone=self._alone,
            more=words[0] if self._alone else "\n  ".join(["the hosts now:", *rows]),
        )

    def _act(self, name: str, tools: Tools) -> Act:
        plan, order = self._plan.plans[name], self._order
        assert plan.release is not None
        watched = sum(map(is_watched, self._plan.plans.values()))
        change = HostChange(
            plan.model, {plan.slot: plan.release}, order.version, order.timing,
            guard=plan.guard, rollout=self._id, hosts=max(1, watched),
        )  # fmt: skip
        return Act(tools, change, self._open[name], self._facts[name])

    def _starting(self, names: Sequence[str]) -> list[tuple[Tools, Release]]:
        """Return those hosts that start a replica, and its release."""
        plans = [(self._tools[name], self._plan.plans[name]) for name in names]
        return [(t, p.release) for t, p in plans if p.release and p.has(StepKind.START)]


def _standing(plan: Plan) -> str:
    if plan.empty and plan.release:
        return f"live: {plan.release.title}, unchanged"
    return f"untouched: {plan.previous.title}" if plan.previous else "untouched: nothing runs"


def _naming_itself(tools: Tools) -> Tools:
    """Return tools whose progress begins with the host's name."""
    name, say = tools.host.name, tools.say
    return replace(tools, say=lambda text: say(f"{name}: {text}"))
