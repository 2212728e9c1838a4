"""A standby that has taken the traffic over by itself: make it the one that serves, in the routes too.

HAProxy alone would give the traffic back as soon as the former replica is up, and take it away again when that one
fails next. Every host of a fleet decides alone and comes to the same routes.
"""

from __future__ import annotations

import json
import os
import re
import time

import router
import router_files
import router_view
import routes_file
from wire import Document

FULL_WEIGHT = 100
_SERVER = re.compile(r"(    server (\S+) \S+ weight )\d+")


def taken_over(routes: Document, up: dict[str, dict[str, bool]]) -> list[str]:
    """Return the models whose traffic a standby has: no target with a weight is up, and all standbys are.

    `up` is {model: {target: whether it is up}}. A host that is cut off sees the standbys of other hosts down, too, and
    changes nothing.
    """
    found = []
    for route in routes.get("routes", ()):
        seen = up.get(route["model"], {})
        names = {
            f"{each['host']}.{each['slot']}" if each.get("host") else each["slot"]: each
            for each in route["targets"]
        }
        serving = [name for name, each in names.items() if each["weight"]]
        standbys = [
            name for name, each in names.items() if not each["weight"] and each.get("standby")
        ]
        down = serving and not any(seen.get(name) for name in serving)
        if down and standbys and all(seen.get(name) for name in standbys):
            found.append(route["model"])
    return found


def promoted(routes: Document, models: list[str], now: float) -> Document:
    """Return the routes in which the standbys of `models` have the traffic, and what served before stands by."""
    return {
        **routes,
        "serial": routes.get("serial", 0) + 1,
        "routes": [
            _promoted(each, now) if each["model"] in models else each for each in routes["routes"]
        ],
    }


def promote(root: str, models: list[str]) -> None:
    """Write the routes in which the standbys of `models` serve, and tell the workers; no reload is needed."""
    directory = os.path.join(root, "router")
    with router_files.alone(directory):
        former = {
            name: router_files.read(os.path.join(directory, name)) or ""
            for name in router_files.FILES
        }
        routes = promoted(routes_file.parsed(former["routes.json"]), models, time.time())
        files = {**former, **_files(former, routes)}
        changed = [name for name in router_files.FILES if files[name] != former[name]]
        router_files.write(directory, files, changed)
        router.tell(directory, routes)


def _promoted(route: Document, now: float) -> Document:
    targets = []
    for each in route["targets"]:
        target = {name: value for name, value in each.items() if name != "standby"}
        standby = bool(each["weight"])
        target["weight"] = FULL_WEIGHT if each.get("standby") and not each["weight"] else 0
        targets.append({**target, "standby": True} if standby else target)
    kept = {name: value for name, value in route.items() if name not in ("took_over", "targets")}
    return {**kept, "took_over": float(int(now)), "targets": targets}


def _files(former: dict[str, str], routes: Document) -> dict[str, str]:
    """Return the files that follow from `routes`, which differ from the former ones in weights alone."""
    weights, backend, lines = routes_file.all_weights(routes), "", []
    for line in former["backends.cfg"].splitlines(True):
        if line.startswith("backend "):
            backend = line.split()[1]
        model = routes_file.model(backend) if backend.startswith(routes_file.PREFIX) else ""
        found = _SERVER.match(line)
        if found and found.group(2) in weights.get(model, {}):
            line = f"{found.group(1)}{weights[model][found.group(2)]}{line[found.end() :]}"
        lines.append(line)
    mains = routes_file.main_slots(routes)
    return {
        "backends.cfg": "".join(lines),
        "slots.map": "".join(f"{model} {slot}\n" for model, slot in mains.items()),
        "routes.json": json.dumps(routes, indent=2) + "\n",
    }


def seen_up(root: str) -> dict[str, dict[str, bool]]:
    """Return {model: {target: whether the newest worker's checks say that it is up}}; empty without a router."""
    return {
        model: {name: bool(each.get("up")) for name, each in servers.items()}
        for model, servers in router_view.observe(root)["servers"].items()
    }
