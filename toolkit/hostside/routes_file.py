"""`routes.json`: the targets of each model, and what brings a worker of the router to them.

This module imports no sibling, so that the fake host of the tests decides on reloads with the same code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# the content of routes.json
Routes = dict[str, Any]
# backend -> server's name -> what a worker says of it, see `router_socket.servers`
Loaded = dict[str, dict[str, dict[str, Any]]]

PREFIX = "model."
# A server's twin takes the traffic of a standby while no server with a weight is up.
TWIN = "standby:"
STANDBY_WEIGHT = 100
# Beside a standby a canary gets next to nothing; without one it is all that is left.
CANARY_WEIGHT = 1
_WEIGHT = re.compile(r" weight \d+")
# The bounds of names in routes; the ops machine has the same ones, see `is_whole`.
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_KIND = re.compile(r"[a-z/]{0,64}")
_SLOT = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_RELAY = re.compile(r"[0-9.]{7,15}:[0-9]{1,5}")
_SLEEP = re.compile(r"[0-9a-f]{1,32}")
_POLICIES = ("wait", "wake", "refuse")
_FLAGS = ("standby", "withdrawn", "former")
_MOST_SECONDS = 3600
_WHOLE = 10_000


def parsed(text: str) -> Routes:
    """Return the routes in the text of `routes.json`; an empty document where there is no text, or no sound one."""
    try:
        found: Routes = _loaded(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if is_whole(found) else {}


def is_sound(text: str | None, backends: str | None, *, in_use: bool = False) -> bool:
    """Whether the text of `routes.json` can be read, and is not lost beside `backends`, which follow from it.

    With `in_use` a running worker has models; it read them from files that had routes.
    """
    if not text:
        return not in_use and f"\nbackend {PREFIX}" not in (backends or "")
    try:
        return is_whole(_loaded(text))
    except (ValueError, RecursionError):
        return False


def in_backends(text: str) -> dict[str, dict[str, int]]:
    """Return {model: {server's name: weight}} from `backends.cfg`, for when `routes.json` is damaged."""
    found: dict[str, dict[str, int]] = {}
    current = None
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["backend"]:
            ours = len(words) > 1 and words[1].startswith(PREFIX)
            current = found.setdefault(model(words[1]), {}) if ours else None
        elif words[:1] == ["server"] and current is not None and "weight" in words[2:-1]:
            weight = words[words.index("weight") + 1]
            if not words[1].startswith(TWIN) and re.fullmatch("[0-9]{1,3}", weight):
                current[words[1]] = int(weight)
    return found


def _loaded(text: str) -> Any:
    found = json.loads(text)
    # Half of a surrogate pair, or an infinite number, can be read, and then neither written nor shown.
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    return found


def is_whole(found: object) -> bool:
    """Whether these are routes whose every value fits the router's files. The ops machine asks it of hosts' answers."""
    return (
        isinstance(found, dict)
        and isinstance(found.get("at", ""), str)
        and _is_count(found.get("serial", 0))
        and _is_count(found.get("own", 0))
        and isinstance(found.get("routes", []), list)
        and all(map(_is_route, found.get("routes", [])))
    )


def _is_route(route: object) -> bool:
    return (
        isinstance(route, dict)
        and _is_name(_MODEL, route.get("model"))
        and _is_count(route.get("created"))
        and _is_count(route.get("named", 0))
        and isinstance(route.get("routing", ""), str)
        and _is_time(route.get("took_over", 0.0))
        and _is_count(route.get("hold", 0), _MOST_SECONDS)
        and _are_names(route.get("adapters", []))
        and isinstance(route.get("waiting", {}), dict)
        and all(_is_count(each, _MOST_SECONDS) for each in route.get("waiting", {}).values())
        and _is_sleep(route.get("sleep"))
        and isinstance(route.get("targets"), list)
        and all(map(_is_target, route["targets"]))
        and len(set(map(name_of, route["targets"]))) == len(route["targets"])
        and sum(target.get("share", 0) for target in route["targets"]) <= _WHOLE
    )


def _is_target(target: object) -> bool:
    if not isinstance(target, dict):
        return False
    weight, share, standby = target.get("weight"), target.get("share", 0), target.get("standby")
    asleep, host = target.get("asleep", ""), target.get("host", "")
    return (
        _is_name(_SLOT, target.get("slot"))
        and _is_count(target.get("port"), 65535, least=1)
        and _is_count(weight, 256)
        and _is_count(share, _WHOLE)
        and all(isinstance(target.get(name, False), bool) for name in _FLAGS)
        and all(_are_names(target.get(name, [])) for name in ("adapters", "aliases", "waiting"))
        and _is_name(_KIND, target.get("kind", ""))
        and _is_count(target.get("context", 0))
        and not (share and (weight or standby))
        and not (target.get("withdrawn") and (weight or share or standby))
        and asleep in ("", "serving", "standby", "none")
        and not (asleep and (weight or standby))
        and (host == "" or (_is_name(_HOST, host) and _is_name(_RELAY, target.get("relay"))))
    )


def _is_sleep(found: object) -> bool:
    return found is None or (
        isinstance(found, dict)
        and _is_name(_SLEEP, found.get("id"))
        and found.get("policy") in _POLICIES
        and _is_count(found.get("starts"), _MOST_SECONDS, least=1)
        and all(_is_count(found.get(name)) for name in ("since", "due"))
        and isinstance(found.get("alternates", []), list)
        and all(map(_is_alternate, found.get("alternates", [])))
    )


def _is_alternate(found: object) -> bool:
    return (
        isinstance(found, dict)
        and _is_name(_MODEL, found.get("model"))
        and _is_count(found.get("starts"), _MOST_SECONDS, least=1)
        and _is_count(found.get("hold"), _MOST_SECONDS)
    )


def _are_names(found: object) -> bool:
    return isinstance(found, list) and all(_is_name(_MODEL, name) for name in found)


def _is_name(form: re.Pattern[str], found: object) -> bool:
    return isinstance(found, str) and form.fullmatch(found) is not None


def _is_count(found: object, most: int = 2**53, *, least: int = 0) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and least <= found <= most


def _is_time(found: object) -> bool:
    return isinstance(found, (int, float)) and not isinstance(found, bool) and 0 <= found < 2**53


def model(backend: str) -> str:
    """Return the model that a backend of the router is for."""
    return backend[len(PREFIX) :].replace(":", "/")


def backend(model: str) -> str:
    """Return the backend of a model."""
    return PREFIX + model.replace("/", ":")


def edited(routes: Routes, edit: Callable[[Routes], Routes]) -> Routes:
    """Return the routes with each route as `edit` returns it, and a serial of one more; the same where none differs.

    `own` counts such changes since a command told the routes, so that the next command's count more.
    """
    changed = [edit(route) for route in routes.get("routes", ())]
    if changed == routes.get("routes", []):
        return routes
    counts = {"serial": routes.get("serial", 0) + 1, "own": routes.get("own", 0) + 1}
    # In the order in which the ops machine writes them.
    rest = {name: value for name, value in routes.items() if name != "routes"}
    return {**rest, **counts, "routes": changed}


def needs_reload(former: Mapping[str, str | None], files: Mapping[str, str]) -> bool:
    """Whether a router with the files `former` ({name: text}) must read them again to follow `files`.

    Commands change weights and the maps of what no file of the configuration names. Anything else takes a reload.
    """
    return any(
        _WEIGHT.sub("", former.get(name) or "") != _WEIGHT.sub("", text)
        for name, text in files.items()
        if name
        not in ("slots.map", "shares.map", "holds.map", "asleep.map", "relay.map", "routes.json")
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
            name, own = name_of(target), target.get("host", "") in ("", routes.get("at", ""))
            address = f"127.0.0.1:{target['port']}" if own else target["relay"]
            backup = STANDBY_WEIGHT if target.get("standby") else 0
            backup = backup or (CANARY_WEIGHT if target.get("share") else 0)
            backup = 0 if target["weight"] else backup
            yield route["model"], name, target["weight"], address
            yield route["model"], TWIN + name, backup, address


def shares(routes: Routes) -> dict[str, str]:
    """Return the content of shares.map: {model: sum of its shares, MODEL:TARGET: the first draw beyond its own}."""
    found: dict[str, str] = {}
    for route in routes.get("routes", []):
        bound, name_of_model = 0, route["model"]
        for target in route["targets"]:
            if share := target.get("share", 0):
                bound += share
                found[f"{name_of_model}:{name_of(target)}"] = str(bound)
        if bound:
            found[name_of_model] = str(bound)
    return found


def drawing(routes: Routes) -> list[str]:
    """Return the models whose conversations draw a release, because a share stands."""
    drawn, found = shares(routes), routes.get("routes", [])
    by_prefix = (each["model"] for each in found if each.get("routing") == "prefix")
    return [model for model in by_prefix if model in drawn]


def relays(routes: Routes) -> dict[str, str]:
    """Return the content of relay.map, which `render_relay` of the ops machine explains."""
    at, found = routes.get("at", ""), {}
    for route in routes.get("routes", []) if at else ():
        name_of_model, known = route["model"], targets_of(routes, route["model"])
        for name, target in known.items():
            if target.get("host") != at:
                continue
            for twin in ("", TWIN):
                relay = f"relay.{target['slot']}.{backend(name_of_model)}"
                found[f"{twin}{name}/{name_of_model}"] = relay
            if target.get("withdrawn"):
                found[f"instead:{name}/{name_of_model}"] = beside(known, name) or "none"
    return found


def beside(targets: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """Return the target on the host of the target `name` that has traffic in its place; empty where none has.

    `targets` are those of one model, by name.
    """
    host = targets[name].get("host", "")
    others = [
        other
        for other, each in targets.items()
        if other != name and each.get("host", "") == host and each["weight"]
    ]
    return max(others, key=lambda other: targets[other]["weight"], default="")


def targets_of(routes: Routes, name_of_model: str) -> dict[str, dict[str, Any]]:
    """Return the targets of a model by their names in the router."""
    return {
        name_of(each): each
        for route in routes.get("routes", ())
        if route["model"] == name_of_model
        for each in route["targets"]
    }


def regained(former: Routes, routes: Routes) -> Iterator[tuple[str, str, str]]:
    """Yield model, slot and name of each target that its host has withdrawn in `former`, and that gains in `routes`."""
    for route in former.get("routes", ()):
        model = route["model"]
        wanted = targets_of(routes, model)
        for name, each in targets_of(former, model).items():
            if not each.get("withdrawn") or each.get("host", "") != former.get("at", ""):
                continue
            found = wanted.get(name, {})
            if found.get("weight") or found.get("share") or found.get("standby"):
                yield model, each["slot"], name


def name_of(target: Mapping[str, Any]) -> str:
    """Return the name of a target in the router: its slot, in a fleet with its host in front."""
    slot: str = target["slot"]
    return f"{target['host']}.{slot}" if target.get("host") else slot


def main_slots(routes: Routes) -> dict[str, str]:
    """Return {model or adapter: slot with the most traffic, or "none"}: the content of slots.map."""
    mains, own = {}, routes.get("at", "") + "."
    for name_of_model, slots in weights(routes).items():
        # Among equal weights, prefer the target on this host.
        slot = max(slots, key=lambda name: (slots[name], name.startswith(own)), default="none")
        mains[name_of_model] = slot if slots.get(slot) else "none"
    for route in routes.get("routes", []):
        mains.update(dict.fromkeys(route.get("adapters", []), mains[route["model"]]))
    return mains


def _changes(loaded: Loaded, routes: Routes) -> Iterator[tuple[tuple[str, str, int], int]]:
    """Yield backend, server and weight, and the weight that a worker has, where these differ."""
    for name_of_model, server, weight, _ in targets(routes):
        name = backend(name_of_model)
        now = loaded.get(name, {}).get(server, {}).get("weight", weight)
        if now != weight:
            yield (name, server, weight), now
