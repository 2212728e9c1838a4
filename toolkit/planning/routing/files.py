"""The router's files, rendered from its routes. The same routes give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from toolkit.planning.engines.paths import METRICS
from toolkit.planning.routing.listing import (
    described,
    render_aliases,
    render_described_map,
    render_models_json,
)
from toolkit.planning.routing.names import asked_by, owners
from toolkit.planning.routing.relays import handing_on, relay_check
from toolkit.planning.routing.routes import (
    ADAPTER_HOLD,
    PREFIX,
    WHOLE,
    Route,
    Routes,
    Target,
    backend_name,
)

# The one route that each name of the clients leads to.
Owners = Mapping[str, Route]
# The name of a server's twin begins with this; no host and no slot has a colon in its name.
TWIN = "standby:"
INDICATOR = "up."
# Stands for the name of a host; no host is called so.
_SOMEWHERE = "<somewhere>"
_HEAD = "# Written by the toolkit from routes.json; the router's base is haproxy.cfg.\n"


# A connection that is refused takes a server out of rotation at once, until its next check passes.
_REFUSED = " observe layer4 error-limit 1 on-error mark-down"

# The toolkit alone labels answers: a replica that was taken over could name another release, and write into the log.
# The labels of another host's router are kept.
_NO_LABELS = "    http-response del-header x-toolkit- -m beg"

# Requests of one conversation, or of one application, share their first message. A replica that is 1.5 times as busy as
# the average passes requests on to the next.
_BY_PREFIX = (
    "    acl has_prefix var(txn.prefix) -m found\n"
    "    http-request set-var(txn.prefix) req.body,json_query('$.messages[0].content'),sha1,hex unless has_prefix\n"
    "    http-request set-var(txn.prefix) req.body,json_query('$.prompt'),sha1,hex unless has_prefix\n"
    "    balance hash var(txn.prefix)\n"
    "    hash-type consistent wt6\n"
    "    hash-balance-factor 150\n"
)

# The conversations to which a canary has answered 5xx; the host's side clears them when a share changes. One that
# failed by chance comes back: it may be the only one that draws the canary, and its next good answer ends the doubt.
_LEFT = (
    "    stick-table type string len 40 size 10k expire 10m\n"
    "    stick store-response var(txn.prefix)"
    " if {{ status 500:599 }} {{ var(txn.canary) -m found }} has_prefix\n"
    "    http-request unset-var(txn.draw) if has_prefix {{ var(txn.prefix),in_table({backend}) }}\n"
)


class Rendering:
    """The files of all routers that have the same `routes`. Text that all hosts share is rendered once."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self._names = names = owners(routes)
        found = described(routes, names)
        self._common = {
            "models.map": render_map(routes, names),
            "models-described.map": render_described_map(found),
            "shares.map": render_shares(routes),
            "holds.map": render_holds(routes, names),
            "asleep.map": render_asleep(routes, names),
            "aliases.map": render_aliases(routes, names),
            "kinds.map": render_kinds(routes, names),
            "models.json": render_models_json(found),
        }
        self._document = json.dumps(_document(routes, names), indent=2) + "\n"
        # As another host sees a target, by model and target.
        self._far: dict[tuple[str, str], tuple[str, str]] = {}

    def at(self, host: str) -> dict[str, str]:
        """Return every file by name for the router of this host."""
        return {
            **self._common,
            "backends.cfg": self.backends(host),
            "slots.map": render_slots(self.routes, self._names, host),
            "relay.map": render_relay(self.routes, host),
            # It names the host in its first lines.
            "routes.json": self._document.replace(json.dumps(_SOMEWHERE), json.dumps(host), 1),
        }

    def backends(self, at: str) -> str:
        """Return `backends.cfg`: a backend per model with a server per slot, and one for each slot of this host.

        A slot without traffic has weight 0 and is checked like the others, so that the router knows it to be up when it
        is needed. Each server has a twin, which takes the traffic of a standby while no server with a weight is up:
        HAProxy can change weights at run time, but not make a server a backup. The backend of a single slot takes the
        requests that other hosts' routers hand on, see `relay.map`. An indicator takes none: it has a server as long as
        its target may get new requests. The last backends are for Prometheus.
        """
        parts = [_HEAD]
        for route in self.routes.routes:
            parts += _head(route, at)
            seen = [self._seen(route.model, target, at) for target in route.targets]
            parts += [servers for servers, _ in seen]
            for target in route.on(at) if at else ():
                parts.append(
                    f"\nbackend {relay_name(route.model, target)}\n"
                    "    retries 0\n"
                    f"{_NO_LABELS}\n"
                    f"    server {target.name} {target.address(at)}{_REFUSED}\n"
                )
            parts += [indicator for _, indicator in seen if at]
            parts += [_exposed(route.model, target) for target in route.on(at)]
        return "".join(parts)

    def _seen(self, model: str, target: Target, at: str) -> tuple[str, str]:
        """Return the servers and the indicator of a target in the router of the host `at`."""
        if not at or target.host in ("", at):
            return _servers(model, target, at), _indicated(model, target, at)
        key = (model, target.name)
        if key not in self._far:
            self._far[key] = _servers(model, target, at), _indicated(model, target, at)
        return self._far[key]


