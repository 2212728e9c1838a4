"""The records of a deployment, in the history and on its host: the one place that begins it, and the one that ends it.

All that follows from a deployment's beginning or outcome belongs here.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.deployment.plan import BEGINS, Plan
from toolkit.domain.deployment.release import Attempt, Deployment, OpenDeployment, Outcome
from toolkit.domain.hosts.facts import GuardFacts, HostFacts
from toolkit.errors import BusyError, HostError
from toolkit.planning.change.recovery import has_place
from toolkit.workflows.change.guarding import end_guard
from toolkit.workflows.tools import Tools


def keep_on_host(tools: Tools, plan: Plan, rollout: str, facts: HostFacts) -> bool:
    """Have the host of `tools`, which has `facts`, keep the plan's deployment: a command from anywhere can end it.

    Return false where the host cannot: then only the history has it. This comes before `begin_deployment`.
    """
    starts = any(step.kind in BEGINS for step in plan.steps)
    opened = OpenDeployment(
        rollout=rollout,
        action=plan.action,
        model=plan.model,
        slot=plan.slot,
        actor=tools.owner.actor,
        release=plan.release,
        previous=plan.previous,
        starts=starts,
        started_at=tools.clock(),
        placed=plan.previous is None and has_place(plan.model, facts),
    )
    # The first step on a host that does not answer fails, with the reason.
    with suppress(HostError):
        kept = tools.host.keep_deployment(opened, tools.trail.head)
        tools.trail.witness(tools.host)
        return kept
    return False


def begin_deployment(
    tools: Tools, plan: Plan, seen: Iterable[HostFacts], *, rollout: str, kept: bool
) -> int:
    """Record the plan's releases and its deployment on the host of `tools`; return the deployment's id.

    `seen` are the hosts whose slots say which releases there are; `rollout` is shared by all deployments of the
    command; `kept` is what `keep_on_host` returned. Raises BusyError where another command has taken the release's
    number.
    """
    release, history = plan.release, tools.history
    on_hosts = [slot.release for facts in seen for slot in facts.slots]
    for each in (release, plan.previous):
        # A release on a host may be another ops machine's: its manifest is the truth, and an undo needs it here.
        # The number of any other release is this command's alone, or add_release refuses it.
        if each and (each not in on_hosts or history.release(each.model, each.number) is None):
            history.add_release(each)
    previous = plan.previous.number if plan.previous else None
    return history.open_deployment(
        Attempt(
            model=plan.model,
            action=plan.action,
            release=release.number if release else previous or 0,
            previous=previous,
            slot=plan.slot,
            actor=tools.owner.actor,
            host=tools.host.name,
            rollout=rollout,
            kept=kept,
        )
    )


def record_foreign(tools: Tools, kept: OpenDeployment) -> Deployment:
    """Record a deployment that the host keeps from another ops machine, and its releases; return it, still open."""
    for each in (kept.release, kept.previous):
        # This history may have another release of that number: the host's own record is used.
        with suppress(BusyError):
            if each:
                tools.history.add_release(each)
    found = kept.on(tools.host.name)
    return replace(found, id=tools.history.open_deployment(found))


def record_departure(tools: Tools, host: str, models: Iterable[str]) -> None:
    """Record that `host` left the fleet: its open deployments end, and it counts as having none of `models`."""
    history = tools.history
    for each in history.unfinished():
        if each.host == host:
            history.end_deployment(each.id, Outcome.UNDONE, "its host was forgotten")
    for model in models:
        opened = history.open_deployment(
            Attempt(
                model=model,
                action="forget",
                release=0,
                previous=None,
                slot="",
                actor=tools.owner.actor,
                host=host,
            )
        )
        history.end_deployment(opened, Outcome.DONE, "its host left the fleet")


def end_deployment(
    tools: Tools,
    deployment: int,
    outcome: Outcome,
    reason: str = "",
    *,
    rollout: str,
    guarded: str = "",
) -> None:
    """Record how the deployment of `rollout` ended on the host of `tools`, and why.

    `guarded` is the model that the host's guard watches for it, empty where none does. Raises HostError where the
    command has lost the host's lock: the record is then for the command that has it now.
    """
    tools.host.require_lock()
    tools.history.end_deployment(deployment, outcome, reason)
    tools.trail.ended(tools.host.name, outcome, reason)
    if guarded:
        end_guard(tools, guarded, rollout)
    forget_on_host(tools, rollout)


def end_baked(host: HostPort, history: History, guard: GuardFacts) -> None:
    """Record that a release went live on `host` when its guard ended the bake, after its command was gone.

    A deployment of another ops machine, which this history does not have, is left to the next change.
    """
    mine = [
        each
        for each in history.unfinished()
        if each.rollout == guard.rollout and each.host == host.name
    ]
    for each in mine:
        history.end_deployment(each.id, Outcome.LIVE, "its guard ended the bake")
    if mine:
        host.guard_end(guard.model, guard.rollout)
        host.drop_deployment(guard.rollout)


def forget_on_host(tools: Tools, rollout: str) -> None:
    """Have the host forget the deployment. One that it keeps is ended once more by the next command, to no effect."""
    if rollout:
        with suppress(HostError):
            tools.host.drop_deployment(rollout)
