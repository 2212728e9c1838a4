"""Hosts that left a fleet: in the routes of those that stay, and in the history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from toolkit.domain.deployment.release import Deployment, Outcome
from toolkit.planning.routing.edits import without_targets
from toolkit.planning.routing.routes import Routes


def strangers(routes: Routes, fleet: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the models of each host that `routes` lead to and that is none of `fleet`."""
    found: dict[str, list[str]] = {}
    for route in routes.routes:
        for host in dict.fromkeys(target.host for target in route.targets if target.host):
            if host not in fleet:
                found.setdefault(host, []).append(route.model)
    return {host: tuple(models) for host, models in found.items()}


def left_serving(model: str, routes: Routes, fleet: Collection[str]) -> tuple[str, ...]:
    """Return the hosts that are none of `fleet` and whose replicas of the model have traffic by `routes`."""
    route = routes.of(model)
    having = [each.host for each in route.targets if each.host and each.weight] if route else []
    return tuple(host for host in dict.fromkeys(having) if host not in fleet)


def left_behind(
    deployments: Iterable[Deployment], fleet: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the models that each host outside `fleet` still serves, as far as the history says.

    `deployments` are the newest first. Only hosts that once changed together with one of the fleet count: a history may
    be shared with other fleets.
    """
    told = [each for each in deployments if each.host]
    shared = {each.rollout for each in told if each.host in fleet and each.rollout}
    known = {each.host for each in told if each.rollout in shared} - set(fleet)
    last: dict[tuple[str, str], Deployment] = {}
    for each in told:
        ended = each.outcome in (Outcome.LIVE, Outcome.DONE)
        if each.host in known and ended and (each.replaces or each.leaves):
            last.setdefault((each.host, each.model), each)
    found: dict[str, list[str]] = {}
    for (host, model), each in last.items():
        if not each.leaves:
            found.setdefault(host, []).append(model)
    return {host: tuple(sorted(models)) for host, models in found.items()}


def without_host(routes: Routes, host: str) -> Routes:
    """Return `routes` without every target on `host`."""
    for route in routes.routes:
        routes = without_targets(routes, route.model, host)
    return routes


def union(*found: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Return the models of each host in any of the mappings."""
    names = dict.fromkeys(host for each in found for host in each)
    return {
        host: tuple(sorted({model for each in found for model in each.get(host, ())}))
        for host in names
    }
