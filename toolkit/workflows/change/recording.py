"""The history's entry of a deployment: the one place that begins it, and the one that ends it.

All that follows from a deployment's beginning or outcome belongs here.
"""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.domain.facts import HostFacts
from toolkit.domain.plan import Plan
from toolkit.domain.release import Outcome
from toolkit.workflows.tools import Tools


def begin_deployment(tools: Tools, plan: Plan, seen: Iterable[HostFacts], *, rollout: str) -> int:
    """Record the plan's releases and its deployment on the host of `tools`; return the deployment's id.

    `seen` are the hosts whose slots say which releases there are; `rollout` is shared by all deployments of the
    command. Raises BusyError where another command has taken the release's number.
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
        model=plan.model,
        action=plan.action,
        release=release.number if release else previous or 0,
        previous=previous,
        slot=plan.slot,
        actor=tools.owner.actor,
        host=tools.host.name,
        rollout=rollout,
    )


def end_deployment(tools: Tools, deployment: int, outcome: Outcome, reason: str = "") -> None:
    """Record how the deployment ended, and why."""
    tools.history.end_deployment(deployment, outcome, reason)
