"""A standby that has taken the traffic over by itself: make it the one that serves, in the routes too.

HAProxy alone would give the traffic back as soon as the former replica is up, and take it away again when that one
fails next. Every host of a fleet decides alone and comes to the same routes.
"""

from __future__ import annotations

import time

import doze
import reweigh
import router_view
import routes_file
from wire import Document

FULL_WEIGHT = 100


def taken_over(routes: Document, up: dict[str, dict[str, bool]]) -> list[str]:
    """Return the models whose traffic a standby has: no target with a weight is up, and all standbys are.

    `up` is {model: {target: whether it is up}}. A host that is cut off sees the standbys of other hosts down, too, and
    changes nothing. While a model wakes, each host learns in its own time what is up: they would not come to the same
    routes, and what wakes next would serve another release. Until it is awake the router's word has to do.
    """
    found = []
    for route in routes.get("routes", ()):
        if route.get("sleep"):
            continue
        seen = up.get(route["model"], {})
        names = routes_file.targets_of(routes, route["model"])
        serving = [name for name, each in names.items() if each["weight"]]
        standbys = [
            name for name, each in names.items() if not each["weight"] and each.get("standby")
        ]
        down = serving and not any(seen.get(name) for name in serving)
        if down and standbys and all(seen.get(name) for name in standbys):
            found.append(route["model"])
    return found


def promoted(routes: Document, models: list[str], now: float) -> Document:
    """Return the routes in which the standbys of `models` have the traffic, and what served before stands by.

    `now`, in seconds since the epoch, is noted as the time of the takeover.
    """
    return routes_file.edited(
        routes, lambda route: _promoted(route, now) if route["model"] in models else route
    )


def promote(root: str, models: list[str]) -> None:
    """Write the routes in which the standbys of `models` serve, and tell the workers; no reload is needed."""
    reweigh.reweigh(root, lambda routes: promoted(routes, models, time.time()))


def _promoted(route: Document, now: float) -> Document:
    targets = []
    for each in route["targets"]:
        target = {name: value for name, value in each.items() if name != "standby"}
        standby = bool(each["weight"])
        target["weight"] = FULL_WEIGHT if each.get("standby") and not each["weight"] else 0
        targets.append({**target, "standby": True} if standby else target)
    kept = {name: value for name, value in route.items() if name not in ("took_over", "targets")}
    return {**kept, "took_over": float(int(now)), "targets": targets}


def seen_up(root: str) -> dict[str, dict[str, bool]]:
    """Return {model: {target: whether the newest worker's checks say that it is up}}; empty without a router.

    A replica of this host that dozes is not up, although the last check may be older than its sleep.
    """
    seen = router_view.observe(root)
    dozing = doze.dozing(root)
    at = seen["routes"].get("at", "") if dozing else ""
    asleep = {f"{each.rpartition('-')[0]}/{_own(at, each.rpartition('-')[2])}" for each in dozing}
    return {
        model: {
            name: bool(each.get("up")) and f"{model}/{name}" not in asleep
            for name, each in servers.items()
        }
        for model, servers in seen["servers"].items()
    }


def _own(at: str, slot: str) -> str:
    return routes_file.name_of({"host": at, "slot": slot})
