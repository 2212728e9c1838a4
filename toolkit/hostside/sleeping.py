"""Models that sleep, in the routes: what a router must know of them, and the edits by which they wake.

Every host of a fleet decides alone when its targets wake, and all come to the same routes. Nothing here acts.

This module imports no sibling, so that the fake host of the tests wakes models with the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Document = dict[str, Any]
# An edit of the routes for `routes_file.edited`, of one route after the other.
Edit = Callable[[Document], Document]

FULL_WEIGHT = 100
SERVING, STANDBY = "serving", "standby"
# Requests wait for so many usual starts, and for so many seconds at least and at most.
PATIENCE_TIMES, LEAST_PATIENCE, MOST_PATIENCE = 3, 120, 3600
# The part that a target gets back. Any other target has none: it failed, and runs until its slot is needed.
_HAD: dict[str, Document] = {SERVING: {"weight": FULL_WEIGHT}, STANDBY: {"standby": True}}
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


def idle(routes: Document, route: Document) -> list[Document]:
    """Return the targets of a sleeping route on this host without any part in it: empty, or refused by a guard.

    A host that puts a model to sleep by itself gives them none, because it does not know the slots of other hosts.
    """
    at = routes.get("at", "")
    parts = ("weight", "standby", "asleep", "share", "withdrawn", "former")
    return [
        each
        for each in route["targets"]
        if each.get("host", "") in ("", at) and not any(each.get(part) for part in parts)
    ]


def elsewhere(routes: Document, route: Document) -> list[Document]:
    """Return the targets of a route that are asleep and on other hosts."""
    at = routes.get("at", "")
    return [
        each
        for each in route["targets"]
        if each.get("asleep") and each.get("host", "") not in ("", at)
    ]


def patience(sleep: Document) -> int:
    """Return for how many seconds a request waits in this sleep; 0 for not at all."""
    if sleep["policy"] != "wait":
        return 0
    return min(MOST_PATIENCE, max(LEAST_PATIENCE, PATIENCE_TIMES * int(sleep["starts"])))


def making_place(model: str, sleeper: Document, ident: str, since: int) -> Edit:
    """Return the edit by which `model` falls asleep so that `sleeper`, the route of another one, can wake.

    It has the same alternates and gets the same policy; `ident` names its sleep, which begins at `since`. Its route
    stays the same where it sleeps already, is in the midst of a change, or is no alternate of the other.
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
        # The sleeper's own `hold` ends while another host of the fleet has it awake.
        hold = sleeper.get("hold", 0) or patience(other)
        back = {"model": sleeper["model"], "starts": other["starts"], "hold": hold}
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

    return lambda route: rest(route) if route["model"] == model else route


def _asleep(target: Document) -> Document:
    part = SERVING if target["weight"] else STANDBY if target.get("standby") else ""
    left = {name: value for name, value in target.items() if name != "standby"}
    return {**left, "weight": 0, **({"asleep": part} if part else {})}


def waking(model: str, due: int) -> Edit:
    """Return the edit that wakes a sleeping model and makes it `due`; none where it wakes already."""

    def wake(route: Document) -> Document:
        sleep = route["sleep"]
        return route if sleep["due"] else {**route, "sleep": {**sleep, "due": due}}

    return _of_sleeper(model, wake)


def awake(model: str, names: Collection[str]) -> Edit:
    """Return the edit by which the model's targets `names` have back the part that they had.

    Requests wait no more once a target serves. The sleep ends with its last target.
    """
    return _of_sleeper(model, lambda route: _awake(route, names))


def in_sleep(route: Document, edit: Edit) -> Edit:
    """Return the edit for as long as the model of `route` sleeps as it says; a command may have begun another sleep."""
    model, name = route["model"], route["sleep"]["id"]

    def same(present: Document) -> Document:
        is_it = present["model"] == model and (present.get("sleep") or {}).get("id") == name
        return edit(present) if is_it else present

    return same


def lost(model: str) -> Edit:
    """Return the edit by which a model that sleeps in part sleeps wholly: other hosts have put it to sleep again."""

    def rest(route: Document) -> Document:
        sleep = route["sleep"]
        targets = [_asleep(each) if each["weight"] else each for each in route["targets"]]
        left = {**route, "targets": targets}
        return {**left, "hold": hold} if (hold := patience(sleep)) else left

    return _of_sleeper(model, rest)


def _of_sleeper(model: str, edit: Edit) -> Edit:
    return lambda route: edit(route) if route["model"] == model and route.get("sleep") else route


def _awake(route: Document, names: Collection[str]) -> Document:
    targets = []
    for each in route["targets"]:
        part = each.get("asleep")
        if part and _name(each) in names:
            each = {name: value for name, value in each.items() if name != "asleep"}
            each.update(_HAD.get(part, {}))
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
