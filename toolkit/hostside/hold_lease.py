"""Requests that wait for a swap depend on its command: without one, they get the former replica again, or an answer.

So do requests for a LoRA adapter that is exchanged, and the hold that is armed during a release's bake.

A command that swaps replicas takes the traffic from the former one, lets requests wait, and starts the new one. If it
dies, nobody ends the wait. So the watch does: it looks whether the deployment lock is held, which the kernel releases
with the command. Every host of a fleet decides alone and comes to the same routes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection

import deployment_lock
import open_deployment
import reweigh
import router_files
import routes_file
import takeover
from wire import Document

# Seconds without a command after which a former replica that still runs gets its traffic again.
RETURN = 1.5
# Seconds in which a person may type the next command. Waiting requests get the hosts as that command leaves them.
GRACE = 30.0
# Seconds without a command after which a host that has no replica of a model lets its requests wait for none any more.
LONG = 3600.0


class HoldLease:
    """Watches the holds of the host whose toolkit lies in `root`."""

    def __init__(self, root: str) -> None:
        self.root, self._since = root, 0.0

    def look(self) -> list[str]:
        """Look once; return what was done, in words."""
        routes = router_files.routes(os.path.join(self.root, "router"))
        concerned = waiting(routes) or exchanged(routes) or armed(routes)
        if not concerned or deployment_lock.read(self.root)["held"]:
            self._since = 0.0
            return []
        self._since = self._since or time.monotonic()
        alone = time.monotonic() - self._since
        if alone < RETURN:
            return []
        self._disarm(routes, alone)
        up, done = takeover.seen_up(self.root), []
        wanted = released(routes, up, late=alone >= GRACE)
        if wanted != routes:
            late = alone >= GRACE
            reweigh.reweigh(self.root, lambda now: released(now, up, late=late), urgent=True)
            left = waiting(wanted)
            done = [
                f"the command that swapped {model} is gone: its requests wait no more"
                for model in waiting(routes)
                if model not in left
            ]
            done += [
                f"the command that exchanged the adapter {name} is gone: its requests wait no more"
                for name in exchanged(routes)
            ]
        return done

    def _disarm(self, routes: Document, alone: float) -> None:
        """End the holds whose bake is over: a later command has recorded it, and changes no routes for that."""
        at = routes.get("at", "")
        baked = {each.get("model") for each in open_deployment.every(self.root)}
        over = [
            model
            for model, hosts in armed(routes).items()
            if model not in baked and (at in hosts or alone >= LONG)
        ]
        if over:
            reweigh.reweigh(self.root, lambda now: disarmed(now, over), urgent=True)


def armed(routes: Document) -> dict[str, set[str]]:
    """Return the models that are served and whose requests would wait all the same, each with its replicas' hosts."""
    return {
        route["model"]: {each.get("host", "") for each in route["targets"]}
        for route in routes.get("routes", ())
        if route.get("hold")
        and not route.get("sleep")
        and any(each["weight"] for each in route["targets"])
    }


def disarmed(routes: Document, models: Collection[str]) -> Document:
    """Return the routes in which the requests of these models, which are served, would not wait."""
    over = armed(routes).keys() & set(models)
    return routes_file.edited(
        routes,
        lambda route: (
            {name: value for name, value in route.items() if name != "hold"}
            if route["model"] in over
            else route
        ),
    )


def waiting(routes: Document) -> list[str]:
    """Return the models that no target serves since a command began to swap their replicas. Sleep needs no command."""
    return [
        route["model"]
        for route in routes.get("routes", ())
        if not route.get("sleep")
        and not any(each["weight"] or each.get("share") for each in route["targets"])
        and (route.get("hold") or any(each.get("former") for each in route["targets"]))
    ]


def exchanged(routes: Document) -> list[str]:
    """Return the LoRA adapters whose requests wait, because a command exchanges them."""
    return [name for route in routes.get("routes", ()) for name in route.get("waiting", ())]


def released(routes: Document, up: dict[str, dict[str, bool]], *, late: bool) -> Document:
    """Return the routes with the former replicas serving again, if all of them are up; else the same routes.

    `up` is {model: {target: whether it is up}}. Where it is `late`, those that are up serve, and requests of a model
    that none serves wait no more. Those of an adapter wait no more in any case: its replicas have it, old or new.
    """
    models = waiting(routes)

    def edit(route: Document) -> Document:
        after = _without_waits(route) if route.get("waiting") else route
        if route["model"] in models:
            return _released(after, up.get(route["model"], {}), late=late)
        return after

    return routes_file.edited(routes, edit)


def _without_waits(route: Document) -> Document:
    """Return a route in which no request for an adapter waits."""
    targets = [
        {name: value for name, value in each.items() if name != "waiting"}
        for each in route["targets"]
    ]
    return {
        **{name: value for name, value in route.items() if name != "waiting"},
        "targets": targets,
    }


def _released(route: Document, up: dict[str, bool], *, late: bool) -> Document:
    former = {
        routes_file.name_of(each): up.get(routes_file.name_of(each), False)
        for each in route["targets"]
        if each.get("former")
    }
    returns = any(former.values()) if late else bool(former) and all(former.values())
    if not (late or returns):
        return route
    targets = []
    for each in route["targets"]:
        target = {name: value for name, value in each.items() if name != "former"}
        if former.get(routes_file.name_of(each)):
            target = {name: value for name, value in target.items() if name != "standby"}
            target["weight"] = takeover.FULL_WEIGHT
        targets.append(target)
    return {**{name: value for name, value in route.items() if name != "hold"}, "targets": targets}
