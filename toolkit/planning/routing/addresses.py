"""The addresses at which the routers of a fleet reach each other's hosts.

A host's router listens where the host's last provisioning told it to, whatever the fleet file says since. So that
address counts, and routes with another one are out of date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from toolkit.domain.hosts.facts import HostFacts
from toolkit.planning.routing.routes import Route, Routes, is_relay


def relays_of(facts: Mapping[str, HostFacts]) -> dict[str, str]:
    """Return where the router of each host (by label) takes requests from others, as far as the hosts have kept it."""
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
    # Each change of routes looks here, and a target that is made anew is checked anew.
    if all(relays.get(each.host, each.relay) == each.relay for each in route.targets if each.host):
        return route
    targets = (
        replace(each, relay=relays.get(each.host, each.relay)) if each.host else each
        for each in route.targets
    )
    return replace(route, targets=tuple(targets))
