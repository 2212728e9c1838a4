"""Take a model out of service on the hosts of a fleet."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from toolkit.domain.facts import HostFacts
from toolkit.domain.plan import Step
from toolkit.domain.release import Outcome
from toolkit.errors import HostError, InputError, RefusedError
from toolkit.planning.change.placement import having
from toolkit.planning.change.recovery import stop_steps
from toolkit.planning.change.span import require_whole
from toolkit.planning.routing.agreement import agreed
from toolkit.workflows.change.act import Act, Change
from toolkit.workflows.change.recover import end_unfinished
from toolkit.workflows.change.rendezvous import JointDoor, joint_routes
from toolkit.workflows.fleet.at_once import at_once
from toolkit.workflows.fleet.look import each_at_once, hold, look
from toolkit.workflows.tools import Timing, Tools


@dataclass(frozen=True, slots=True)
class StopPlan:
    """The steps on each host, by name; hosts that do not answer are `lost`, with the reason."""

    model: str
    steps: Mapping[str, tuple[Step, ...]]
    lost: Mapping[str, str]


def stop_fleet(
    members: Sequence[Tools],
    model: str,
    confirm: Callable[[StopPlan], bool],
    *,
    named: Sequence[str],
    timing: Timing,
) -> StopPlan:
    """Stop the model's replicas on all hosts that have it, or on those `named`; its releases stay.

    Raises InputError where none of them has it, RefusedError where `confirm` says no, HostError where a host did not
    answer: it keeps what it has, and gets no traffic from the other hosts' routers. An interruption ends what is
    waited for; the model's next change goes on with it.
    """
    plan, _ = _plan(members, model, named)
    if not plan.steps:
        raise InputError(f"{model} is not deployed on any such host", hint="toolkit status")
    if not confirm(plan):
        raise RefusedError("not confirmed; nothing was changed", hint="add --yes to go ahead")
    there = [each for each in members if each.host.name not in plan.lost]
    with hold([each.host for each in there], there[0].owner):
        doors = there[0].doors
        sight = look([each.host for each in there])
        doors.observed(sight.by_label(each.host for each in there))
        begin = there[0].interruption.begin
        # which may be an interrupted stop of this model, and leave nothing to do
        each_at_once(there, lambda tools: end_unfinished(tools, timing), begin)
        done, facts = _plan(there, model, named)
        stopping = [each for each in there if each.host.name in done.steps]
        joint = joint_routes(doors, len(stopping))
        rollout = str(uuid.uuid4())

        def stop(tools: Tools) -> None:
            name = tools.host.name
            try:
                _stop(replace(tools, doors=JointDoor(joint)), model, facts[name], timing, rollout)
            finally:
                joint.leave()

        # all of them at once, since each waits for the others before routes change
        at_once(len(stopping), stopping, stop, begin)
    if plan.lost:
        raise HostError(
            f"{model} is stopped where a host answered; unreachable:\n  "
            + "\n  ".join(f"{name}: {why}" for name, why in plan.lost.items()),
            hint=f"toolkit stop {model}, once they answer",
        )
    return plan


def _stop(tools: Tools, model: str, facts: HostFacts, timing: Timing, rollout: str) -> None:
    current = facts.serving_slot(model)
    number = current.release.number if current and current.release else 0
    deployment = tools.history.open_deployment(
        model=model, action="stop", release=number, previous=number or None, slot="",
        actor=tools.owner.actor, host=facts.name, rollout=rollout,
    )  # fmt: skip
    change = Change(model, {}, None, timing)
    Act(tools, change, deployment, facts).perform(stop_steps(model, facts))
    tools.history.end_deployment(deployment, Outcome.DONE)


def _plan(
    members: Sequence[Tools], model: str, named: Sequence[str]
) -> tuple[StopPlan, dict[str, HostFacts]]:
    sight = look([each.host for each in members])
    routes, facts = agreed(sight.by_label(each.host for each in members))
    have = having(model, facts, routes)
    chosen = [name for name in facts if name in have and (not named or name in named)]
    require_whole(model, facts, chosen)
    steps = {name: stop_steps(model, facts[name]) for name in chosen}
    return StopPlan(model, steps, sight.lost), facts
