"""One function for each kind of step. The history records each step before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from toolkit.domain.deployment.plan import ENDS, Step, StepKind
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.gates.verdict import GateResult, GuardPhase, Verdict
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.quantity import format_seconds, format_size
from toolkit.errors import ReleaseFailedError
from toolkit.planning.change.gate import gate_ways, way_fault
from toolkit.planning.change.own_targets import OwnTargets
from toolkit.planning.change.room import devices_to_start
from toolkit.planning.routing.edits import (
    armed,
    with_standby,
    withheld,
    without_standby,
    without_targets,
    without_traffic,
)
from toolkit.planning.routing.ports import slot_ports
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.dozing import fell_asleep, woke
from toolkit.workflows.change.failures import failed, logs_of, refused
from toolkit.workflows.change.guarding import Guarding, keep_result
from toolkit.workflows.change.routers import Edit
from toolkit.workflows.change.subject import HostChange
from toolkit.workflows.change.wakes_held import WakesHeld
from toolkit.workflows.guard.checks import fault_of_checks
from toolkit.workflows.tools import Tools

if TYPE_CHECKING:
    from toolkit.workflows.change.proving import Proving, ProvingAdapters

_WATCHED = (StepKind.CANARY, StepKind.BAKE)

# The steps that run a playbook; a replica that does not wake starts anew.
_REPLICA = (StepKind.START, StepKind.STOP, StepKind.WAKE)
PLAYED = frozenset({StepKind.PROVISION, StepKind.INSTALL_ENGINE, *_REPLICA})


class Act:
    """Performs steps on a host and records them under a deployment of the history."""

    def __init__(self, tools: Tools, change: HostChange, deployment: int, facts: HostFacts) -> None:
        self._tools = tools
        self._change = change
        self._deployment = deployment
        self._said = 0.0
        # Slots whose replicas these steps stop, and the slots whose replicas are stopped already.
        self._stopping: set[str] = set()
        self._stopped: set[str] = set()
        self._kept: set[str] = set()
        self._started: set[str] = set()
        self._facts = facts
        # A host whose watch does not run has no guard either.
        self._guarding = (
            Guarding(tools, change.guard, change.rollout, facts, change.hosts)
            if change.guard and facts.watched
            else None
        )
        self._wakes = WakesHeld(tools.host, change, facts)
        self._watched: set[str] = set()
        self._judged: set[str] = set()
        self._proving: Proving | None = None
        self.adapters: ProvingAdapters | None = None
        if change.guard and not change.proven:
            # Here and not above: a rollback has no gates, and must start at once.
            from toolkit.workflows.change.proving import Proving

            self._proving = Proving(tools, change.guard, change.rollout)
        if change.version and change.version.adapters and not change.proven:
            from toolkit.workflows.change.proving import ProvingAdapters, guards_of

            guards = guards_of(change.version)
            self.adapters = ProvingAdapters(tools, guards, change.rollout, alone=change.tries)
        self._promoted = self._armed = False
        host = tools.host.host
        self._label = host.label
        self._ports = slot_ports(change.model, facts, host.port_base, host.label)
        relay = f"{host.relay_address}:{host.relay_port}" if host.label else ""
        there = {each.slot: each.release for each in facts.slots_of(change.model) if each.release}
        releases = {**there, **change.releases}
        self._own = OwnTargets(change.model, host.label, relay, self._ports, releases)

    def perform(self, steps: Iterable[Step], later: Iterable[Step] = ()) -> None:
        """Perform `steps` in order; the first that fails raises and is recorded as failed.

        Another call performs those that come `later`.
        """
        steps = list(steps)
        self._stopping = {step.slot for step in (*steps, *later) if step.kind in ENDS}
        self._started |= {step.slot for step in steps if step.kind is StepKind.START}
        self._watched = {step.slot for step in steps if step.kind in _WATCHED}
        for at, step in enumerate(steps):
            self._tools.host.require_lock()
            self._tools.say(f"{step.kind}{f' {step.slot}' if step.slot else ''}: {step.reason}")
            history = self._tools.history
            seq = history.start_step(self._deployment, str(step.kind), step.detail)
            started = time.monotonic()
            try:
                self._wakes.before(steps[at:])
                self._do[step.kind](self, step)
                self._wakes.after(steps[at:])
            except BaseException as error:
                history.end_step(self._deployment, seq, Outcome.FAILED)
                if isinstance(error, ReleaseFailedError):
                    self._keep_failure(step, error)
                if isinstance(error, OSError):
                    # Here and not above: it is rare. As an error of the tree, it undoes the change.
                    from toolkit.adapters.disk import fault_of

                    raise fault_of(error) from error
                raise
            history.end_step(self._deployment, seq, Outcome.DONE)
            if (took := time.monotonic() - started) >= 1:
                self._tools.say(f"  {step.kind} took {format_seconds(took)}")

    def _prepare(self, step: Step) -> None:
        # Here and not above: a rollback to a standby has no such step, and must start at once.
        from toolkit.workflows.change.preparing import Preparing

        Preparing(self._tools, self._change, self._facts, self._play).perform(step)

    def _start(self, step: Step) -> None:
        from toolkit.workflows.change.fit_record import FitRecording
        from toolkit.workflows.change.slot_files import require_files, slot_variables
        from toolkit.workflows.change.starting import keep_phases, usual_starting

        release, port = self._change.releases[step.slot], self._ports[step.slot]
        program = f"{release.model}-{step.slot}"
        require_files(self._tools.host, release)
        facts, host = self._tools.host.observe(), self._tools.host.host
        devices = devices_to_start(release, facts, step.slot)
        self._play("replica", slot_variables(facts, host, release, step.slot, port, devices))
        figures = FitRecording(self._tools, facts, release)
        starting = usual_starting(self._tools, release, host.name)
        waited = self._tools.host.wait_ready(program, port, self._change.timing.ready, starting)
        if not waited.ok:
            raise failed(release, step.slot, f"did not start: {waited.reason}", waited)
        figures.keep(waited.log)
        keep_phases(self._tools, release, host.name, starting, waited.seconds)

    def _gate(self, step: Step) -> None:
        release, port = self._change.releases[step.slot], self._ports[step.slot]
        if step.slot not in self._started:
            # A frozen standby would take the whole time of the first check.
            waited = self._tools.host.probe(f"{release.model}-{step.slot}", port)
            if not waited.ok:
                raise ReleaseFailedError(
                    f"{release.title} stands by and is no good: {waited.reason}",
                    hint=f"toolkit status; {logs_of(release, step.slot)}",
                )
        if fault := fault_of_checks(self._tools.host, port, release):
            raise refused(release, step.slot, fault)
        complete = self._tools.host.complete
        # A standby has answered these after its own start.
        once = step.slot in self._started and not self._change.proven
        for way in gate_ways(release) if once else ():
            if fault := way_fault(way, complete(port, way.payload, way.timeout)):
                raise refused(release, step.slot, fault)
        if once and self._proving:
            # The gate that refuses it is recorded with its figures.
            self._judged.add(step.slot)
            self._proving.prove(release, step.slot, port)
        if once and self.adapters and not self._change.tries:
            self.adapters.prove_all(release, step.slot, port, release.adapters)

    def _gate_and_keep(self, step: Step) -> None:
        """Pass the gate, then keep the files that a new replica has compiled, before a client can affect them."""
        self._gate(step)
        if step.slot in self._started and not self._change.proven:
            kept = self._tools.host.keep_compiled(f"{self._change.model}-{step.slot}")
            if kept.size:
                self._tools.say(f"  kept what the engine has compiled, {format_size(kept.size)}")

    def _keep_failure(self, step: Step, error: ReleaseFailedError) -> None:
        """Record that a release failed before any guard could watch it."""
        if step.slot in self._judged or (self.adapters and self.adapters.refusals):
            return
        if step.kind in (StepKind.START, StepKind.GATE, StepKind.ADAPT) and self._change.guard:
            gate = "start" if step.kind is StepKind.START else "checks"
            result = GateResult(gate, Verdict.FAILED, error.message)
            release = self._change.releases[step.slot]
            keep_result(self._tools, release, self._change.rollout, result)

    def _adapt(self, step: Step) -> None:
        """Change the adapters of a running replica; see `Adapting`."""
        from toolkit.workflows.change.adapting import Adapting
        from toolkit.workflows.change.slot_files import require_files, slot_variables

        release, port = self._change.releases[step.slot], self._ports[step.slot]
        slot = next(each for each in self._facts.slots_of(release.model) if each.slot == step.slot)
        others = [each for each in (slot.release, self._change.former) if each]
        require_files(self._tools.host, release)
        adapting = Adapting(self._tools, release, step.slot, port, others)
        proving = self.adapters
        adapting.tidy(self._change.tried)
        gates = proving.beside(release, step.slot, port, slot.release) if proving else None
        adapting.prove(gates, proven=self._change.proven)
        if self._change.tries:
            if proving:
                proving.prove_all(release, step.slot, port, adapting.checked)
            return
        host = self._tools.host.host
        written = slot_variables(self._facts, host, release, step.slot, port, slot.devices)
        self._play("replica", {**written, "replica_runs_on": True})
        guards, passed = (proving.guards, proving.passed) if proving else ({}, {})
        begin = None
        if self._guarding and step.slot in self._watched:
            begin = adapting.watched(self._guarding, slot.release, guards, passed)
        adapting.exchange(self._own.target(step.slot, 0).name, begin)

    def _hold(self, step: Step) -> None:
        model, name = self._change.model, self._own.target(step.slot, 0).name
        if self._proving:
            self._proving.record_former(model, step.slot)
        self._route(lambda routes: withheld(routes, model, name, int(step.seconds)))

    def _canary(self, step: Step) -> None:
        if self._promoted:
            self._tools.say("  passed over: it was promoted")
            if self._change.hosts > 1:
                # The hosts of a batch change their routes together: none goes ahead of the others.
                self._route(lambda routes: routes)
            return
        assert self._guarding, "the plan has a canary where a guard can watch it"
        release = self._change.releases[step.slot]
        self._guarding.begin(release, step.slot, self._stopped, self._passed)
        self._route(lambda routes: self._own.shared(routes, step.slot, step.share, self._created()))
        self._promoted = self._guarding.follow(release, step, GuardPhase.SHARE)

    @property
    def _passed(self) -> frozenset[str]:
        """The golden prompts that the new release has passed; none where it was not asked."""
        return self._proving.passed if self._proving else frozenset()

    def _shift(self, step: Step) -> None:
        if self._guarding and step.slot in self._watched:
            release = self._change.releases[step.slot]
            self._guarding.begin(release, step.slot, self._stopped, self._passed)
        self._kept = self._stopping if self._guarding else set()
        self._route(lambda routes: self._shifted(routes, step.slot))

    def _shifted(self, routes: Routes, gaining: str) -> Routes:
        found = self._with_traffic(routes, gaining)
        route = routes.of(self._change.model)
        # While a release is on trial that nothing else serves beside, requests wait for an undoing as they did for it.
        self._armed = bool(route and route.hold and gaining in self._watched)
        return armed(found, self._change.model, route.hold) if route and self._armed else found

    def _with_traffic(self, routes: Routes, gaining: str) -> Routes:
        release = self._change.releases.get(gaining)
        routing = release.routing if release else None
        standbys = self._standbys(routes)
        return self._own.shifted(routes, gaining, standbys, self._created(), routing)

    def _created(self) -> int:
        """Return the time for routes that begin with this change, in seconds since 1970."""
        return int(self._tools.clock())

    def _standbys(self, routes: Routes) -> set[str]:
        """Return the slots of this host that may take the traffic over once they have none: those that served."""
        if not self._change.standby:
            return set()
        # A guard gives the traffic back to a standby, also to one that is stopped once it has passed.
        left = self._stopped if self._guarding else self._stopping
        return self._own.with_traffic(routes) - left

    def _bake(self, step: Step) -> None:
        release, port = self._change.releases[step.slot], self._ports[step.slot]
        if self._guarding:
            self._guarding.follow(release, step, GuardPhase.BAKE)
        else:
            program = f"{release.model}-{step.slot}"
            waited = self._tools.host.watch(program, port, step.seconds, lambda _: None)
            if not waited.ok:
                raise failed(release, step.slot, f"failed under traffic: {waited.reason}", waited)
        if self._armed:
            self._route(lambda routes: armed(routes, release.model, 0))

    def _drain(self, step: Step) -> None:
        model, port = self._change.model, self._ports[step.slot]
        longest = self._change.timing.drain
        timeout = min(longest, step.seconds) if step.seconds else longest
        waited = self._tools.host.drain(model, step.slot, port, timeout, self._still_draining)
        if waited.reason:
            self._tools.say(f"  {waited.reason}; it was ended and starts again")
        elif not waited.ok:
            self._tools.say(
                f"  {waited.left} requests still ran after {format_seconds(timeout)}; going on"
            )

    def _standby(self, step: Step) -> None:
        """Let a replica take the traffic over again after an undo; any other shift makes it a standby itself."""
        if not self._change.standby:
            name = self._own.target(step.slot, 0).name
            self._route(lambda routes: with_standby(routes, self._change.model, {name}))

    def _stop(self, step: Step) -> None:
        if step.slot in self._kept - self._stopped:
            name = self._own.target(step.slot, 0).name
            self._route(lambda routes: without_standby(routes, self._change.model, {name}))
        self._stopped.add(step.slot)
        program = f"{self._change.model}-{step.slot}"
        self._play(
            "replica",
            {
                "replica_program": program,
                "replica_user": self._tools.host.host.slot_user(program),
                "replica_state": "absent",
                "replica_home_kept": not self._change.leaves,
            },
        )

    def _doze(self, step: Step) -> None:
        self._stopped.add(step.slot)
        if not fell_asleep(self._tools, self._facts, step.slot, self._change.planned):
            self._stop(step)

    def _wake(self, step: Step) -> None:
        release, port = self._change.releases[step.slot], self._ports[step.slot]
        if not woke(self._tools, release, step.slot, port):
            self._stop(step)
            self._stopped.discard(step.slot)
            self._start(step)

    def _remove(self, step: Step) -> None:
        edit = without_traffic if self._change.keeps_place else without_targets
        self._route(lambda routes: edit(routes, self._change.model, self._label))

    _do: Mapping[StepKind, Callable[[Act, Step], None]] = {
        StepKind.FETCH: _prepare,
        StepKind.VERIFY: _prepare,
        StepKind.PROVISION: _prepare,
        StepKind.INSTALL_ENGINE: _prepare,
        StepKind.DISTRIBUTE: _prepare,
        StepKind.START: _start,
        StepKind.GATE: _gate_and_keep,
        StepKind.ADAPT: _adapt,
        StepKind.HOLD: _hold,
        StepKind.CANARY: _canary,
        StepKind.SHIFT: _shift,
        StepKind.BAKE: _bake,
        StepKind.DRAIN: _drain,
        StepKind.STANDBY: _standby,
        StepKind.STOP: _stop,
        StepKind.DOZE: _doze,
        StepKind.WAKE: _wake,
        StepKind.REMOVE: _remove,
    }

    def _route(self, edit: Edit) -> None:
        self._tools.routers.change(edit, {self._label})

    def _play(self, playbook: str, variables: Mapping[str, Any]) -> None:
        host = self._tools.host
        common = {"toolkit_init": self._facts.init}
        together = {**common, **variables}
        run = self._tools.converge.run
        run(playbook, host.host, together, self._converging, host.require_lock)

    def _converging(self, task: str) -> None:
        # A task takes a fraction of a second; one line in two seconds shows progress.
        if time.monotonic() - self._said >= 2:
            self._said = time.monotonic()
            self._tools.say(f"  {task}")

    def _still_draining(self, event: Mapping[str, Any]) -> None:
        self._tools.routers.remind()
        if round(event["seconds"]) % 5 == 0:
            self._tools.say(f"  draining for {event['seconds']:.0f} s, {event['left']} still run")
