"""Routes: public model name -> the slots that answer for it.

All routers of a fleet have the same routes. `serial` counts the changes: where two routers differ, the one with the
higher serial is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.domain.capabilities import Capabilities
from toolkit.domain.golden import Kind
from toolkit.domain.release import Release
from toolkit.errors import InputError

MAX_WEIGHT = 256
# Seconds; clients give up earlier.
MAX_HOLD = 3600
# Seconds that requests for an adapter wait, at most, while it is exchanged. That takes a part of a second.
ADAPTER_HOLD = 30
# Shares are in parts of this of a model's requests.
WHOLE = 10_000
STANDBY_WEIGHT = 100
LEAST, PREFIX = "least-connections", "prefix"
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_KIND = re.compile(r"[a-z/]{0,64}")
_SLOT = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_RELAY = re.compile(r"[0-9.]{7,15}:[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Target:
    """A slot's loopback port and its weight in the model's traffic (0: none, at most 256).

    A canary has no weight but a `share`: of 10,000 of the model's requests, so many are drawn for it, and the targets
    with weights get the others. In a fleet of several hosts, `host` names the target's host, and `relay` is the address
    and port at which that host's router takes requests from the others. A `standby` passed its gate: without traffic of
    its own, it takes the model's traffic while no target with a weight is up. A target that the guard of its host has
    `withdrawn` gets nothing. A `former` target lost its traffic to a swap: while nothing serves the model and no
    command is there, hosts give it back, see `hold_lease.py` of the host's side. `adapters` are the public names of the
    LoRA adapters that its replica has, `waiting` those that it is exchanging, `aliases` its model's other names. `kind`
    is what its release answers and `context` the tokens that a request has at most; empty and 0 where nobody read the
    files of its model.
    """

    slot: str
    port: int
    weight: int = 0
    host: str = ""
    relay: str = ""
    standby: bool = False
    share: int = 0
    withdrawn: bool = False
    former: bool = False
    adapters: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    kind: str = ""
    context: int = 0

    def __post_init__(self) -> None:
        """Refuse values that would break the router's files; raises InputError."""
        if not _SLOT.fullmatch(self.slot):
            raise InputError(f"{self.slot!r} is not a name for a slot")
        if not 0 < self.port < 65536:
            raise InputError(f"{self.port} is not a port")
        if not 0 <= self.weight <= MAX_WEIGHT:
            raise InputError(f"weight {self.weight} is not between 0 and {MAX_WEIGHT}")
        if not 0 <= self.share <= WHOLE:
            raise InputError(f"a share of {self.share} is not between 0 and {WHOLE}")
        self._check_parts()
        for name in (*self.adapters, *self.aliases):
            if not _MODEL.fullmatch(name):
                raise InputError(f"the name {name!r} cannot be routed")
        if not _KIND.fullmatch(self.kind):
            raise InputError(f"{self.kind!r} is no kind of model")
        if self.host and not (_HOST.fullmatch(self.host) and _RELAY.fullmatch(self.relay)):
            raise InputError(f"{self.host!r} at {self.relay!r} cannot be routed to")

    def _check_parts(self) -> None:
        """Refuse parts in the traffic that exclude each other."""
        if self.share and (self.weight or self.standby):
            raise InputError(f"{self.slot} has a share beside a weight or a part as a standby")
        if self.withdrawn and (self.weight or self.share or self.standby):
            raise InputError(f"{self.slot} was withdrawn by the guard of its host")

    @property
    def name(self) -> str:
        """The target's name in the router: `blue`, or `gpu1.blue` in a fleet."""
        return f"{self.host}.{self.slot}" if self.host else self.slot

    @property
    def backup_weight(self) -> int:
        """The target's share of the traffic while no target with a weight is up."""
        return STANDBY_WEIGHT if self.standby and not self.weight else 0

    def address(self, at: str) -> str:
        """Return the address at which the router of the host `at` reaches the target."""
        return f"127.0.0.1:{self.port}" if self.host in ("", at) else self.relay


