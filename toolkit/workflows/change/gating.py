"""Run the gates of a version without making it live, on one host."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolkit.domain.deployment.plan import Plan, StepKind
from toolkit.domain.deployment.release import Outcome, Release
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import GateResult
from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.errors import (
    InputError,
    RefusedError,
    ReleaseFailedError,
    ToolkitError,
)
from toolkit.planning.change.adapters import adapter_changes
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.fence import fenced
from toolkit.planning.change.gating import plan_asking, plan_gating, slot_running
from toolkit.planning.change.placement import having
from toolkit.planning.change.rollout import numbered
from toolkit.planning.routing.agreement import agreed
from toolkit.workflows.change.act import Act
from toolkit.workflows.change.guarding import keep_result
from toolkit.workflows.change.proving import ProvingAdapters, guards_of, serving_beside
from toolkit.workflows.change.recording import begin_deployment, end_deployment, keep_on_host
from toolkit.workflows.change.recover import Ending, end_unfinished, naming_left_open, undo
from toolkit.workflows.change.subject import HostChange
from toolkit.workflows.change.wanted import Order, usual_start
from toolkit.workflows.fleet.look import lock_all, look
from toolkit.workflows.guard.checks import fault_of_checks
from toolkit.workflows.guard.gates import refusal, run_gates
from toolkit.workflows.guard.replicas import GatedReplica
from toolkit.workflows.tools import Tools, require_yes


@dataclass(frozen=True, slots=True)
class GatePlan:
    """The work of a gate on its one host."""

    host: str
    plan: Plan

    @property
    def asks_alone(self) -> bool:
        """Whether the release runs and is asked as it is."""
        return all(step.kind is StepKind.GATE for step in self.plan.steps)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"host": self.host, **self.plan.as_json()}


@dataclass(frozen=True, slots=True)
class Gated:
    """The verdicts on a release on a host. `started` is whether it was started for its gates, and stopped again.

    `refused` says why it must not take traffic; empty where it may. `tried` are the adapters that were loaded for their
    gates alone, `checked` those of the same files that were asked other checks by their names.
    """

    host: str
    release: Release
    started: bool
    results: tuple[GateResult, ...]
    refused: str = ""
    tried: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()


def gate_version(
    members: Sequence[Tools], order: Order, guard: Guard, confirm: Callable[[GatePlan], bool]
) -> Gated:
    """Run the gates of `guard` on the release that `order` wants, on the first of its hosts.

    A release that runs there is asked as it is, and one that differs in its checks alone as well. Another one is
    started beside what serves, gets no traffic and is stopped again. `confirm` sees the plan. Raises RefusedError where
    `confirm` says no or where anything that runs would be touched, NothingSuitableError where it does not fit.
    """
    tools, wanted, facts = _chosen(members, order)
    there = slot_running(wanted.release, facts)
    starts = there is None
    plan = plan_asking(there, facts) if there else _plan(tools, wanted, facts)
    require_yes(GatePlan(tools.host.name, plan), confirm)
    # Lock the host even if nothing is started: a change under way would look like a failure of the gate.
    with naming_left_open([tools]), lock_all([tools.host], tools.owner, tools.patience):
        if starts:
            end_unfinished(tools, Ending(order.timing, model=order.model))
        _, wanted, facts = _chosen([tools], replace(order, named=()))
        slot = slot_running(wanted.release, facts)
        if slot is not None:
            _check(tools, slot)
            return _asked(tools, order, guard, slot, facts)
        if not starts:
            raise RefusedError(
                f"{wanted.release.title} does not run any more", hint="toolkit status"
            )
        plan = _plan(tools, wanted, facts)
        if any(step.kind is StepKind.ADAPT for step in plan.steps):
            return _tried(tools, order, plan, facts)
        return _started(tools, order, guard, plan, facts)


def _chosen(members: Sequence[Tools], order: Order) -> tuple[Tools, Wanted, HostFacts]:
    """Return the host of the gates, the wanted state there, and its facts. A host with the model comes first."""
    seen = look([each.host for each in members])
    if not seen.facts:
        raise seen.failure()
    routes, facts = agreed(seen.by_label)
    have = having(order.model, facts, routes)
    ranked = sorted(
        (each for each in members if each.host.name in facts),
        key=lambda each: each.host.name not in have,
    )
    tools = next(
        (each for each in ranked if not order.named or each.host.name in order.named), None
    )
    if tools is None:
        raise seen.errors.get(order.named[0]) or seen.failure()
    here = facts[tools.host.name]
    wanted = replace(
        order.want(here),
        provision_digest=tools.provision_digest,
        ready_seconds=usual_start(tools.history, order.model),
    )
    if wanted.release.span is not None:
        raise InputError(
            f"{wanted.release.model} runs over several hosts, so it cannot start for its gates alone",
            hint="its gates run with every upgrade, before any traffic",
        )
    known = [each for each, _ in tools.history.releases(order.model)]
    name = tools.host.name
    return tools, numbered({name: wanted}, known, facts.values())[name], here


def _plan(tools: Tools, wanted: Wanted, facts: HostFacts) -> Plan:
    """Return the plan of a release that does not run; raises RefusedError where the host would not fence it."""
    host = tools.host.host
    return fenced({host.name: plan_gating(wanted, facts)}, [host], {host.name: facts})[host.name]


def _check(tools: Tools, slot: SlotFacts) -> None:
    """Raise ReleaseFailedError where the replica in `slot` does not pass its checks."""
    assert slot.release is not None, "the slot of a release"
    if fault := fault_of_checks(tools.host, slot.port, slot.release):
        raise ReleaseFailedError(
            f"{slot.release.title} did not pass its checks: {fault}",
            hint=f"toolkit logs {slot.model} --slot {slot.slot}",
        )


def _asked(
    tools: Tools,
    order: Order,
    guard: Guard,
    slot: SlotFacts,
    facts: HostFacts,
    rollout: str = "",
) -> Gated:
    """Run the gates on the replica in `slot`, beside the serving one where that is another."""
    assert slot.release is not None, "the slot of a release"
    new = GatedReplica(slot.slot, slot.port, slot.release)
    old = serving_beside(facts, new)
    results = run_gates(tools.host, guard, new, old, tools.say, tools.scorer)
    for result in results:
        keep_result(tools, slot.release, rollout, result)
    adapters = ProvingAdapters(tools, guards_of(order.version), rollout, alone=True)
    adapters.prove_all(slot.release, slot.slot, slot.port, slot.release.adapters)
    why = refusal(results, guard)
    refused = [*([f"{slot.release.title} {why}"] if why else []), *adapters.refusals]
    return Gated(
        tools.host.name,
        slot.release,
        bool(rollout),
        (*results, *adapters.results),
        "; ".join(refused),
    )


def _started(tools: Tools, order: Order, guard: Guard, plan: Plan, facts: HostFacts) -> Gated:
    def ask(act: Act, rollout: str) -> Gated:
        act.perform([step for step in plan.steps if step.kind is not StepKind.STOP])
        now = tools.host.observe()
        slot = next(each for each in now.slots_of(plan.model) if each.slot == plan.slot)
        gated = _asked(tools, order, guard, slot, now, rollout)
        act.perform([step for step in plan.steps if step.kind is StepKind.STOP])
        return gated

    return _within_deployment(tools, order, plan, facts, ask)


def _tried(tools: Tools, order: Order, plan: Plan, facts: HostFacts) -> Gated:
    """Have the serving replica load the new adapters for their gates alone, and ask others their changed checks."""

    def ask(act: Act, _: str) -> Gated:
        act.perform(plan.steps)
        assert plan.release is not None and plan.previous is not None and act.adapters is not None
        changes = adapter_changes(plan.previous, plan.release)
        return Gated(
            tools.host.name,
            plan.release,
            False,
            tuple(act.adapters.results),
            "; ".join(act.adapters.refusals),
            tuple(each.name for each in changes.loaded),
            tuple(each.name for each in changes.checked),
        )

    return _within_deployment(tools, order, plan, facts, ask)


def _within_deployment(
    tools: Tools, order: Order, plan: Plan, facts: HostFacts, ask: Callable[[Act, str], Gated]
) -> Gated:
    """Perform the steps of `plan` and return the result of `ask`; undo the steps where they fail or are interrupted."""
    assert plan.release is not None, "a gate asks a release"
    rollout = str(uuid.uuid4())
    kept = keep_on_host(tools, plan, rollout, facts)
    deployment = begin_deployment(tools, plan, [facts], rollout=rollout, kept=kept)
    change = HostChange(
        plan.model,
        {plan.slot: plan.release},
        order.version,
        order.timing,
        rollout=rollout,
        tries=True,
    )
    try:
        gated = ask(Act(tools, change, deployment, facts), rollout)
    except (ToolkitError, KeyboardInterrupt) as error:
        tools.interruption.over()
        words = error.message if isinstance(error, ToolkitError) else "interrupted"
        refused = isinstance(error, ReleaseFailedError)
        undo(tools, deployment, words, order.timing, refused=refused)
        raise
    end_deployment(
        tools, deployment, Outcome.DONE, "its gates alone were asked for", rollout=rollout
    )
    return gated