def _document(routes: Routes, names: Owners) -> dict[str, Any]:
    """Return the content of `routes.json`, of which hosts make some of the maps: its owner alone has a name."""
    document = routes.as_json(_SOMEWHERE)
    for told, route in zip(document["routes"], routes.routes, strict=True):
        _, *adapters = asked_by(route, names)
        lists = {
            "adapters": adapters,
            "waiting": dict.fromkeys(_waiting(route, names), ADAPTER_HOLD),
        }
        for name, own in lists.items():
            if own and name in told:
                told[name] = own
            else:
                told.pop(name, None)
    return document


def _waiting(route: Route, names: Owners) -> list[str]:
    """Return the adapters whose requests wait, but for those that lead to another route."""
    return [each for each in route.waiting if names.get(each, route).model == route.model]


def _head(route: Route, at: str) -> list[str]:
    return [
        f"\nbackend {backend_name(route.model)}\n",
        _BY_PREFIX if route.routing == PREFIX else "    balance leastconn\n" if at else "",
        handing_on(route.model) if at else "",
        "    option allbackups\n",
        # HAProxy waits this long before it gives a refused request to the last server that is left.
        "    timeout connect 500ms\n",
        _unlabelled(route, at),
        _drawing(route, at),
        # For a worker that a reload left behind, see slots.map in haproxy.cfg.
        "    use-server %[var(txn.slot)] if { var(txn.slot) -m found }\n",
        "    use-server %[var(txn.canary)] if { var(txn.canary) -m found }\n",
        "    force-persist if { stopping }\n",
    ]


def _unlabelled(route: Route, at: str) -> str:
    """Take the toolkit's headers from the answers of this host's own replicas."""
    if not at:
        return f"{_NO_LABELS}\n"
    names = " ".join(target.name for target in route.on(at))
    return f"{_NO_LABELS} if {{ srv_name,regsub(^{TWIN},) -m str {names} }}\n" if names else ""


def _indicated(model: str, target: Target, at: str) -> str:
    """Return the backend that has a server as long as the target may get new requests."""
    tracked = f"{backend_name(model)}/{target.name}"
    return (
        f"\nbackend {indicator_name(model, target)}\n"
        "    http-check disable-on-404\n"
        f"    server {target.name} {target.address(at)} no-check track {tracked}\n"
    )


def _exposed(model: str, target: Target) -> str:
    """Return the backend through which Prometheus reads the metrics of a replica of this host, and no other path."""
    return (
        f"\nbackend {metrics_name(model, target)}\n"
        "    timeout connect 1s\n"
        "    timeout server 10s\n"
        "    retries 0\n"
        f"    http-request set-uri {METRICS}\n"
        f"    server {target.slot} 127.0.0.1:{target.port} no-check\n"
    )


def _drawing(route: Route, at: str) -> str:
    """Draw the requests of a canary, see shares.map, while it may get new ones.

    A weight would not do: the fewest connections would leave a small weight without any at low load. With routing by
    prefix the conversation draws, so that it stays with its release; one that a canary has failed goes to the release
    that serves. So no conversation fails for long, and one that fails with every release does not speak against the new
    one alone. The rest, and what a canary refuses, is balanced among the targets with weights.
    """
    model = route.model
    text = (
        f"    http-request set-var(txn.draw) rand({WHOLE})"
        f" if !{{ stopping }} {{ str({model}),map_str_int(shares.map) gt 0 }}\n"
    )
    if route.routing == PREFIX:
        text += (
            f"    http-request set-var(txn.draw) var(txn.prefix),crc32,mod({WHOLE})"
            " if has_prefix { var(txn.draw) -m found }\n"
        ) + _LEFT.format(backend=backend_name(model))
    drawn = [
        f"    http-request set-var(txn.canary) str({target.name}) if {{ var(txn.draw) -m found }}"
        " !{ var(txn.canary) -m found }"
        f" {{ str({model}:{target.name}),map_str_int(shares.map),sub(txn.draw) gt 0 }}\n"
        for target in route.targets
    ]
    text += "".join(drawn)
    if at:
        # A server whose relay answers 404 gets nothing new through its weight, but it would through its name.
        text += (
            f"    http-request set-var(txn.indicator) str({_indicator(model)}),concat(,txn.canary)"
            " if { var(txn.canary) -m found }\n"
            "    http-request unset-var(txn.canary)"
            " if { var(txn.canary) -m found } { var(txn.indicator),nbsrv eq 0 }\n"
        )
    return text


