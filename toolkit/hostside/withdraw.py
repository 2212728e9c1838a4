"""Withdraw a target of this host: it gets no new request any more, from this router and from those of other hosts.

The guard of a host does so when a new release breaches what it must keep. No command and no ops machine need be alive:

- This router draws nothing more for the target, and a weight goes to the slot beside it that stands by.
- Requests that other routers still send for the target are handed to the slot beside it, by this host's relay. Where
  there is none, the relay answers as for a replica that is down.
- The relay's answer to checks tells the others, and the watch of each host brings its routes to the same. Each
  withdrawal counts the serial up by one and changes its own target alone, so all routers agree in the end, in whatever
  order they learn of two withdrawals.

The routes keep the mark, so that it survives a reload and a restart. While the withdrawn release is in its slot, this
router refuses routes that give it traffic again: a command may not know of the withdrawal yet. Routes that give the
target nothing take the mark away.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import reweigh
import router_files
import router_socket
import routes_file
import takeover
import withdrawals
from router_socket import RouterDown
from wire import Document

# A relay's answer to the check of a withdrawn target, while the slot beside it takes its requests.
CODE = "299"
# Seconds for which the word of another host counts; a router asks for it each 0.4 s.
FRESH = 5.0


def withdraw(root: str, model: str, slot: str) -> Document:
    """Withdraw the target of the slot `slot` of this host; the same again changes nothing.

    Returns {"withdrawn", "to", "why"}: whether the target gets nothing any more, the slot beside it that takes its part
    (empty where other hosts or nobody on this host does), and why it was not withdrawn: no such target, or no other
    replica of the model is up. Raises RouterError where the router cannot be told, and OSError where the disk takes no
    files: then the target gets nothing all the same, for as long as the router runs.
    """
    routes = router_files.routes(os.path.join(root, "router"))
    name = routes_file.name_of({"host": routes.get("at", ""), "slot": slot})
    target = routes_file.targets_of(routes, model).get(name)
    if target is None:
        return {"withdrawn": False, "to": "", "why": f"{model} has no slot {name}"}
    after = routes_file.targets_of(withdrawn(routes, model, name), model)
    if not target.get("withdrawn"):
        up = takeover.seen_up(root).get(model, {})
        if not any(each["weight"] and up.get(other) for other, each in after.items()):
            return {"withdrawn": False, "to": "", "why": f"no other replica of {model} is up"}
    try:
        withdrawals.record(root, model, slot)
    finally:
        # Also where the disk takes no record, and where it is marked already: the run that did so may have been killed
        # before the workers knew.
        reweigh.reweigh(root, lambda present: withdrawn(present, model, name), urgent=True)
    beside = routes_file.beside(after, name)
    return {"withdrawn": True, "to": after[beside]["slot"] if beside else "", "why": ""}


def ahead(root: str, model: str, slot: str) -> int:
    """Return how many hosts come before this one where several withdraw their target at once; 0 where it need not wait.

    Where nothing on this host takes the part of the target, other hosts do. If their guards end at the same moment,
    each would see the others up, and nothing would be left. So they withdraw in the order of their names, and the last
    one sees that no other replica is up.
    """
    routes = router_files.routes(os.path.join(root, "router"))
    name = routes_file.name_of({"host": routes.get("at", ""), "slot": slot})
    if not routes_file.targets_of(routes, model).get(name, {}).get("weight"):
        # The target has only a share, so the serving one goes on and nobody withdraws it.
        return 0
    after = routes_file.targets_of(withdrawn(routes, model, name), model)
    up = takeover.seen_up(root).get(model, {})
    heirs = [other for other, each in after.items() if each["weight"] and up.get(other)]
    if any(after[other].get("host", "") == routes.get("at", "") for other in heirs):
        return 0
    return sum(other < name for other in heirs)


def withdrawn(routes: Document, model: str, name: str) -> Document:
    """Return the routes in which the model's target `name` gets nothing, and the standby beside it has its weight."""
    target = routes_file.targets_of(routes, model).get(name)
    if target is None or target.get("withdrawn"):
        return routes

    def edit(route: Document) -> Document:
        if route["model"] != model:
            return route
        return {**route, "targets": [_after(each, target) for each in route["targets"]]}

    return routes_file.edited(routes, edit)


def _after(each: Document, target: Document) -> Document:
    """Return a target of the route after the withdrawal of `target`."""
    kept = {name: value for name, value in each.items() if name not in ("standby", "share")}
    if each == target:
        return {**kept, "weight": 0, "withdrawn": True}
    same_host = each.get("host", "") == target.get("host", "")
    if target["weight"] and same_host and each.get("standby"):
        return {**kept, "weight": target["weight"]}
    return each


def learned(routes: Document, codes: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    """Return model and name of each target of another host that its relay calls withdrawn, and these routes do not.

    `codes` has the status of the relays' last answers, {model: {target: status}}.
    """
    return [
        (route["model"], name)
        for route in routes.get("routes", ())
        for name, each in routes_file.targets_of(routes, route["model"]).items()
        if each.get("host", "") != routes.get("at", "")
        and not each.get("withdrawn")
        and codes.get(route["model"], {}).get(name) == CODE
    ]


def follow(root: str) -> list[str]:
    """Bring the routes of this host to what the relays of others say; return what was done, in words."""
    directory = os.path.join(root, "router")
    routes = router_files.routes(directory)
    if not any(each.get("host") for route in routes.get("routes", ()) for each in route["targets"]):
        return []
    found = learned(routes, codes_of(directory))
    if found:
        reweigh.reweigh(root, lambda present: _all_withdrawn(present, found), urgent=True)
    return [f"{name} of {model} was withdrawn by its host" for model, name in found]


def _all_withdrawn(routes: Document, found: list[tuple[str, str]]) -> Document:
    for model, name in found:
        routes = withdrawn(routes, model, name)
    return routes


def codes_of(directory: str) -> dict[str, dict[str, str]]:
    """Return the status of the relays' last answers to the newest worker, {model: {target: status}}.

    Of a worker that asks hosts in place of targets, see healths.lua, these are the withdrawn targets alone.
    """
    try:
        pid = router_socket.processes(directory)["current"][-1:]
        told = router_socket.read_map(directory, pid[0], _told(directory)) if pid else {}
        if told is not None:
            return still_told(told, time.time())
        known = router_socket.servers(directory, pid[0])
    except RouterDown:
        return {}
    return {
        routes_file.model(backend): {name: each["code"] for name, each in servers.items()}
        for backend, servers in (known or {}).items()
        if backend.startswith(routes_file.PREFIX)
    }


def _told(directory: str) -> str:
    """Return the name of the map in which healths.lua notes what other hosts call withdrawn."""
    return os.path.join(directory, "withdrawn.map")


def still_told(told: Mapping[str, str], now: float) -> dict[str, dict[str, str]]:
    """Return the codes of targets that their hosts have called withdrawn within the last seconds.

    `told` has BACKEND/SERVER -> when a host last did, in seconds since the epoch. A worker that no longer asks leaves
    its last word in the map.
    """
    found: dict[str, dict[str, str]] = {}
    for place, at in told.items():
        backend, _, name = place.partition("/")
        if at.isdecimal() and abs(now - int(at)) < FRESH and backend.startswith(routes_file.PREFIX):
            found.setdefault(routes_file.model(backend), {})[name] = CODE
    return found
