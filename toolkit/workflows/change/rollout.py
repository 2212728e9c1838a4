"""Make a release live on the hosts of a fleet: observe, decide, confirm, lock, observe again, act.

`deploy`, `upgrade` and `rollback` all come through here, for one host and for many; they differ in the release that
they want. `Rollout` carries the plan out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from toolkit.domain.accelerator import driver_package
from toolkit.domain.deployment.plan import StepKind
from toolkit.domain.deployment.release import Deployment
from toolkit.domain.hosts.facts import FleetFacts, HostFacts
from toolkit.domain.hosts.failures import joined
from toolkit.errors import (
    HostError,
    InputError,
    NothingSuitableError,
    RefusedError,
    ToolkitError,
)
from toolkit.planning.change.deploy import Wanted, plan_deploy
from toolkit.planning.change.fence import fenced
from toolkit.planning.change.judged import failed_rollouts
from toolkit.planning.change.placement import (
    choose_hosts,
    having,
    hosts_of,
    require_place_for_replicas,
)
from toolkit.planning.change.preflight import require_sound
from toolkit.planning.change.rollout import RolloutPlan, differs, numbered, plan_rollout
from toolkit.planning.change.settings import with_settings
from toolkit.planning.change.sleep import require_awake
from toolkit.planning.change.span import (
    place_span,
    placed_before,
    plan_hosts,
    require_together,
)
from toolkit.planning.routing.agreement import agreed, behind, fleet_routes, keys_differ
from toolkit.planning.routing.members import left_serving
from toolkit.planning.routing.rebuild import require_readable
from toolkit.workflows.change.act import PLAYED
from toolkit.workflows.change.bake import await_bakes, failed_before, require_judged
from toolkit.workflows.change.batch import HostState, Rollout
from toolkit.workflows.change.recover import Ending, end_everywhere, left_open, naming_left_open
from toolkit.workflows.change.routers import TELL, missed, unreachable_rows
from toolkit.workflows.change.wanted import Order, usual_start
from toolkit.workflows.fleet.look import lock_able, look, look_free, unreachable_that_served
from toolkit.workflows.tools import Tools, require_yes

Confirm = Callable[[RolloutPlan], bool]


@dataclass(frozen=True, slots=True)
class RolledOut:
    """The outcome of a rollout: its plan, the state of each host by name, and its duration in `seconds`."""

    plan: RolloutPlan
    changed: bool
    states: Mapping[str, HostState]
    seconds: float


def roll_out(members: Sequence[Tools], order: Order, confirm: Confirm) -> RolledOut:
    """Carry out `order` on the fleet of `members`, which share routers and history.

    `confirm` sees the plan, and sees it again where it changed under the locks. Raises RefusedError where it says
    no, BusyError where a deployment runs, NothingSuitableError where no host can take the model; where hosts fail,
    `joined` errors with the state of each host, and HostError where some are unreachable or their routers missed the
    change. The fleet serves in each of these cases.
    """
    first = members[0]
    # The clock of the ops machine may be set meanwhile.
    started = time.monotonic()
    hosts = [each.host for each in members]
    seen = first.patience.until_free(
        lambda: await_bakes(members, order, look_free(hosts, first.patience))
    )
    opened = left_open(members, seen, _ending(order, seen))
    order, shown = _first_plan(members, order, seen, opened)
    left = (
        () if order.named else left_serving(order.model, fleet_routes(seen.by_label), seen.labels)
    )
    late = _late(seen) if shown.empty and not opened else ()
    if shown.empty and not opened and not late:
        return _finished(RolledOut(shown, False, {}, time.monotonic() - started), {}, left)
    if shown.kinds & PLAYED:
        first.converge.prepare()
    notes = (*shown.notes, *map(_unfinished, opened), *late)
    require_yes(replace(shown, notes=notes), confirm)
    there = [each for each in members if each.host.name in seen.facts]
    able = lock_able([each.host for each in there], first.owner, first.patience)
    with naming_left_open(there), able as unlocked:
        there = _without(there, order, unlocked)
        plan, facts = _settle(there, order, seen, unlocked)
        if differs(plan, shown):
            first.say("the fleet changed since the plan was shown; this is the new one")
            require_yes(plan, confirm)
        _bring_keys(there, facts, plan, seen.errors)
        taking_part = [each for each in there if each.host.name in plan.plans]
        states = Rollout(taking_part, plan, facts, order).perform()
        behind_now = first.routers.catch_up()
    done = RolledOut(plan, not plan.empty, states, time.monotonic() - started)
    # Here and not above: it takes longer to load than a host to switch.
    from toolkit.workflows.use.collect import collect_in_passing

    collect_in_passing([each.host for each in there], first.history)
    return _finished(done, behind_now, left)


def preview(members: Sequence[Tools], order: Order) -> RolloutPlan:
    """Return the plan of `order` from the hosts as they are now; changes nothing and takes no lock.

    Raises what planning raises: InputError, RefusedError, NothingSuitableError, and HostError where no host answers.
    """
    seen = look([each.host for each in members])
    return _plan(members, _aimed(order, seen), seen)[0]


def _first_plan(
    members: Sequence[Tools], order: Order, seen: FleetFacts, opened: Sequence[Deployment]
) -> tuple[Order, RolloutPlan]:
    """Return the order with its target, and the plan from the hosts as they are.

    What was cut short may stand in the way of a plan, and must be ended all the same: then the plan has no steps yet.
    """
    try:
        # Aim once, before recovery ends an interrupted change: the outcome of recovery must not move the target.
        aimed = _aimed(order, seen)
        return aimed, _plan(members, aimed, seen)[0]
    except (InputError, RefusedError) as error:
        if not opened:
            raise
        words = f"what was cut short is ended first; as the hosts are now: {error.message}"
        return order, RolloutPlan(order.action, order.model, {}, (), seen.unreachable, (words,))


def _aimed(order: Order, seen: FleetFacts) -> Order:
    """Return `order` with the release of each host, where that depends on the other hosts."""
    if order.aim is None or not seen.facts:
        return order
    routes, facts = agreed(seen.by_label)
    # Of a model that sleeps no release serves, so none is the former one.
    require_awake(order.model, routes)
    # Named hosts are looked at alone: others may have another release on purpose.
    chosen = {name: each for name, each in facts.items() if not order.named or name in order.named}
    errors = () if order.named else tuple(seen.errors)
    return replace(order, want=order.aim(chosen or facts, errors), aim=None)


def _bring_keys(
    there: Sequence[Tools],
    facts: Mapping[str, HostFacts],
    plan: RolloutPlan,
    errors: Mapping[str, HostError],
) -> None:
    """Give each host the keys of the others before it may serve: without keys it would let everybody in.

    Raises the `joined` errors of hosts of the plan that did not get them, or that cannot know of any where hosts that
    have served are all among those with `errors`. The release of a rollback has served there before, and must not
    wait for keys.
    """
    asks = {each.host.name for each in there if each.host.host.router_require_keys}
    unreachable = unreachable_that_served(facts.values(), errors, there[0].history.hosts)
    bare = [name for name in plan.plans if name not in asks] if unreachable else []
    if len({each.router.ring_digest for each in facts.values()}) < 2 and not bare:
        return
    # Here and not above: a fleet of one host has one ring, and its rollback must start at once.
    from toolkit.workflows.fleet.keys import sync_keys

    keys = sync_keys([each.host for each in there])
    unlocked = [name for name in plan.plans if not facts[name].router.locked]
    faults = {**keys.unheard(bare, unreachable), **keys.faults_of(unlocked)}
    if plan.action != "rollback" and faults:
        raise joined(faults, hint="toolkit keys sync, then the same command again")


def _late(seen: FleetFacts) -> tuple[str, ...]:
    """Return what routers have missed, which a command brings to them that has nothing else to do."""
    labels = behind(seen.by_label, fleet_routes(seen.by_label))
    words = "the router of {} has missed a change and is told the routes of today"
    keys = "the hosts do not have the same keys and get those of all of them"
    return (*map(words.format, labels), *([keys] if keys_differ(seen.facts.values()) else ()))


def _unfinished(opened: Deployment) -> str:
    return (
        f"{opened.title} ({opened.action} {opened.model} by {opened.actor}) has not ended: "
        "unless it still runs, it is completed or undone first"
    )


def _settle(
    there: Sequence[Tools], order: Order, seen: FleetFacts, unlocked: Mapping[str, HostError]
) -> tuple[RolloutPlan, dict[str, HostFacts]]:
    """Under the locks: end what an earlier command left open, observe again, plan again.

    Raises the `joined` errors of hosts where that failed, unless `_without` passes over them.
    """
    again = _look_again(there)
    require_judged(order, again)
    ending, failed = _ending(order, again), dict[str, ToolkitError](unlocked)
    if left_open(there, again, ending):
        failed |= end_everywhere(there, again, ending, keep=order.limits.keep)
        again = _look_again(there)
    able = _without(there, order, failed)
    again = replace(again, errors=seen.errors)
    return _plan(able, _aimed(order, again), again, failed)


def _without(
    there: Sequence[Tools], order: Order, failed: Mapping[str, ToolkitError]
) -> list[Tools]:
    """Return the hosts of `there` that have not `failed`.

    A rollback goes on with those, unless it named one of the others. Otherwise raises the `joined` errors.
    """
    left = [each for each in there if each.host.name not in failed]
    goes_on = order.action == "rollback" and left and not {*order.named} & {*failed}
    if failed and not goes_on:
        raise joined(failed, hint="toolkit status", alone=len(there) == 1)
    return left


def _ending(order: Order, seen: FleetFacts) -> Ending:
    failed = failed_rollouts(seen.facts.values())
    return Ending(order.timing, failed, order.ends_bake, order.model)


def _look_again(there: Sequence[Tools]) -> FleetFacts:
    """Observe the hosts under their locks; raises where one does not answer any more."""
    found = look([each.host for each in there])
    if found.errors:
        raise found.failure()
    there[0].routers.observed(found.by_label)
    return found


def _plan(
    members: Sequence[Tools],
    order: Order,
    seen: FleetFacts,
    failed: Mapping[str, ToolkitError] = MappingProxyType({}),
) -> tuple[RolloutPlan, dict[str, HostFacts]]:
    """Return the plan for `members`, and the facts by host's name; the plan names the hosts that have `failed`."""
    if not seen.facts:
        raise seen.failure()
    require_readable(order.model, list(seen.facts.values()))
    routes, facts = agreed(seen.by_label)
    require_awake(order.model, routes)
    have = having(order.model, facts, routes)
    wanted, unfit = _wanted(members, order, facts, have)
    _require_named(order, seen, [*wanted, *unfit])
    span = max((each.release.span.size for each in wanted.values() if each.release.span), default=1)
    unable = {**failed, **{name: error for name, error in unfit.items() if name in have}}
    if span > 1:
        require_together(order.model, routes, seen.unreachable)
        for name in sorted(unable.keys() & ({*unfit} | hosts_of(order.model, routes))):
            raise unable[name]
    chosen = choose_hosts(
        order.model,
        {name: facts[name] for name in facts if name in wanted or name in unfit},
        unfit,
        routes,
        named=order.named,
        replicas=order.replicas,
        span=span,
    )
    placed = {name: wanted[name] for name in chosen.hosts}
    if span > 1:
        hosts = [each.host.host for each in members if each.host.name in placed]
        placed = place_span(placed, hosts, facts)
    known = [each for each, _ in members[0].history.releases(order.model)]
    plans = plan_hosts(numbered(placed, known, facts.values()), facts)
    plans = fenced(plans, [each.host.host for each in members], facts)
    plans = with_settings(plans, {each.host.name: each.settings for each in members}, facts)
    notes = (*chosen.notes, *failed_before(members[0].history, order, plans.values()))
    plan = plan_rollout(plans, facts, order.limits, unreachable=seen.unreachable, notes=notes)
    return replace(plan, unable=unable), facts