@dataclass(frozen=True, slots=True)
class Route:
    """A public model name and its targets. `created` is in whole seconds since the epoch.

    `routing` selects the target of a request: `least-connections`, or `prefix`, which prefers the target that had
    the same first message before. While no target has a weight, requests wait for one for `hold` seconds; with 0
    they are refused. For the adapters that are `waiting`, requests wait for up to `ADAPTER_HOLD` seconds.
    `took_over` is the time at which a standby took the traffic over by itself, in seconds since the epoch; 0 where
    a command gave the traffic. Each host notes it by its own clock.
    """

    model: str
    targets: tuple[Target, ...]
    created: int = 0
    routing: str = LEAST
    took_over: float = field(default=0.0, compare=False)
    hold: int = 0

    def __post_init__(self) -> None:
        """Refuse a name that fits no URL, map or configuration line; raises InputError."""
        if not _MODEL.fullmatch(self.model):
            raise InputError(
                f"{self.model!r} cannot be routed",
                hint="a model's name has letters, digits and . _ / - alone",
            )
        if len({target.name for target in self.targets}) != len(self.targets):
            raise InputError(f"{self.model} has a slot twice")
        if not 0 <= self.hold <= MAX_HOLD:
            raise InputError(f"requests cannot wait for {self.hold} s")
        if sum(target.share for target in self.targets) > WHOLE:
            raise InputError(f"{self.model} has shares of more than all requests")

    @property
    def adapters(self) -> tuple[str, ...]:
        """The adapters that clients can request, ordered: those that each target with traffic has.

        While no target has any, because requests wait for one, those that any target has.
        """
        return self._shared(lambda target: target.adapters)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The adapters whose requests wait, ordered: those that any target exchanges."""
        return tuple(sorted({name for each in self.targets for name in each.waiting}))

    @property
    def aliases(self) -> tuple[str, ...]:
        """The model's other names that clients can request, ordered: those that each target with traffic knows."""
        return self._shared(lambda target: target.aliases)

    def _shared(self, names: Callable[[Target], tuple[str, ...]]) -> tuple[str, ...]:
        busy = [set(names(each)) for each in self.targets if each.weight or each.share]
        some = {name for each in self.targets for name in names(each)}
        return tuple(sorted(set.intersection(*busy) if busy else some))

    @property
    def described(self) -> Target | None:
        """The target whose release describes the model to clients: the one with the most traffic, None without any."""
        return max(self.targets, key=lambda target: (target.weight, target.share), default=None)

    def weight(self, name: str) -> int:
        """Return the weight of the target `name`; 0 where the route has no such target."""
        return next((target.weight for target in self.targets if target.name == name), 0)

    def on(self, host: str) -> tuple[Target, ...]:
        """Return the targets on `host`."""
        return tuple(target for target in self.targets if target.host == host)

    def beside(self, name: str) -> str:
        """Return the target on the host of the target `name` that has traffic in its place; empty where none has."""
        host = next(target.host for target in self.targets if target.name == name)
        others = [each for each in self.on(host) if each.name != name and each.weight]
        return max(others, key=lambda each: each.weight).name if others else ""

    def main(self, at: str = "") -> str:
        """Return the name of the target with the most traffic, empty where none has any.

        Among equal weights, prefer the target on the host `at`.
        """
        heaviest = max(
            self.targets, key=lambda target: (target.weight, target.host == at), default=None
        )
        return heaviest.name if heaviest is not None and heaviest.weight else ""


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of a fleet's routers, ordered by model."""

    routes: tuple[Route, ...] = ()
    serial: int = 0

    def of(self, model: str) -> Route | None:
        """Return the route of `model`, or None."""
        return next((route for route in self.routes if route.model == model), None)

    def as_json(self, at: str = "") -> dict[str, Any]:
        """Return the content of `routes.json` in the router of the host `at`."""
        return {
            "at": at,
            "serial": self.serial,
            "routes": [
                {
                    "model": route.model,
                    "created": route.created,
                    **({} if route.routing == LEAST else {"routing": route.routing}),
                    **({"took_over": route.took_over} if route.took_over else {}),
                    **({"hold": route.hold} if route.hold else {}),
                    **({"adapters": [*route.adapters]} if route.adapters else {}),
                    **(
                        {"waiting": dict.fromkeys(route.waiting, ADAPTER_HOLD)}
                        if route.waiting
                        else {}
                    ),
                    "targets": [_target_json(target) for target in route.targets],
                }
                for route in self.routes
            ],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Routes:
        """Return the routes whose `as_json` is `data`; an empty mapping has none."""
        return Routes(
            tuple(
                Route(
                    each["model"],
                    tuple(map(_target, each["targets"])),
                    each["created"],
                    each.get("routing", LEAST),
                    each.get("took_over", 0.0),
                    each.get("hold", 0),
                )
                for each in data.get("routes", ())
            ),
            int(data.get("serial", 0)),
        )


def _target_json(target: Target) -> dict[str, Any]:
    data = {"slot": target.slot, "port": target.port, "weight": target.weight}
    host = {"host": target.host, "relay": target.relay} if target.host else {}
    share = {"share": target.share} if target.share else {}
    standby = {"standby": True} if target.standby else {}
    withdrawn = {"withdrawn": True} if target.withdrawn else {}
    former = {"former": True} if target.former else {}
    adapters = {"adapters": [*target.adapters]} if target.adapters else {}
    aliases = {"aliases": [*target.aliases]} if target.aliases else {}
    kind = {"kind": target.kind} if target.kind else {}
    context = {"context": target.context} if target.context else {}
    waiting = {"waiting": [*target.waiting]} if target.waiting else {}
    told = {**adapters, **waiting, **aliases, **kind, **context}
    return {**data, **host, **standby, **share, **withdrawn, **former, **told}


def _target(data: Mapping[str, Any]) -> Target:
    lists = {name: tuple(data.get(name, ())) for name in ("adapters", "aliases", "waiting")}
    return Target(**{**data, **lists})


def told(target: Target, release: Release) -> Target:
    """Return the target with what its release tells clients: its names, its kind and its context."""
    does = release.does
    return replace(
        target,
        adapters=tuple(sorted(each.name for each in release.adapters)),
        aliases=release.aliases,
        kind=_kind(does) if does else "",
        context=(does.context or 0) if does else 0,
    )


def _kind(does: Capabilities) -> str:
    """Return what a model answers. One that takes sound in a chat may also transcribe it."""
    also = "/transcription" if does.audio and does.kind is Kind.CHAT else ""
    return f"{does.kind}{also}"


def with_model(
    routes: Routes,
    model: str,
    targets: tuple[Target, ...],
    *,
    created: int,
    routing: str | None = None,
) -> Routes:
    """Return `routes` with `model` leading to `targets`.

    A model that has a route keeps its `created`, its `routing` where none is given, and its `hold` while no target has
    a weight.
    """
    former = routes.of(model)
    kept = former.routing if former else LEAST
    hold = former.hold if former and not any(target.weight for target in targets) else 0
    since = former.created if former else created
    route = Route(model, targets, since, routing or kept, hold=hold)
    others = [each for each in routes.routes if each.model != model]
    changed = tuple(sorted([*others, route], key=lambda each: each.model))
    return replace(routes, routes=changed)


def with_targets(
    routes: Routes,
    model: str,
    host: str,
    targets: tuple[Target, ...],
    *,
    created: int,
    routing: str | None = None,
) -> Routes:
    """Return `routes` with `targets` as the model's targets on `host`; other hosts keep theirs."""
    former = routes.of(model)
    others = [each for each in former.targets if each.host != host] if former else []
    all_targets = sorted([*others, *targets], key=lambda target: target.host)
    return with_model(routes, model, tuple(all_targets), created=created, routing=routing)


def without_model(routes: Routes, model: str) -> Routes:
    """Return `routes` without `model`; the same routes where it has none."""
    return replace(routes, routes=tuple(each for each in routes.routes if each.model != model))


def without_targets(routes: Routes, model: str, host: str) -> Routes:
    """Return `routes` without the model's targets on `host`, and without the model where none is left."""
    route = routes.of(model)
    if route is None or not route.on(host):
        return routes
    left = tuple(target for target in route.targets if target.host != host)
    if not left:
        return without_model(routes, model)
    return with_model(routes, model, left, created=route.created)


def with_weights(routes: Routes, model: str, weights: Mapping[str, int]) -> Routes:
    """Return `routes` with the weights of the model's targets set, by name; other targets keep theirs.

    A target that gets a weight has no share any more. Raises InputError where the model or a target has no route.
    """
    route = _route_with(routes, model, weights)
    targets = tuple(
        replace(each, weight=weights[each.name], share=0 if weights[each.name] else each.share)
        if each.name in weights
        else each
        for each in route.targets
    )
    return with_model(routes, model, targets, created=route.created)


def with_shares(routes: Routes, model: str, shares: Mapping[str, int]) -> Routes:
    """Return `routes` with the shares of the model's targets set, by name; other targets keep theirs.

    Shares are in parts of 10,000 of the model's requests, wherever they come in; 0 ends a canary. A target that gets a
    share is no standby meanwhile. Raises InputError where the model or a target has no route, where a target has a
    weight, and where the shares are more than all requests.
    """
    route = _route_with(routes, model, shares)
    targets = tuple(
        replace(each, share=shares[each.name], standby=each.standby and not shares[each.name])
        if each.name in shares
        else each
        for each in route.targets
    )
    return with_model(routes, model, targets, created=route.created)


def with_hold(routes: Routes, model: str, seconds: int) -> Routes:
    """Return `routes` in which requests wait for up to `seconds` while no target of the model has a weight.

    A target that gains a weight ends it. Raises InputError where the model has no route, or a target has a weight.
    """
    route = _route_with(routes, model, ())
    if seconds and any(target.weight for target in route.targets):
        raise InputError(f"{model} is served, so its requests need not wait")
    others = [each for each in routes.routes if each.model != model]
    changed = sorted([*others, replace(route, hold=seconds)], key=lambda each: each.model)
    return replace(routes, routes=tuple(changed))


def with_former(routes: Routes, model: str, name: str) -> Routes:
    """Return `routes` in which the model's target `name` gets its traffic back where the command dies.

    That ends once a command gives traffic on the target's host. Raises InputError where it has no route.
    """
    route = _route_with(routes, model, {name})
    targets = tuple(
        replace(each, former=each.former or each.name == name) for each in route.targets
    )
    return with_model(routes, model, targets, created=route.created)


def with_adapters(
    routes: Routes, model: str, target: str, adapters: Collection[str], waiting: Collection[str]
) -> Routes:
    """Return `routes` in which a target has `adapters`, and requests for those that are `waiting` wait everywhere.

    Raises InputError where the model or the target has no route.
    """
    route = _route_with(routes, model, (target,))
    targets = tuple(
        replace(each, adapters=tuple(sorted(adapters)), waiting=tuple(sorted(waiting)))
        if each.name == target
        else each
        for each in route.targets
    )
    changed = replace(route, targets=targets)
    others = [each for each in routes.routes if each.model != model]
    return replace(routes, routes=tuple(sorted([*others, changed], key=lambda each: each.model)))


def _route_with(routes: Routes, model: str, names: Collection[str]) -> Route:
    """Return the model's route; raises InputError where there is none, or where a target of `names` is missing."""
    route = routes.of(model)
    if route is None:
        raise InputError(f"{model} has no route", hint=f"toolkit deploy {model}")
    if missing := set(names) - {target.name for target in route.targets}:
        raise InputError(f"{model} has no slot {', '.join(sorted(missing))}")
    return route


def without_standby(routes: Routes, model: str, names: Collection[str]) -> Routes:
    """Return `routes` in which the model's targets `names` take no traffic over; the same where none would."""
    route = routes.of(model)
    if route is None or not any(each.standby and each.name in names for each in route.targets):
        return routes
    targets = tuple(
        replace(each, standby=each.standby and each.name not in names) for each in route.targets
    )
    return with_model(routes, model, targets, created=route.created)


def settled(found: Mapping[str, Routes], told: Routes | None = None) -> Routes:
    """Return the right routes where those of hosts (by label) differ: the newest, without any host's withdrawn targets.

    Routes with a higher serial may come from a command or a host that did not know of a withdrawal. A target stays
    withdrawn until its own host has other routes, so that host's word on its own targets counts. Among routes with the
    same serial those are right that a command has `told` since, from other hosts' facts.
    """
    routes = newest([*filter(None, [told]), *found.values()])
    corrected = routes
    for host, own in found.items():
        for route in own.routes:
            for target in route.on(host):
                if target.withdrawn:
                    corrected = _with_withdrawn(corrected, route, target)
    return corrected if corrected is routes else replace(corrected, serial=routes.serial + 1)


def _with_withdrawn(routes: Routes, own: Route, target: Target) -> Routes:
    """Return `routes` with the targets that the host of `target` has in its `own` route; the same where they agree."""
    route = routes.of(own.model)
    there = (
        next((each for each in route.targets if each.name == target.name), None) if route else None
    )
    if route is None or there is None or not (there.weight or there.share or there.standby):
        return routes
    known = {each.name: each for each in own.on(target.host)}
    targets = tuple(known.get(each.name, each) for each in route.targets)
    return with_model(routes, own.model, targets, created=route.created)


def newest(found: Iterable[Routes]) -> Routes:
    """Return the routes with the highest serial, or empty routes where none are given."""
    return max(found, key=lambda routes: routes.serial, default=Routes())


def backend_name(model: str) -> str:
    """Return the name of the model's backend: `model.` and the name, with `:` for `/`."""
    return "model." + model.replace("/", ":")
