"""`routes.json`: the targets of each model, and what brings a worker of the router to them.

This module imports no sibling, so that the fake host of the tests decides on reloads with the same code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

# the content of routes.json
Routes = dict[str, Any]
# backend -> server's name -> what a worker says of it, see `router_socket.servers`
Loaded = dict[str, dict[str, dict[str, Any]]]

PREFIX = "model."
# A server's twin takes the traffic of a standby while no server with a weight is up.
TWIN = "standby:"
STANDBY_WEIGHT = 100
_WEIGHT = re.compile(r" weight \d+")


def parsed(text: str) -> Routes:
    """Return the routes in the text of `routes.json`; an empty document where there is no text."""
    routes: Routes = json.loads(text or "{}")
    return routes


def model(backend: str) -> str:
    """Return the model that a backend of the router is for."""
    return backend[len(PREFIX) :].replace(":", "/")


def backend(model: str) -> str:
    """Return the backend of a model."""
    return PREFIX + model.replace("/", ":")


def needs_reload(former: Mapping[str, str | None], files: Mapping[str, str]) -> bool:
    """Whether a router with the files `former` ({name: text}) must read them again to follow `files`.

    Commands change weights, and slots.map in the workers that need it. Anything else takes a reload.
    """
    return any(
        _WEIGHT.sub("", former.get(name) or "") != _WEIGHT.sub("", text)
        for name, text in files.items()
        if name not in ("slots.map", "routes.json")
    )


def outdated(loaded: Loaded, routes: Routes) -> bool:
    """Whether a worker has other servers, addresses or routing than `routes`.

    A run that is killed between files and reload leaves such a worker beside right files.
    """
    has = {
        (model(name), server, each["address"], each["algorithm"] == "hash")
        for name, servers in loaded.items()
        if name.startswith(PREFIX)
        for server, each in servers.items()
    }
    by_prefix = {
        route["model"] for route in routes.get("routes", []) if route.get("routing") == "prefix"
    }
    return has != {
        (name_of_model, server, address, name_of_model in by_prefix)
        for name_of_model, server, _, address in targets(routes)
    }


def gains(loaded: Loaded, routes: Routes) -> list[tuple[str, str, int]]:
    """Return (backend, server, weight) for each server of a worker whose weight is to rise."""
    return [each for each, now in _changes(loaded, routes) if each[2] > now]


def commands(loaded: Loaded, routes: Routes) -> list[str]:
    """Return the commands that bring a worker to the weights of `routes`.

    Raise weights before lowering others, so that some target always takes traffic.
    """
    raised = gains(loaded, routes)
    lowered = [each for each, now in _changes(loaded, routes) if each[2] < now]
    told = []
    for name, server, weight in raised:
        if not server.startswith(TWIN):  # a twin's health is its server's
            told.append(f"set server {name}/{server} health up")
        told.append(f"set server {name}/{server} weight {weight}")
    return told + [
        f"set server {name}/{server} weight {weight}" for name, server, weight in lowered
    ]


def weights(routes: Routes) -> dict[str, dict[str, int]]:
    """Return {model: {server's name: weight}}, without twins."""
    found: dict[str, dict[str, int]] = {route["model"]: {} for route in routes.get("routes", [])}
    for name_of_model, name, weight, _ in targets(routes):
        if not name.startswith(TWIN):
            found[name_of_model][name] = weight
    return found


def all_weights(routes: Routes) -> dict[str, dict[str, int]]:
    """Return {model: {server's name: weight}}, twins included."""
    found: dict[str, dict[str, int]] = {}
    for name_of_model, name, weight, _ in targets(routes):
        found.setdefault(name_of_model, {})[name] = weight
    return found


def targets(routes: Routes) -> Iterator[tuple[str, str, int, str]]:
    """Yield model, server's name, weight and address of each target and its twin, as this host's router reaches it."""
    for route in routes.get("routes", []):
        for target in route["targets"]:
            host = target.get("host", "")
            name = f"{host}.{target['slot']}" if host else target["slot"]
            own = host in ("", routes.get("at", ""))
            address = f"127.0.0.1:{target['port']}" if own else target["relay"]
            backup = STANDBY_WEIGHT if target.get("standby") and not target["weight"] else 0
            yield route["model"], name, target["weight"], address
            yield route["model"], TWIN + name, backup, address


def main_slots(routes: Routes) -> dict[str, str]:
    """Return {model: slot with the most traffic, or "none"}: the content of slots.map."""
    mains, own = {}, routes.get("at", "") + "."
    for name_of_model, slots in weights(routes).items():
        # Among equal weights, prefer the target on this host.
        slot = max(slots, key=lambda name: (slots[name], name.startswith(own)), default="none")
        mains[name_of_model] = slot if slots.get(slot) else "none"
    return mains


def _changes(loaded: Loaded, routes: Routes) -> Iterator[tuple[tuple[str, str, int], int]]:
    """Yield backend, server and weight, and the weight that a worker has, where these differ."""
    for name_of_model, server, weight, _ in targets(routes):
        name = backend(name_of_model)
        now = loaded.get(name, {}).get(server, {}).get("weight", weight)
        if now != weight:
            yield (name, server, weight), now