def _wanted(
    members: Sequence[Tools], order: Order, facts: Mapping[str, HostFacts], have: Collection[str]
) -> tuple[dict[str, Wanted], dict[str, NothingSuitableError]]:
    """Return the wanted state of each host, and the reasons of hosts that cannot hold it.

    `have` are the hosts that have the model. Raises InputError for an upgrade where there is none, and the error of a
    host that must take part. In a rollback none must but those that were named: what is wrong with one host keeps no
    other from going back.
    """
    wanted: dict[str, Wanted] = {}
    unfit: dict[str, NothingSuitableError] = {}
    if order.action == "upgrade" and not have:
        assert order.version is not None
        raise InputError(
            f"{order.model} is not deployed, so there is nothing to upgrade",
            hint=f"toolkit deploy {order.version.title}",
        )
    start = usual_start(members[0].history, order.model)
    for tools in members:
        name = tools.host.name
        # Where no host has the model, a rollback may still name a release that was live.
        if name not in facts or (have and name not in have and order.action != "deploy"):
            continue
        # The target of a rollback is that of the named hosts.
        if order.action == "rollback" and order.named and name not in order.named:
            continue
        try:
            # A replica serves on even where its host has become a gateway since.
            if name not in have:
                require_place_for_replicas(tools.host.host)
            wanted[name] = _wanted_on(tools, order, facts[name], start)
        except NothingSuitableError as error:
            if name in order.named or (name in have and order.action != "rollback"):
                raise
            unfit[name] = error
    if not wanted and len(unfit) == 1:
        raise next(iter(unfit.values()))
    return wanted, unfit


