"""One set of routes for a fleet: which routes are right where hosts differ, and which hosts lag behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from toolkit.domain.facts import HostFacts
from toolkit.planning.routing.routes import Routes, settled


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
    """Return the labels of hosts whose router has not the fleet's routes."""
    return tuple(
        label for label, each in facts.items() if Routes.from_json(each.routes) != routes and label
    )


def _with_routes(label: str, facts: HostFacts, routes: Routes) -> HostFacts:
    given = {
        (route.model, target.slot): (target.weight, target.share)
        for route in routes.routes
        for target in route.on(label)
    }
    slots = tuple(
        replace(slot, weight=weight, share=share)
        for slot in facts.slots
        for weight, share in [given.get((slot.model, slot.slot), (0, 0))]
    )
    return replace(facts, slots=slots, routes=routes.as_json(label))