def _servers(model: str, target: Target, at: str) -> str:
    """Return the server of a target and its twin, which has no check of its own."""
    name, address = target.name, target.address(at)
    check = relay_check(target, at) if at else ""
    if target.host in ("", at):
        check, lost = check + _REFUSED, ""
    else:
        lost = " on-marked-down shutdown-sessions tcp-ut 1900ms"
    return (
        f"    server {name} {address} weight {target.weight}{check}{lost}\n"
        f"    server {TWIN}{name} {address} weight {target.backup_weight}{lost} backup"
        f" no-check track {backend_name(model)}/{name}\n"
    )


def render_map(routes: Routes, names: Owners) -> str:
    """Return `models.map`: model or adapter in a request -> backend. An adapter is computed by its base's replicas."""
    return "".join(
        f"{name} {backend_name(route.model)}\n"
        for route in routes.routes
        for name in asked_by(route, names)
    )


def render_slots(routes: Routes, names: Owners, at: str) -> str:
    """Return `slots.map`: model or adapter -> the target with most of its traffic, or `none`.

    A worker that a reload left behind follows this map instead of weights.
    """
    return "".join(
        f"{name} {route.main(at) or 'none'}\n"
        for route in routes.routes
        for name in asked_by(route, names)
    )


def render_shares(routes: Routes) -> str:
    """Return `shares.map`: model -> the sum of its shares, and MODEL:TARGET -> the draw below which it is the target's.

    A draw is one of 0 to 9,999; the first target whose number is above it gets the request.
    """
    text = ""
    for route in routes.routes:
        bound, lines = 0, ""
        for target in route.targets:
            bound += target.share
            lines += f"{route.model}:{target.name} {bound}\n" if target.share else ""
        text += f"{route.model} {bound}\n{lines}" if bound else ""
    return text


def render_holds(routes: Routes, names: Owners) -> str:
    """Return `holds.map`: model or adapter whose requests wait -> for how many seconds, see hold.lua.

    With `a` in front they wait only while no replica is up.
    """
    held: dict[str, str] = {}
    for route in routes.routes:
        held.update(dict.fromkeys(_waiting(route, names), str(ADAPTER_HOLD)))
        if route.hold:
            armed = "a" if any(each.weight for each in route.targets) else ""
            # While the base is exchanged nothing could compute its adapters.
            held.update(dict.fromkeys(asked_by(route, names), f"{armed}{route.hold}"))
    return "".join(f"{name} {value}\n" for name, value in held.items())


def render_asleep(routes: Routes, names: Owners) -> str:
    """Return `asleep.map`: model or adapter that sleeps -> POLICY|SECONDS OF A START|DUE|MODEL, see `Sleep`."""
    return "".join(
        f"{name} {sleep.policy}|{sleep.starts}|{sleep.due}|{route.model}\n"
        for route in routes.routes
        if (sleep := route.sleep)
        for name in asked_by(route, names)
    )


def render_relay(routes: Routes, at: str) -> str:
    """Return `relay.map`: target and model in a request of another host's router -> the slot's own backend.

    `instead:TARGET/MODEL` -> the target on this host that takes the requests of one that was withdrawn, or `none`.
    """
    text = ""
    for route in routes.routes if at else ():
        for target in route.on(at):
            for twin in ("", TWIN):
                text += f"{twin}{target.name}/{route.model} {relay_name(route.model, target)}\n"
            if target.withdrawn:
                instead = route.beside(target.name) or "none"
                text += f"instead:{target.name}/{route.model} {instead}\n"
    return text


def relay_name(model: str, target: Target) -> str:
    """Return the name of the backend for a slot of this host."""
    return f"relay.{target.slot}.{backend_name(model)}"


def metrics_name(model: str, target: Target) -> str:
    """Return the name of the backend for the metrics of a slot of this host. Its requests are not use."""
    return f"metrics:{model.replace('/', ':')}:{target.slot}"


def indicator_name(model: str, target: Target) -> str:
    """Return the name of the backend that has a server as long as the target may get new requests."""
    return _indicator(model) + target.name


def _indicator(model: str) -> str:
    return f"{INDICATOR}{model.replace('/', ':')}:"


def render_kinds(routes: Routes, names: Owners) -> str:
    """Return `kinds.map`: model or adapter -> what it answers; a model whose files nobody read has no line."""
    return "".join(
        f"{name} {target.kind}\n"
        for route in routes.routes
        if (target := route.described) and target.kind
        for name in asked_by(route, names)
    )
