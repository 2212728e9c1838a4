"""The history's entry of a deployment that is about to start on a host."""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.domain.facts import HostFacts
from toolkit.domain.plan import Plan
from toolkit.workflows.tools import Tools


def open_deployment(
    tools: Tools, plan: Plan, seen: Iterable[HostFacts], *, rollout: str = ""
) -> int:
    """Record the plan's releases and its deployment on the host of `tools`; return the deployment's id.

    `seen` are the hosts whose slots say which releases there are. Raises BusyError where another command has taken
    the release's number.
    """
    release, history = plan.release, tools.history
    assert release is not None
    on_hosts = [slot.release for facts in seen for slot in facts.slots]
    for each in (release, plan.previous):
        # One on a host may be another ops machine's: its manifest is the truth, and an undo needs it here.
        # The number of any other is this command's alone, or add_release refuses it.
        if each and (each not in on_hosts or history.release(each.model, each.number) is None):
            history.add_release(each)
    return history.open_deployment(
        model=plan.model,
        action=plan.action,
        release=release.number,
        previous=plan.previous.number if plan.previous else None,
        slot=plan.slot,
        actor=tools.owner.actor,
        host=tools.host.name,
        rollout=rollout,
    )
