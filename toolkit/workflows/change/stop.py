"""Take a model out of service: no new requests, drain, stop."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.domain.plan import Plan, Strategy
from toolkit.domain.release import Outcome
from toolkit.errors import InputError, RefusedError
from toolkit.planning.change.recovery import stop_steps
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.act import Act, Change
from toolkit.workflows.change.recover import end_unfinished
from toolkit.workflows.tools import Timing, Tools


def stop_model(
    tools: Tools, model: str, confirm: Callable[[Plan], bool], *, timing: Timing
) -> Plan:
    """Stop all replicas of `model`; its releases stay, so that `deploy` starts it again.

    Raises InputError where the model is not deployed, RefusedError where `confirm` says no.
    """
    plan = _plan(tools, model)
    if not confirm(plan):
        raise RefusedError("not confirmed; nothing was changed", hint="add --yes to go ahead")
    with tools.host.lock(tools.owner):
        end_unfinished(tools, timing)
        facts = tools.host.observe()
        tools.doors.observed({tools.host.label: facts})
        current = facts.serving_slot(model)
        number = current.release.number if current and current.release else 0
        deployment = tools.history.open_deployment(
            model=model, action="stop", release=number, previous=number or None, slot="",
            actor=tools.owner.actor, host=tools.host.name,
        )  # fmt: skip
        Act(tools, Change(model, {}, None, timing), deployment, facts).perform(
            stop_steps(model, facts)
        )
        tools.history.end_deployment(deployment, Outcome.DONE)
    return plan


def _plan(tools: Tools, model: str) -> Plan:
    facts = tools.host.observe()
    if not facts.slots_of(model) and Routes.from_json(facts.routes).of(model) is None:
        raise InputError(f"{model} is not deployed on {facts.name}", hint="toolkit status")
    current = facts.serving_slot(model)
    return Plan(
        action="stop",
        model=model,
        release=None,
        previous=current.release if current else None,
        slot="",
        port=0,
        strategy=Strategy.SWITCH,
        steps=stop_steps(model, facts),
        downtime="until it is deployed again",
    )
