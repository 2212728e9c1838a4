"""Make a release live on the hosts of a fleet, batch by batch.

What happens on each host is what happens on a fleet of one (`act`, `recover`); this joins what concerns all of them:
one transfer, one change of routes, and what becomes of the others when a host fails.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from toolkit.domain.facts import HostFacts
from toolkit.domain.model import Version
from toolkit.domain.plan import Plan
from toolkit.domain.release import Release
from toolkit.errors import (
    HostError,
    InputError,
    NothingSuitableError,
    RefusedError,
)
from toolkit.planning.change.deploy import Wanted, plan_deploy
from toolkit.planning.change.placement import having, place
from toolkit.planning.change.preflight import preflight
from toolkit.planning.change.rollout import Limits, RolloutPlan, plan_rollout
from toolkit.planning.change.span import (
    place_together,
    placed_before,
    plan_hosts,
    require_open,
    require_together,
)
from toolkit.planning.routing.agreement import agreed, behind, fleet_routes
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.batch import Rollout
from toolkit.workflows.change.recover import end_unfinished, open_on
from toolkit.workflows.fleet.keys import sync_keys
from toolkit.workflows.fleet.look import Sight, each_at_once, hold, look
from toolkit.workflows.tools import Timing, Tools

Ask = Callable[[HostFacts], Wanted]
Confirm = Callable[[RolloutPlan], bool]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made live and how: `named` hosts or so many `replicas`, else see `placement.place`.

    With `extend` hosts that do not have the model may get it; an upgrade or a rollback is for those that have it.
    """

    model: str
    ask: Ask
    version: Version | None
    timing: Timing
    limits: Limits = field(default_factory=Limits)
    named: tuple[str, ...] = ()
    replicas: int | None = None
    extend: bool = True


@dataclass(frozen=True, slots=True)
class RolledOut:
    """What a rollout did: its plan, and by host's name what runs there now, in words."""

    plan: RolloutPlan
    changed: bool
    states: Mapping[str, str]
    seconds: float


def roll_out(members: Sequence[Tools], order: Order, confirm: Confirm) -> RolledOut:
    """Carry out `order` on the fleet of `members`, which share routers and history.

    Raises RefusedError where `confirm` says no, BusyError where a deployment runs, NothingSuitableError where no
    host can take the model; ReleaseFailedError or HostError, naming each host and its state, where not all hosts
    are as ordered at the end. The fleet serves in each of these cases.
    """
    first = members[0]
    started = first.clock()
    sight = look([each.host for each in members])
    shown, _ = _plan(members, order, sight)
    if shown.empty and not _left_over(members, sight):
        return _finished(shown, False, {}, first.clock() - started)
    if not confirm(shown):
        raise RefusedError("not confirmed; nothing was changed", hint="add --yes to go ahead")
    there = [each for each in members if each.host.name in sight.facts]
    with hold([each.host for each in there], first.owner):
        plan, facts = _settle(there, order, sight)
        if _differs(plan, shown):
            first.say("the fleet changed since the plan was shown; this is the new one")
            if not confirm(plan):
                raise RefusedError("not confirmed; nothing was changed", hint="add --yes")
        taking_part = [each for each in there if each.host.name in plan.plans]
        _bring_keys(there, facts)
        rollout = Rollout(taking_part, plan, facts, order.version, order.timing, str(uuid.uuid4()))
        states = rollout.perform(order.limits)
        # Routers that had missed something are told, whether or not their host changed.
        first.doors.change(lambda routes: routes, ())
    return _finished(plan, True, states, first.clock() - started)


def _bring_keys(there: Sequence[Tools], facts: Mapping[str, HostFacts]) -> None:
    """Give each host the keys of the others before it may serve: a new one would let everybody in."""
    if len({each.router.ring_digest for each in facts.values()}) > 1:
        sync_keys([each.host for each in there])


def _left_over(members: Sequence[Tools], sight: Sight) -> bool:
    """Whether an earlier command left something to end, or a router behind."""
    facts = sight.by_label(each.host for each in members)
    opened = members[0].history.unfinished()
    return bool(behind(facts, fleet_routes(facts))) or any(
        open_on(each.host.host, opened) for each in members if each.host.name in sight.facts
    )


def _settle(
    there: Sequence[Tools], order: Order, sight: Sight
) -> tuple[RolloutPlan, dict[str, HostFacts]]:
    """Under the locks: end what an earlier command left, look again, plan again."""
    doors = there[0].doors
    doors.observed(sight.by_label(each.host for each in there))
    stop = there[0].interruption.begin
    each_at_once(there, lambda tools: end_unfinished(tools, order.timing), stop)
    again = look([each.host for each in there])
    if again.lost:
        words = "; ".join(f"{name}: {why}" for name, why in again.lost.items())
        raise HostError(f"lost while the plan was made: {words}", hint="toolkit hosts")
    doors.observed(again.by_label(each.host for each in there))
    return _plan(there, order, Sight(again.facts, sight.errors))


