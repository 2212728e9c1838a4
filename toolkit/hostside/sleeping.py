"""Models that sleep, in the routes: what a router must know of them, and the routes in which they wake.

Every host of a fleet decides alone when its targets wake, and all come to the same routes. Nothing here acts.

This module imports no sibling, so that the fake host of the tests wakes models with the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Document = dict[str, Any]

FULL_WEIGHT = 100
SERVING, STANDBY = "serving", "standby"
# The entries of asleep.map by which a router says when a request last wanted a sleeping model.
WISH = "wake:"


def entries(routes: Document) -> dict[str, str]:
    """Return the content of asleep.map, see `render_asleep` of the ops machine."""
    found: dict[str, str] = {}
    for route in routes.get("routes", ()):
        if sleep := route.get("sleep"):
            words = f"{sleep['policy']}|{sleep['starts']}|{sleep['due']}|{route['model']}"
            found.update(dict.fromkeys((route["model"], *route.get("adapters", [])), words))
    return found


def wishes(known: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the wishes in `known`, the content of a worker's asleep.map, of models that sleep in `wanted`."""
    return {
        name: value
        for name, value in known.items()
        if name.startswith(WISH) and name[len(WISH) :] in wanted
    }


def sleepers(routes: Document) -> list[Document]:
    """Return the routes of models that sleep or wake."""
    return [each for each in routes.get("routes", ()) if each.get("sleep")]


def own(routes: Document, route: Document) -> list[Document]:
    """Return the targets of a route that are asleep and on this host."""
    at = routes.get("at", "")
    return [
        each for each in route["targets"] if each.get("asleep") and each.get("host", "") in ("", at)
    ]


def making_place(
    routes: Document, model: str, sleeper: Document, ident: str, since: int
) -> Document:
    """Return the routes in which `model` falls asleep so that `sleeper`, the route of another one, can wake.

    It has the same alternates and gets the same policy; `ident` names its sleep, which begins at `since`. The
    routes are the same where it sleeps already, is in the midst of a change, or is no alternate of it.
    """
    other = sleeper["sleep"]
    alternates = {each["model"]: each for each in other.get("alternates", ())}
    own = alternates.pop(model, None)

    def rest(route: Document) -> Document:
        changing = any(
            each.get(name) for each in route["targets"] for name in ("share", "withdrawn", "former")
        )
        if own is None or route.get("sleep") or route.get("waiting") or changing:
            return route
        back = {
            "model": sleeper["model"],
            "starts": other["starts"],
            "hold": sleeper.get("hold", 0),
        }
        sleep = {
            "id": ident,
            "policy": other["policy"],
            "starts": own["starts"],
            "since": since,
            "due": 0,
            "alternates": [back, *alternates.values()],
        }
        left = {name: value for name, value in route.items() if name != "took_over"}
        left.update(targets=[_asleep(each) for each in route["targets"]], sleep=sleep)
        return {**left, "hold": own["hold"]} if own["hold"] else left

    return _changed(routes, lambda route: rest(route) if route["model"] == model else route)


def _asleep(target: Document) -> Document:
    part = SERVING if target["weight"] else STANDBY if target.get("standby") else ""
    left = {name: value for name, value in target.items() if name != "standby"}
    return {**left, "weight": 0, **({"asleep": part} if part else {})}


def waking(routes: Document, model: str, due: int) -> Document:
    """Return the routes in which a model that sleeps wakes, and is `due` then; the same where it wakes already."""

    def wake(route: Document) -> Document:
        sleep = route["sleep"]
        return route if sleep["due"] else {**route, "sleep": {**sleep, "due": due}}

    return _edited(routes, model, wake)


def awake(routes: Document, model: str, names: Collection[str]) -> Document:
    """Return the routes in which the model's targets `names` have back the part that they had; the same without any.

    Requests wait no more once a target serves. The sleep ends with its last target.
    """
    return _edited(routes, model, lambda route: _awake(route, names))


def _edited(routes: Document, model: str, edit: Callable[[Document], Document]) -> Document:
    """Return the routes with the route of a model that sleeps as `edit` returns it; the same where that is no other."""
    return _changed(
        routes,
        lambda route: edit(route) if route["model"] == model and route.get("sleep") else route,
    )


def _changed(routes: Document, edit: Callable[[Document], Document]) -> Document:
    changed = [edit(route) for route in routes.get("routes", ())]
    if changed == routes.get("routes", []):
        return routes
    return {**routes, "serial": routes.get("serial", 0) + 1, "routes": changed}


def _awake(route: Document, names: Collection[str]) -> Document:
    targets = []
    for each in route["targets"]:
        part = each.get("asleep")
        if part and _name(each) in names:
            each = {name: value for name, value in each.items() if name != "asleep"}
            each.update({"weight": FULL_WEIGHT} if part == SERVING else {"standby": True})
        targets.append(each)
    left = {**route, "targets": targets}
    if any(each["weight"] for each in targets):
        left.pop("hold", None)
    if not any(each.get("asleep") for each in targets):
        left.pop("hold", None)
        left.pop("sleep", None)
    return left


def _name(target: Document) -> str:
    """Return the name of a target in the router, as `routes_file.name_of` does."""
    slot: str = target["slot"]
    return f"{target['host']}.{slot}" if target.get("host") else slot
