"""One replica over several hosts: the release that they run together, and the plan that all of them share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from toolkit.domain.deployment.plan import Plan, StepKind
from toolkit.domain.deployment.release import PORTS_TO_MEET, SLOTS, Release, Span
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError, InputError, RefusedError
from toolkit.planning.change.deploy import Wanted, plan_deploy
from toolkit.planning.change.placement import hosts_of
from toolkit.planning.routing.routes import Routes

# Below the ephemeral ports of Linux (from 32768), above the ports of replicas.
FIRST_PORT = 28000


def placed_before(release: Release, facts: HostFacts) -> Release:
    """Return `release` on the hosts that run its model together now; unchanged where `facts` show no such hosts."""
    if release.span is None or release.span.hosts:
        return release
    for slot in facts.slots_of(release.model):
        if slot.release and slot.release.span and slot.release.span.size == release.span.size:
            return replace(release, span=slot.release.span)
    return release


def place_span(
    wanted: Mapping[str, Wanted], hosts: Sequence[Host], facts: Mapping[str, HostFacts]
) -> dict[str, Wanted]:
    """Return `wanted`, by host's name, with `hosts` in its release, the first of them leading.

    A rollback to a replica that stands by on all hosts keeps the addresses with which it was started. Raises InputError
    where a firewall keeps the hosts from each other.
    """
    if all(_stands_by(each, facts[name]) for name, each in wanted.items()):
        return dict(wanted)
    require_open(next(iter(wanted.values())).release.model, hosts)
    addresses = [host.relay_address for host in hosts]
    return {
        name: replace(each, release=place_together(each.release, addresses, facts.values()))
        for name, each in wanted.items()
    }


def _stands_by(wanted: Wanted, facts: HostFacts) -> bool:
    release = wanted.release
    return wanted.action == "rollback" and any(
        slot.healthy and slot.release and slot.release.same_as(release)
        for slot in facts.slots_of(release.model)
    )


def beside(previous: Release | None, new: Release | None) -> Release | None:
    """Return `previous` at the addresses of `new`: a change stays on the hosts, whose addresses may be others since."""
    if not (previous and previous.span and new and new.span and new.span.hosts):
        return previous
    if previous.span.size != new.span.size:
        return previous
    return replace(previous, span=replace(previous.span, hosts=new.span.hosts))


def place_together(
    release: Release, addresses: Sequence[str], facts: Iterable[HostFacts]
) -> Release:
    """Return `release` on the hosts with these `addresses`, at ports that no other model of `facts` has.

    A release that has these hosts already keeps them. One that ran on others, or on these at other addresses, is placed
    anew.
    """
    if release.span is None or set(release.span.hosts) == set(addresses):
        return release
    taken = {
        slot.release.span.port
        for each in facts
        for slot in each.slots
        if slot.release and slot.release.span and slot.model != release.model
    }
    step = PORTS_TO_MEET * len(SLOTS)
    port = next(port for port in range(FIRST_PORT, 65536, step) if port not in taken)
    return replace(release, span=Span(release.span.size, tuple(addresses), port))


def require_together(model: str, routes: Routes, unreachable: Mapping[str, str]) -> None:
    """Raise HostError where a host with a part of `model` is `unreachable`; that has the reasons by name."""
    missing = hosts_of(model, routes) & unreachable.keys()
    if missing:
        words = "; ".join(f"{name}: {unreachable[name]}" for name in sorted(missing))
        raise HostError(
            f"{model} runs on several hosts together, and not all of them answer: {words}",
            hint=f"the same command again, once they do; or toolkit stop {model}",
        )


def require_open(model: str, hosts: Iterable[Host]) -> None:
    """Raise InputError where the firewall of `hosts`, which run `model` together, keeps them from each other."""
    closed = [
        host.name
        for host in hosts
        if host.settings.get("toolkit_firewall") and not host.settings.get("toolkit_interconnect")
    ]
    if closed:
        raise InputError(
            f"the firewall of {' and '.join(closed)} keeps the hosts of {model} from each other",
            hint="toolkit_interconnect: true in the fleet file, then toolkit provision",
        )


def require_whole(model: str, facts: Mapping[str, HostFacts], chosen: Collection[str]) -> None:
    """Raise InputError where only some of the hosts that run one replica together are `chosen`."""
    for name in chosen:
        for slot in facts[name].slots_of(model):
            span = slot.release.span if slot.release else None
            others = [
                other
                for other, each in facts.items()
                if span and other not in chosen and _has_part(each, model, span)
            ]
            if others:
                raise InputError(
                    f"{name} runs {model} together with {' and '.join(others)}",
                    hint=f"toolkit stop {model} stops it on all of them",
                )


def _has_part(facts: HostFacts, model: str, span: Span) -> bool:
    return any(slot.release and slot.release.span == span for slot in facts.slots_of(model))


def plan_hosts(wanted: Mapping[str, Wanted], facts: Mapping[str, HostFacts]) -> dict[str, Plan]:
    """Return the plan of each host, by name, for replicas of their own and for one replica over all of them.

    Raises what `plan_deploy` and `plan_together` raise.
    """
    if any(each.release.span for each in wanted.values()):
        return plan_together(wanted, facts)
    return {name: plan_deploy(each, facts[name]) for name, each in wanted.items()}


def plan_together(wanted: Mapping[str, Wanted], facts: Mapping[str, HostFacts]) -> dict[str, Plan]:
    """Return the plan of each host, by name: all of them start the replica anew, in the same slot, or none does.

    Raises NothingSuitableError as `plan_deploy` does, RefusedError where the releases on the hosts forbid it.
    """
    first, *others = [each.release for each in wanted.values()]
    model = first.model
    if any(each != first for each in others):
        raise RefusedError(
            f"the hosts of {model} would run different releases together",
            hint="hosts that run one replica have the same accelerators and Python",
        )
    plans = {name: plan_deploy(each, facts[name]) for name, each in wanted.items()}
    if len({_starts(plan) for plan in plans.values()}) > 1:
        anew = {name: _as_drifted(facts[name], model) for name in wanted}
        plans = {name: plan_deploy(each, anew[name]) for name, each in wanted.items()}
    if len({plan.slot for plan in plans.values()}) > 1:
        words = ", ".join(f"{plan.slot} on {name}" for name, plan in plans.items())
        raise RefusedError(
            f"the hosts of {model} would have it in different slots: {words}",
            hint=f"toolkit stop {model}, then toolkit deploy {model}",
        )
    return plans


def _starts(plan: Plan) -> bool:
    return any(step.kind is StepKind.START for step in plan.steps)


def _as_drifted(facts: HostFacts, model: str) -> HostFacts:
    why = "what runs on the other hosts of the replica is not as it was deployed"
    slots = tuple(
        replace(slot, drift=(*slot.drift, why)) if slot.model == model else slot
        for slot in facts.slots
    )
    return replace(facts, slots=slots)