def _wanted_on(tools: Tools, order: Order, facts: HostFacts, start: float) -> Wanted:
    """Return the wanted state of the host; raises NothingSuitableError where it cannot hold the release."""
    found = order.want(facts)
    found = replace(
        found,
        release=placed_before(found.release, facts),
        provision_digest=found.provision_digest or tools.provision_digest,
        keep_standby=order.standby,
        bake_seconds=order.timing.bake,
        ready_seconds=start,
    )
    plan = plan_deploy(found, facts)
    starts = any(step.kind is StepKind.START for step in plan.steps)
    # A host that was sound when it was provisioned may not be sound now. A rollback must go on nevertheless.
    if facts.converged != found.provision_digest or (starts and order.action != "rollback"):
        require_sound(facts, tools.clock(), driver_package(tools.host.host.settings))
    return found


def _require_named(order: Order, seen: FleetFacts, candidates: Sequence[str]) -> None:
    for name in order.named:
        if name in seen.errors:
            raise seen.errors[name]
        if name not in candidates:
            raise InputError(
                f"{order.model} is not on {name}",
                hint=f"toolkit deploy {order.model} --host {name}",
            )


def _finished(done: RolledOut, behind_now: Mapping[str, str], left: Sequence[str]) -> RolledOut:
    """Return `done`; raises HostError where hosts were unreachable or routers are behind; the others are as ordered.

    So it does where hosts have `left` the fleet file and still get requests: they serve what they served. Raises the
    `joined` errors of hosts that were unable to go back.
    """
    unreachable, unable = done.plan.unreachable, done.plan.unable
    if not unreachable and not unable and not behind_now and not left:
        return done
    gone = [f"{name}: left the fleet file, and still gets requests" for name in left]
    rows = [*unreachable_rows(unreachable), *missed(behind_now), *gone]
    rows += [f"{name}: {state.words}" for name, state in done.states.items()]
    if unable:
        # The hint may be that of the hosts, which says how to mend them.
        more = "\n  ".join([*rows, f"{_again(done.plan)} brings them back, once they can"])
        raise joined(unable, hint="toolkit status", more=more)
    if not unreachable and not behind_now:
        raise HostError(
            "routers lead to hosts that are not in the fleet file, with what these serve:\n  "
            + "\n  ".join(rows),
            hint=f"the fleet is as ordered; toolkit hosts forget {left[0]}, or put it back into the fleet file and "
            "repeat the command",
        )
    words = "not all hosts could be reached" if unreachable else "not all routers follow"
    again = f"{_again(done.plan)}, once they answer" if unreachable else TELL
    raise HostError(
        f"{words}:\n  " + "\n  ".join(rows), hint=f"the rest of the fleet is as ordered; {again}"
    )


def _again(plan: RolloutPlan) -> str:
    """Return the command that brings hosts that did not answer to the plan as well."""
    if plan.action != "rollback":
        return "the same command again"
    # The same command again goes back to the release before, which is the one that was just withdrawn.
    numbers = {each.release.number for each in plan.plans.values() if each.release}
    release = str(numbers.pop()) if len(numbers) == 1 else "RELEASE"
    return f"toolkit rollback {plan.model} --to {release}"
