"""Take a model out of service on the hosts of a fleet: no new requests, drain, stop."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolkit.domain.deployment.plan import Plan, Strategy
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.failures import joined
from toolkit.errors import HostError, InputError, ToolkitError
from toolkit.planning.change.judged import failed_rollouts
from toolkit.planning.change.placement import having
from toolkit.planning.change.recovery import stop_steps
from toolkit.planning.change.span import require_whole
from toolkit.planning.change.traffic import stop_words
from toolkit.planning.routing.agreement import agreed
from toolkit.planning.routing.rebuild import require_routes
from toolkit.workflows.change.act import Act
from toolkit.workflows.change.apart import perform_apart
from toolkit.workflows.change.recording import begin_deployment, end_deployment, keep_on_host
from toolkit.workflows.change.recover import Ending, end_everywhere, left_open, naming_left_open
from toolkit.workflows.change.rendezvous import RendezvousRouters, one_change_of_routes
from toolkit.workflows.change.routers import TELL, missed, unreachable_rows
from toolkit.workflows.change.subject import HostChange
from toolkit.workflows.fleet.at_once import at_once
from toolkit.workflows.fleet.look import lock_all, look, look_free
from toolkit.workflows.tools import Timing, Tools, require_yes


@dataclass(frozen=True, slots=True)
class StopPlan:
    """The plan of each host, by name; `unreachable` are the hosts that do not answer, with the reason.

    `others` are the hosts that go on serving the model.
    """

    model: str
    plans: Mapping[str, Plan]
    unreachable: Mapping[str, str]
    others: tuple[str, ...] = ()

    @property
    def traffic(self) -> str:
        """The effect on the model's requests, in a sentence."""
        return stop_words(self.model, tuple(self.plans), everywhere=not self.others)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "action": "stop",
            "model": self.model,
            "traffic": self.traffic,
            "hosts": {name: plan.as_json() for name, plan in self.plans.items()},
            "unreachable": dict(self.unreachable),
        }


def stop_model(
    members: Sequence[Tools],
    model: str,
    confirm: Callable[[StopPlan], bool],
    *,
    named: Sequence[str],
    timing: Timing,
) -> StopPlan:
    """Stop the model's replicas on all hosts that have it, or on those `named`; its releases stay.

    Raises InputError where none of them has it, RefusedError where `confirm` says no, HostError where a host did not
    answer, which keeps its replica and gets no traffic from the other hosts' routers, or where a router missed the
    change. Nothing is stopped where one of the `named` does not answer. An interruption ends the waits; the next change
    of the model goes on with the stop.
    """
    if members[0].patience.seconds:
        look_free([each.host for each in members], members[0].patience)
    plan, _, opened = _plan(members, model, named)
    if not plan.plans and not opened and plan.unreachable and not named:
        # An unreachable host may have the model.
        raise HostError(
            f"{model} is not deployed on any host that answers:\n  "
            + "\n  ".join(unreachable_rows(plan.unreachable)),
            hint=f"{_again(model, named)}, once they answer",
        )
    if not plan.plans and not opened:
        where = members[0].host.name if len(members) == 1 else "any of these hosts"
        raise InputError(f"{model} is not deployed on {where}", hint="toolkit status")
    require_yes(plan, confirm)
    there = [each for each in members if each.host.name not in plan.unreachable]

    def agreed_to(found: StopPlan, _: Mapping[str, HostFacts]) -> None:
        if plan.others and found.plans and not found.others:
            there[0].say("the fleet changed since the plan was shown; this is the new one")
            require_yes(found, confirm)

    with lock_all([each.host for each in there], there[0].owner, there[0].patience):
        with naming_left_open(there):
            stop_held(there, model, named, timing, agreed_to, again=_again(model, named))
        behind = missed(there[0].routers.catch_up())
    if plan.unreachable or behind:
        where = f"on {' and '.join(plan.plans)}, but not all routers follow"
        # The replicas of named hosts are all stopped, so only the routers of other hosts are behind.
        again = TELL if named else _again(model, named)
        raise HostError(
            f"{model} is stopped {where if named and plan.plans else 'where a host answered'}:\n  "
            + "\n  ".join([*unreachable_rows(plan.unreachable), *behind]),
            hint=f"{again}, once they answer" if plan.unreachable else TELL,
        )
    return plan


