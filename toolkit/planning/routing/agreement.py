"""One set of routes for a fleet: which routes are right where hosts differ, and which hosts lag behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from toolkit.domain.facts import HostFacts
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Route, Routes, Target


def fleet_routes(facts: Mapping[str, HostFacts]) -> Routes:
    """Return the right routes where hosts (by label) differ, see `settled`."""
    return settled({label: Routes.from_json(each.routes) for label, each in facts.items()})


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
    """Return the labels of hosts whose router has not the fleet's routes.

    Hosts that wake a model by themselves come to the same routes in different numbers of changes.
    """
    return tuple(
        label
        for label, each in facts.items()
        if Routes.from_json(each.routes).routes != routes.routes and label
    )


def _with_routes(label: str, facts: HostFacts, routes: Routes) -> HostFacts:
    given = {
        (route.model, target.slot): (target.weight, target.share, _asleep(route, target))
        for route in routes.routes
        for target in route.on(label)
    }
    slots = tuple(
        replace(slot, weight=weight, share=share, asleep=asleep)
        for slot in facts.slots
        for weight, share, asleep in [given.get((slot.model, slot.slot), (0, 0, ""))]
    )
    return replace(facts, slots=slots, routes=routes.as_json(label))


def _asleep(route: Route, target: Target) -> str:
    if not (target.asleep and route.sleep):
        return ""
    return "waking" if route.sleep.due else "asleep"


def settled(found: Mapping[str, Routes], told: Routes | None = None) -> Routes:
    """Return the right routes where those of hosts (by label) differ: the newest, without any host's withdrawn targets.

    Routes with a higher serial may come from a command or a host that did not know of a withdrawal. A target stays
    withdrawn until its own host has other routes, so that host's word on its own targets counts. Among routes with the
    same serial those are right that a command has `told` since, from other hosts' facts.
    """
    routes = newest([*filter(None, [told]), *found.values()])
    corrected = routes
    for host, own in found.items():
        for route in own.routes:
            for target in route.on(host):
                if target.withdrawn:
                    corrected = _with_withdrawn(corrected, route, target)
    return corrected if corrected is routes else replace(corrected, serial=routes.serial + 1)


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
    """Return the routes with the highest serial, or empty routes where none are given."""
    return max(found, key=lambda routes: routes.serial, default=Routes())
