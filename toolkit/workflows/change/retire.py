"""Take from standbys what they may not do any more, before their batch begins."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.domain.deployment.plan import StepKind
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import ToolkitError
from toolkit.planning.change.rollout import RolloutPlan
from toolkit.planning.routing.edits import without_standby
from toolkit.planning.routing.routes import Routes, target_name
from toolkit.workflows.tools import Tools


def retire(
    batch: Mapping[str, Tools], plan: RolloutPlan, facts: Mapping[str, HostFacts]
) -> dict[str, ToolkitError]:
    """Let no standby take over whose slot is about to be emptied, or to hold a release that no gate has seen.

    `batch` and `facts` are by host's name. Return the error of each host where a router refused.
    """
    labels = {name: tools.host.label for name, tools in batch.items()}
    retired = {
        target_name(label, step.slot)
        for name, label in labels.items()
        for step in plan.plans[name].steps
        if step.kind in (StepKind.STOP, StepKind.START, StepKind.DOZE)
    }
    if not retired:
        return {}
    first = next(iter(batch))
    known = Routes.from_json(facts[first].routes)
    if without_standby(known, plan.model, retired) == known:
        return {}
    try:
        batch[first].routers.change(
            lambda routes: without_standby(routes, plan.model, retired), set(labels.values())
        )
    except ToolkitError as error:
        return dict.fromkeys(batch, error)
    return {}