def _plan(
    members: Sequence[Tools], order: Order, sight: Sight
) -> tuple[RolloutPlan, dict[str, HostFacts]]:
    by_label = sight.by_label(each.host for each in members)
    if not by_label:
        words = "\n  ".join(f"{name}: {why}" for name, why in sight.lost.items())
        raise HostError(f"no host answers:\n  {words}", hint="toolkit hosts")
    routes, facts = agreed(by_label)
    digests = {each.host.name: each.provision_digest for each in members}
    wanted, unfit = _ask(order, facts, routes, digests, members[0].clock())
    _require_named(order, sight, [*wanted, *unfit])
    candidates = {name: facts[name] for name in facts if name in wanted or name in unfit}
    span = max((each.release.span.size for each in wanted.values() if each.release.span), default=1)
    if span > 1:
        require_together(order.model, routes, sight.lost)
    placement = place(
        order.model,
        candidates,
        unfit,
        routes,
        named=order.named,
        replicas=order.replicas,
        span=span,
    )
    chosen = {name: wanted[name] for name in placement.hosts}
    if span > 1:
        chosen = _place_together(chosen, members, facts)
    numbered = _numbered(members[0], order.model, chosen, facts)
    plans = plan_hosts(numbered, facts)
    plan = plan_rollout(plans, facts, order.limits, lost=sight.lost, notes=placement.notes)
    return plan, facts


def _place_together(
    chosen: Mapping[str, Wanted], members: Sequence[Tools], facts: Mapping[str, HostFacts]
) -> dict[str, Wanted]:
    """Return `chosen` with the release's hosts in it, the first of them leading."""
    hosts = [each.host.host for each in members if each.host.name in chosen]
    require_open(next(iter(chosen.values())).release.model, hosts)
    addresses = [host.relay_address for host in hosts]
    return {
        name: replace(each, release=place_together(each.release, addresses, facts.values()))
        for name, each in chosen.items()
    }


def _ask(
    order: Order,
    facts: Mapping[str, HostFacts],
    routes: Routes,
    digests: Mapping[str, str],
    now: float,
) -> tuple[dict[str, Wanted], dict[str, str]]:
    """Return what each host is to have, and of those that cannot hold it why not."""
    wanted: dict[str, Wanted] = {}
    unfit: dict[str, str] = {}
    have = having(order.model, facts, routes)
    if not order.extend and not have:
        raise InputError(
            f"{order.model} is not deployed on any host that answers",
            hint=f"toolkit deploy {order.model}",
        )
    for name, each in facts.items():
        if name not in have and not order.extend:
            continue
        try:
            found = order.ask(each)
            found = replace(found, release=placed_before(found.release, each))
            if found.action != "rollback":  # which leaves a host's settings as they are
                found = replace(found, provision_digest=digests[name])
            plan_deploy(found, each)
            _require_sound(found, each, now)
        except NothingSuitableError as error:
            if name in order.named or name in have:
                raise
            unfit[name] = error.message
        else:
            wanted[name] = found
    return wanted, unfit


def _require_sound(wanted: Wanted, facts: HostFacts, now: float) -> None:
    """Raise NothingSuitableError for a host that would have to be provisioned and cannot be."""
    if facts.converged == wanted.provision_digest:
        return
    for fault in preflight(facts, now):
        raise NothingSuitableError(f"{facts.name}: {fault.words}", hint=fault.hint)


def _require_named(order: Order, sight: Sight, candidates: Sequence[str]) -> None:
    for name in order.named:
        if name in sight.lost:
            raise HostError(f"{name}: {sight.lost[name]}", hint="toolkit hosts")
        if name not in candidates:
            raise InputError(
                f"{order.model} is not on {name}",
                hint=f"toolkit deploy {order.model} --host {name}",
            )


def _numbered(
    tools: Tools, model: str, wanted: Mapping[str, Wanted], facts: Mapping[str, HostFacts]
) -> dict[str, Wanted]:
    """Return `wanted` with one number for each different release, also where hosts differ in what they compute on."""
    known: list[Release] = [each for each, _ in tools.history.releases(model)]
    known += [
        slot.release for each in facts.values() for slot in each.slots_of(model) if slot.release
    ]
    numbered = {}
    for name, each in wanted.items():
        same = next((found for found in known if found.same_as(each.release)), None)
        if same is None:
            number = max((found.number for found in known), default=0) + 1
            same = replace(each.release, number=number)
            known.append(same)
        numbered[name] = replace(each, release=same)
    return numbered


def _differs(plan: RolloutPlan, shown: RolloutPlan) -> bool:
    def steps(plans: Mapping[str, Plan]) -> dict[str, list[tuple[str, str]]]:
        return {name: [(s.kind, s.slot) for s in plan.steps] for name, plan in plans.items()}

    return not plan.empty and steps(plan.plans) != steps(shown.plans)


def _finished(
    plan: RolloutPlan, changed: bool, states: Mapping[str, str], seconds: float
) -> RolledOut:
    if plan.lost:
        rows = [f"{name}: unreachable, {why}" for name, why in plan.lost.items()]
        done = "the rest of the fleet is as ordered" if not states or _all_live(states) else ""
        raise HostError(
            "not all hosts could be reached:\n  " + "\n  ".join([*rows, *_rows(states)]),
            hint=f"{done}; the same command again, once they answer".lstrip("; "),
        )
    return RolledOut(plan, changed, states, seconds)


def _all_live(states: Mapping[str, str]) -> bool:
    return all(state.startswith("live") for state in states.values())


def _rows(states: Mapping[str, str]) -> list[str]:
    return [f"{name}: {state}" for name, state in states.items()]
