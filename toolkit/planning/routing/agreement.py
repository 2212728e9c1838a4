"""One set of routes for a fleet: the right routes where hosts differ, and the hosts that lag behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.routed import routed
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Route, Routes, Target, is_relay


def fleet_routes(facts: Mapping[str, HostFacts]) -> Routes:
    """Return the right routes where hosts (by label) differ, see `settled`, with the addresses of today."""
    found = settled({label: Routes.from_json(each.routes) for label, each in facts.items()})
    return at_relays(found, relays_of(facts))


def with_routes(facts: Mapping[str, HostFacts], routes: Routes) -> dict[str, HostFacts]:
    """Return the facts with the traffic that the fleet's routes give to each slot.

    A host's own router may have missed a change, so its weights may be out of date. The only host of a fleet (label
    "") is always right.
    """
    return {
        label: _with_routes(label, each, routes) if label else each for label, each in facts.items()
    }


def agreed(facts: Mapping[str, HostFacts]) -> tuple[Routes, dict[str, HostFacts]]:
    """Return the fleet's routes, and each host's facts with the traffic that these routes give it, by host name."""
    routes = fleet_routes(facts)
    return routes, {each.name: each for each in with_routes(facts, routes).values()}


def behind(facts: Mapping[str, HostFacts], routes: Routes) -> tuple[str, ...]:
    """Return the labels of hosts whose router has not the fleet's routes, nor comes to them by itself.

    Hosts that wake a model by themselves come to the same routes in different numbers of changes.
    """
    return tuple(
        label
        for label, each in facts.items()
        if label and not _comes_to(Routes.from_json(each.routes).routes, routes.routes)
    )


def keys_differ(hosts: Iterable[HostFacts]) -> bool:
    """Whether routers have other keys than others; one that missed a revocation still lets the key in."""
    return len({each.router.ring_digest for each in hosts if each.router.running}) > 1


def have_moved(facts: Mapping[str, HostFacts]) -> bool:
    """Whether the routes of any host (by label) lead to a former address of another one."""
    relays = relays_of(facts)
    found = [Routes.from_json(each.routes) for label, each in facts.items() if label]
    return any(at_relays(routes, relays) is not routes for routes in found)


def _comes_to(own: tuple[Route, ...], fleet: tuple[Route, ...]) -> bool:
    """Whether a host's routes are those of its fleet, but for models that each host is waking in its own time."""
    return len(own) == len(fleet) and all(
        one == other or (_wakes(one, other) and _awake(one, other) == _awake(other, one))
        for one, other in zip(own, fleet, strict=True)
    )


def _wakes(own: Route, fleet: Route) -> bool:
    """Whether a model wakes, or has woken, on some hosts from a sleep of which all of them were told."""
    if own.sleep and fleet.sleep:
        return replace(own.sleep, due=0) == replace(fleet.sleep, due=0)
    # An own route without a sleep is from before the sleep or from after it. Only after it does the fleet's route wake.
    return bool(own.sleep or (fleet.sleep and fleet.sleep.due))


def _awake(route: Route, other: Route) -> Route:
    """Return a route without what a host gives back to its targets as they wake."""
    names = {each.name for one in (route, other) for each in one.targets if each.asleep}
    targets = tuple(
        replace(each, weight=0, standby=False, asleep="") if each.name in names else each
        for each in route.targets
    )
    return replace(route, targets=targets, sleep=None, hold=0 if route.sleep else route.hold)


def _with_routes(label: str, facts: HostFacts, routes: Routes) -> HostFacts:
    told = routes.as_json(label)
    return replace(
        facts, slots=tuple(routed(each, told, label) for each in facts.slots), routes=told
    )


def settled(found: Mapping[str, Routes], told: Routes | None = None) -> Routes:
    """Return the right routes where those of hosts (by label) differ: the newest, without any host's withdrawn targets.

    Newer routes may come from a command or a host that did not know of a withdrawal. A target stays withdrawn until its
    own host has other routes, so that host's word on its own targets counts. Among routes of the same age those are
    right that a command has `told` since, from other hosts' facts.
    """
    routes = newest(found.values())
    if told is not None and told.age >= routes.age:
        routes = told
    corrected = routes
    for host, own in found.items():
        for route in own.routes:
            for target in route.on(host):
                if target.withdrawn:
                    corrected = _with_withdrawn(corrected, route, target)
    return corrected if corrected is routes else corrected.later()


def _with_withdrawn(routes: Routes, own: Route, target: Target) -> Routes:
    """Return `routes` with the targets that the host of `target` has in its `own` route; the same where they agree."""
    route = routes.of(own.model)
    there = (
        next((each for each in route.targets if each.name == target.name), None) if route else None
    )
    if route is None or there is None or not (there.weight or there.share or there.standby):
        return routes
    known = {each.name: each for each in own.on(target.host)}
    targets = tuple(known.get(each.name, each) for each in route.targets)
    return with_model(routes, own.model, targets, created=route.created)


def newest(found: Iterable[Routes]) -> Routes:
    """Return the latest routes, or empty routes where none are given; of different ones, those that most hosts have."""
    known = list(found)
    last = max((each.age for each in known), default=(0, 0))
    latest = [each for each in known if each.age == last]
    if not latest:
        return Routes()
    # Nearly always all are equal, and a comparison takes less time than a count.
    if all(each is latest[0] or each == latest[0] for each in latest):
        return latest[0]
    return Counter(latest).most_common(1)[0][0]


def relays_of(facts: Mapping[str, HostFacts]) -> dict[str, str]:
    """Return where the router of each host (by label) takes requests from others, as far as the hosts have kept it.

    A host's router listens where the host's last provisioning told it to, whatever the fleet file says since. So routes
    with another address are out of date.
    """
    found = {label: (each.settings or {}).get("relay") for label, each in facts.items() if label}
    return {
        label: relay for label, relay in found.items() if isinstance(relay, str) and is_relay(relay)
    }


def at_relays(routes: Routes, relays: Mapping[str, str]) -> Routes:
    """Return `routes` whose targets are at the `relays` of their hosts; the same where they are, else one serial on."""
    moved = tuple(_moved(route, relays) for route in routes.routes)
    if moved == routes.routes:
        return routes
    return replace(routes, routes=moved).later()


def _moved(route: Route, relays: Mapping[str, str]) -> Route:
    # Keep the same objects if nothing moved: every change of routes comes here, and new targets are validated again.
    if all(relays.get(each.host, each.relay) == each.relay for each in route.targets if each.host):
        return route
    targets = (
        replace(each, relay=relays.get(each.host, each.relay)) if each.host else each
        for each in route.targets
    )
    return replace(route, targets=tuple(targets))
