"""The plan that starts a release for its gates alone: beside what runs, without traffic, and stopped again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toolkit.domain.deployment.plan import Plan, Step, StepKind, Strategy
from toolkit.domain.deployment.release import Release, ReleaseAdapter
from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.errors import NothingSuitableError, RefusedError
from toolkit.planning.change.adapters import adapter_changes
from toolkit.planning.change.deploy import SWAP_NOTE, Wanted, plan_deploy

_KEPT = (
    StepKind.FETCH,
    StepKind.VERIFY,
    StepKind.INSTALL_ENGINE,
    StepKind.DISTRIBUTE,
    StepKind.START,
    StepKind.GATE,
)


def slot_running(release: Release, facts: HostFacts) -> SlotFacts | None:
    """Return the slot in which the release runs and answers, with the checks of `release`; None where it does not.

    Checks are asked from outside. So a replica that was started with others answers these as well as a new one.
    """
    found = []
    for slot in facts.slots_of(release.model):
        if slot.release is None or not slot.healthy:
            continue
        if slot.release.same_as(release):
            return slot
        asked = replace(slot.release, checks=release.checks)
        if asked.same_as(release):
            found.append(replace(slot, release=asked))
    return next(iter(found), None)


def plan_asking(slot: SlotFacts, facts: HostFacts) -> Plan:
    """Return the one step of a gate whose release runs in `slot`: nothing starts and nothing stops."""
    current = facts.serving_slot(slot.model)
    step = Step(StepKind.GATE, "it runs here, and is asked as it is", slot.slot)
    return Plan(
        action="gate",
        model=slot.model,
        release=slot.release,
        previous=current.release if current else None,
        slot=slot.slot,
        port=slot.port,
        strategy=Strategy.SWITCH,
        steps=(step,),
    )


def _trying(plan: Plan, up: str) -> tuple[Step, ...]:
    """Return the steps that load new adapters beside what serves, and ask others their changed checks."""
    assert plan.previous is not None and plan.release is not None, "adapters join a replica"
    changes = adapter_changes(plan.previous, plan.release)
    loaded, checked = _names(changes.loaded), _names(changes.checked)
    words = []
    if loaded:
        words.append(f"load {loaded} under names that no client can request, and forget them again")
    if checked:
        words.append(f"ask {checked} its changed checks by its name")
    if not words:
        raise RefusedError(
            f"{plan.release.title} has no adapter and no check of one that {plan.previous.title} has not, so there is "
            "nothing to ask",
            hint=up,
        )
    before = tuple(step for step in plan.steps if step.kind in _KEPT)
    return (*before, Step(StepKind.ADAPT, "; ".join(words), plan.slot))


def _names(adapters: Sequence[ReleaseAdapter]) -> str:
    return ", ".join(each.name for each in adapters)


def plan_gating(wanted: Wanted, facts: HostFacts) -> Plan:
    """Return the steps that start the release beside what runs, up to its checks, and stop it again.

    Where it differs in adapters alone, the serving replica loads the new ones, and forgets them again. Those whose
    checks alone changed are asked as they are.

    Raises RefusedError where that would touch anything that runs, NothingSuitableError where the release does not fit.
    """
    release, up = (
        wanted.release,
        f"toolkit upgrade {wanted.release.model} --to {wanted.release.version}",
    )
    current = facts.serving_slot(release.model)
    if current and current.release and current.release.same_as(release):
        raise RefusedError(
            f"{release.title} has the traffic on {facts.name} and does not answer",
            hint="toolkit status",
        )
    plan = plan_deploy(wanted, facts)
    kinds = {step.kind for step in plan.steps}
    if StepKind.PROVISION in kinds:
        raise RefusedError(
            f"{facts.name} is not as its settings say, and a gate changes no host",
            hint="toolkit provision",
        )
    if StepKind.WAKE in kinds:
        raise RefusedError(
            f"{release.title} dozes on {facts.name}, and a gate wakes no standby",
            hint=f"{up}: it answers its checks before it takes traffic",
        )
    if StepKind.ADAPT in kinds:
        return replace(
            plan, action="gate", steps=_trying(plan, up), downtime="", notes=wanted.notes
        )
    if StepKind.HOLD in kinds or SWAP_NOTE in plan.notes:
        raise NothingSuitableError(
            f"{release.title} does not fit on {facts.name} beside what serves",
            hint=f"{up}: its gates run before it takes traffic, and the former release comes back",
        )
    held = [step for step in plan.steps if step.kind is StepKind.STOP and step.slot == plan.slot]
    if held:
        raise RefusedError(
            f"the free slot on {facts.name} is taken: {held[0].reason}",
            hint=f"{up}: its gates run before it takes traffic",
        )
    stop = Step(StepKind.STOP, "its gates alone were asked for", plan.slot)
    steps = tuple(step for step in plan.steps if step.kind in _KEPT)
    return replace(plan, action="gate", steps=(*steps, stop), downtime="", notes=wanted.notes)
