"""The present state of this host's router, summed over its workers."""

from __future__ import annotations

import contextlib
import os
import re

import crowd
import router_files
import router_socket
import routes_file
import slot_manifest
from router_socket import RouterDown, RouterError
from wire import Document, Servers


def observe(root: str) -> Document:
    """Return {"running", "silent", "bind", "version", "workers", "servers", "routes", "drift", "crowd"}.

    Also where no router runs. `servers` is {model: {slot: {"weight", "status", "up", "sessions"}}}. Weight, status and
    `up` (whether the last checks passed) are the newest worker's, and sessions are summed over all workers. Without a
    router the weights are the files', the status is "" and `up` is absent. `drift` lists each `model/slot` whose weight
    in the newest worker is not the files'. `crowd` says in words what is at its limit in that worker. A `silent` router
    runs and does not answer in time: nothing is known of it either.
    """
    directory = os.path.join(root, "router")
    routes = router_files.routes(directory)
    found = {
        "running": False,
        "silent": False,
        "bind": _bind(directory),
        "version": "",
        "workers": 0,
        "servers": {
            model: {
                slot: {"weight": weight, "status": "", "sessions": 0}
                for slot, weight in slots.items()
            }
            for model, slots in (routes_file.weights(routes) or _in_backends(directory)).items()
        },
        "routes": routes,
        "drift": [],
        "crowd": "",
    }
    try:
        processes = router_socket.processes(directory)
        current = servers(directory, processes["current"])
        views = current + servers(directory, processes["old"])
        for pid in processes["current"][-1:]:
            found["crowd"] = crowd.words(directory, pid)
    except RouterDown:
        return found
    except RouterError:
        return {**found, "silent": True}
    found.update(running=bool(processes["current"]), version=processes["version"])
    found["workers"] = len(views)
    found["servers"] = _merged(views)
    found["drift"] = wrong_weights(routes_file.all_weights(routes), current)
    return found


def _in_backends(directory: str) -> dict[str, dict[str, int]]:
    return routes_file.in_backends(router_files.read(os.path.join(directory, "backends.cfg")) or "")


def sessions(root: str, model: str, name: str) -> int:
    """Return the requests that the router has open to a target, over all its workers; 0 without a router."""
    return load(root, model, name)[0]


def load(root: str, model: str, name: str, *, unknown: int = 0) -> tuple[int, int]:
    """Return the requests that the router has open to a target, and the bytes of its answers, over all workers.

    They include those that routers of other hosts handed on. Both are 0 without a router. One that runs and does not
    answer has `unknown` requests open: 1 for a caller that ends what has none, since its workers serve on.
    """
    backend, opened, carried = routes_file.backend(model), 0, 0
    try:
        known = _all_loads(root)
    except RouterError:
        return unknown, 0
    for (each, server), (requests, sent) in known.items():
        own = each == backend or (each.startswith("relay.") and each.endswith("." + backend))
        if own and server in (name, routes_file.TWIN + name):
            opened, carried = opened + requests, carried + sent
    return opened, carried


def loads(root: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the `load` of each slot of this host, by model and slot."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    directory = os.path.join(root, "router")
    at, known = router_files.routes(directory).get("at", ""), {}
    with contextlib.suppress(RouterError):
        known = _all_loads(root)
    for (backend, server), (requests, sent) in known.items():
        name = server[len(routes_file.TWIN) :] if server.startswith(routes_file.TWIN) else server
        host, _, slot = name.rpartition(".")
        # Not those through which metrics are read: they are no requests of anybody.
        of_model = backend.startswith((routes_file.PREFIX, "relay."))
        model = backend[backend.index(routes_file.PREFIX) :] if of_model else ""
        if host == at and model:
            key = (routes_file.model(model), slot)
            opened, carried = found.get(key, (0, 0))
            found[key] = (opened + requests, carried + sent)
    return found


def _all_loads(root: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Return {(backend, server): (open requests, bytes of answers)}, over all workers; nothing without a router.

    Raises RouterError where it does not answer.
    """
    directory = os.path.join(root, "router")
    found: dict[tuple[str, str], tuple[int, int]] = {}
    try:
        workers = router_socket.processes(directory)
        for pid in workers["current"] + workers["old"]:
            for backend, known in (router_socket.servers(directory, pid) or {}).items():
                for server, each in known.items():
                    opened, carried = found.get((backend, server), (0, 0))
                    found[backend, server] = (
                        opened + each["sessions"],
                        carried + each["bytes"],
                    )
    except RouterDown:
        return {}
    return found


def target_of(root: str, program: str) -> tuple[str, str]:
    """Return the model of a slot of this host, and the name of its target in the router."""
    manifest = slot_manifest.read(root, program)
    at = router_files.routes(os.path.join(root, "router")).get("at", "")
    slot = manifest.get("slot", "")
    return manifest.get("model", ""), routes_file.name_of({"host": at, "slot": slot})


def is_up(server: Document) -> bool:
    """Whether a worker's checks of a server passed. Until its first check (INI) HAProxy counts a server as up."""
    status: str = server["status"]
    return status.startswith("UP") and server["check"] != "INI"


def servers(directory: str, pids: list[int]) -> list[Servers]:
    """Return {model: {slot: server}} for each of the workers that is alive."""
    found = [router_socket.servers(directory, pid) for pid in pids]
    return [
        {
            routes_file.model(backend): slots
            for backend, slots in view.items()
            if backend.startswith(routes_file.PREFIX)
        }
        for view in found
        if view is not None
    ]


def wrong_weights(weights: dict[str, dict[str, int]], views: list[Servers]) -> list[str]:
    """Return `model/slot` for each weight in a worker that is not the files'."""
    return sorted(
        {
            f"{model}/{slot}"
            for view in views
            for model, slots in weights.items()
            for slot, weight in slots.items()
            if view.get(model, {}).get(slot, {}).get("weight", weight) != weight
        }
    )


def _merged(views: list[Servers]) -> Servers:
    merged: Servers = {}
    for view in views:
        for model, slots in view.items():
            for slot, server in slots.items():
                # Weight and status are the newest worker's: it comes first. A twin comes after its server.
                entry = merged.setdefault(model, {}).setdefault(
                    slot[len(routes_file.TWIN) :] if slot.startswith(routes_file.TWIN) else slot,
                    {
                        "weight": server["weight"],
                        "status": server["status"],
                        "up": is_up(server),
                        "sessions": 0,
                    },
                )
                entry["sessions"] += server["sessions"]
    return merged


def _bind(directory: str) -> str:
    """Return the address that clients use, as the base configuration has it."""
    text = router_files.read(os.path.join(directory, "haproxy.cfg")) or ""
    found = re.search(r"^frontend api\n\s+bind (\S+)", text, re.MULTILINE)
    return found.group(1) if found else ""