def _again(model: str, named: Sequence[str]) -> str:
    """Return the command that goes on with the stop, on the `named` hosts alone where some were named."""
    return f"toolkit stop {model}" + "".join(f" --host {name}" for name in named)


def stop_held(
    there: Sequence[Tools],
    model: str,
    named: Sequence[str],
    timing: Timing,
    agreed_to: Callable[[StopPlan, Mapping[str, HostFacts]], None],
    *,
    again: str,
) -> None:
    """Stop the model on all hosts of `there` that have it, or on those `named`, under the locks of all of `there`.

    What was cut short is ended first. `agreed_to` gets the plan that follows from that and the facts of all hosts, and
    raises where it must not be carried out any more; then nothing is stopped. `again` is the command that goes on
    after a failure. Raises the `joined` errors of the hosts that failed, once the others are done.
    """
    routers, interruption = there[0].routers, there[0].interruption
    found = look([each.host for each in there])
    routers.observed(found.by_label)
    ending = Ending(timing, failed_rollouts(found.facts.values()), ends_bake=model)
    # An interrupted stop of this model may be among them, and leave nothing to do.
    if failed := end_everywhere(there, found, ending):
        raise joined(failed, hint="toolkit status", alone=len(there) == 1)
    done, facts, _ = _plan(there, model, named)
    agreed_to(done, facts)
    stopping = [each for each in there if each.host.name in done.plans]
    meeting = one_change_of_routes(routers, len(stopping))
    rollout, failures = str(uuid.uuid4()), dict[str, ToolkitError]()

    def stop(tools: Tools) -> None:
        try:
            one = replace(tools, routers=RendezvousRouters(meeting, routers))
            _stop(one, done, facts, timing, rollout)
        except ToolkitError as error:
            failures[tools.host.name] = error
        finally:
            meeting.leave()

    # All at once, since each host waits for the others before routes change.
    at_once(len(stopping), stopping, stop, interruption.begin)
    if failures:
        behind = missed(routers.catch_up())
        hint = f"toolkit status; {again} goes on with it"
        raise joined(failures, hint=hint, alone=not there[0].host.label, more="\n  ".join(behind))


def _stop(
    tools: Tools, stop: StopPlan, facts: Mapping[str, HostFacts], timing: Timing, rollout: str
) -> None:
    name = tools.host.name
    plan, seen = stop.plans[name], facts[name]
    kept = keep_on_host(tools, plan, rollout, seen)
    deployment = begin_deployment(tools, plan, [seen], rollout=rollout, kept=kept)
    change = HostChange(stop.model, {}, None, timing, leaves=True)
    perform_apart(Act(tools, change, deployment, seen), plan.steps, tools.interruption)
    end_deployment(tools, deployment, Outcome.DONE, rollout=rollout)


def _plan(
    members: Sequence[Tools], model: str, named: Sequence[str]
) -> tuple[StopPlan, dict[str, HostFacts], bool]:
    """Return the plan, the facts of the hosts, and whether a command was cut short on one of them."""
    seen = look([each.host for each in members])
    for name in named:
        if name in seen.errors:
            raise seen.errors[name]
    if not seen.facts:
        raise seen.failure()
    require_routes(list(seen.facts.values()))
    routes, facts = agreed(seen.by_label)
    have = having(model, facts, routes)
    chosen = [name for name in facts if name in have and (not named or name in named)]
    require_whole(model, facts, chosen)
    plans = {name: _plan_host(model, facts[name]) for name in chosen}
    return (
        StopPlan(model, plans, seen.unreachable, tuple(each for each in have if each not in plans)),
        facts,
        bool(left_open(members, seen, Ending(Timing(), ends_bake=model))),
    )


def _plan_host(model: str, facts: HostFacts) -> Plan:
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
