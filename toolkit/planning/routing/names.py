"""The model that a name of the clients leads to, where two routes have it: after a rename, or after an alias moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from toolkit.planning.routing.routes import Route, Routes


def owners(routes: Routes) -> dict[str, Route]:
    """Return {model, alias or adapter: its one owner}.

    A registry gives each name to one model, and routes follow it model by model. A name goes to the route that got it
    last, once that has traffic; where nobody knows which was the last, an alias comes before the name of a model. An
    adapter takes no name of a model that has a route: the files of that model are under its name.
    """
    found: dict[str, Route] = {}
    models = {each.model for each in routes.routes}
    for route in routes.routes:
        own = (each for each in route.adapters if each not in models)
        for name in (route.model, *route.aliases, *own):
            former = found.get(name)
            if former is None or _rank(route, name) > _rank(former, name):
                found[name] = route
    return found


def claimed(routes: Routes, route: Route) -> Route:
    """Return `route`; where it takes a name of another route, note it as the newest owner of that name."""
    former = routes.of(route.model)
    gained = _all_names(route) - (_all_names(former) if former else set())
    others = [each for each in routes.routes if each.model != route.model]
    if not any(gained & _all_names(each) for each in others):
        return route
    return replace(route, named=1 + max(each.named for each in routes.routes))


def _rank(route: Route, name: str) -> tuple[bool, int, bool]:
    has_traffic = any(each.weight or each.share for each in route.targets)
    return has_traffic or bool(route.hold or route.sleep), route.named, name != route.model


def _all_names(route: Route) -> set[str]:
    """Return the names of the model, those of targets without traffic too: with these it gets them later."""
    lists = ((*each.aliases, *each.adapters, *each.waiting) for each in route.targets)
    return {route.model, *(name for names in lists for name in names)}


def asked_by(route: Route, names: Mapping[str, Route]) -> tuple[str, ...]:
    """Return the names under which requests reach a route without an alias: its model's and those of its adapters.

    What `names` give to another route is left out.
    """
    mine = (each for each in route.adapters if names[each].model == route.model)
    return (route.model, *mine)
