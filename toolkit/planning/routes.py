"""Routes: public model name -> the slots that answer for it, and what changes in the router with them.

A model's backend has one server per slot. Its set of servers only changes when a model comes, goes or
moves to other ports, and that takes a reload. Everything else, a switch above all, is a change of
weights while requests run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from toolkit.errors import InputError

MAX_WEIGHT = 256
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_SLOT = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Target:
    """A slot's loopback port and its share of the model's traffic (0: none, at most 256)."""

    slot: str
    port: int
    weight: int = 0

    def __post_init__(self) -> None:
        """Refuse what could not be written into the router's files; raises InputError."""
        if not _SLOT.fullmatch(self.slot):
            raise InputError(f"{self.slot!r} is not a name for a slot")
        if not 0 < self.port < 65536:
            raise InputError(f"{self.port} is not a port")
        if not 0 <= self.weight <= MAX_WEIGHT:
            raise InputError(f"weight {self.weight} is not between 0 and {MAX_WEIGHT}")


@dataclass(frozen=True, slots=True)
class Route:
    """A public model name and its targets. `created` is in whole seconds since the epoch."""

    model: str
    targets: tuple[Target, ...]
    created: int = 0

    def __post_init__(self) -> None:
        """Refuse a name that fits no URL, map or configuration line; raises InputError."""
        if not _MODEL.fullmatch(self.model):
            raise InputError(
                f"{self.model!r} cannot be routed",
                hint="a model's name has letters, digits and . _ / - alone",
            )
        if len({target.slot for target in self.targets}) != len(self.targets):
            raise InputError(f"{self.model} has a slot twice")

    def weight(self, slot: str) -> int:
        """Return the weight of `slot`; 0 where the route has no such slot."""
        return next((target.weight for target in self.targets if target.slot == slot), 0)

    @property
    def main_slot(self) -> str:
        """The slot with the most traffic, empty where none has any."""
        heaviest = max(self.targets, key=lambda target: target.weight, default=None)
        return heaviest.slot if heaviest is not None and heaviest.weight else ""


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of one router, ordered by model."""

    routes: tuple[Route, ...] = ()

    def of(self, model: str) -> Route | None:
        """Return the route of `model`, or None."""
        return next((route for route in self.routes if route.model == model), None)

    def as_json(self) -> dict[str, Any]:
        """Return the content of `routes.json`."""
        return {
            "routes": [
                {
                    "model": route.model,
                    "created": route.created,
                    "targets": [
                        {"slot": target.slot, "port": target.port, "weight": target.weight}
                        for target in route.targets
                    ],
                }
                for route in self.routes
            ]
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Routes:
        """Return the routes whose `as_json` is `data`; an empty mapping has none."""
        return Routes(
            tuple(
                Route(
                    each["model"],
                    tuple(Target(**target) for target in each["targets"]),
                    each["created"],
                )
                for each in data.get("routes", ())
            )
        )


def with_model(routes: Routes, model: str, targets: tuple[Target, ...], *, created: int) -> Routes:
    """Return `routes` with `model` leading to `targets`.

    A model that is already there keeps its `created`.
    """
    former = routes.of(model)
    route = Route(model, targets, former.created if former else created)
    others = [each for each in routes.routes if each.model != model]
    return Routes(tuple(sorted([*others, route], key=lambda each: each.model)))


def without_model(routes: Routes, model: str) -> Routes:
    """Return `routes` without `model`; the same routes where it has none."""
    return Routes(tuple(each for each in routes.routes if each.model != model))


def with_weights(routes: Routes, model: str, weights: Mapping[str, int]) -> Routes:
    """Return `routes` with the weights of the model's slots set; slots not named keep theirs.

    Raises InputError where the model or a slot has no route.
    """
    route = routes.of(model)
    if route is None:
        raise InputError(f"{model} has no route", hint=f"toolkit deploy {model}")
    if missing := set(weights) - {target.slot for target in route.targets}:
        raise InputError(f"{model} has no slot {', '.join(sorted(missing))}")
    targets = tuple(
        replace(target, weight=weights.get(target.slot, target.weight)) for target in route.targets
    )
    return with_model(routes, model, targets, created=route.created)


def needs_reload(old: Routes, new: Routes) -> bool:
    """Whether the router must read its files again: a model, slot or port came, went or moved."""
    return _servers(old) != _servers(new)


def runtime_commands(old: Routes, new: Routes) -> tuple[str, ...]:
    """Return the commands that bring the router from the weights of `old` to those of `new`.

    Per model, who gains comes before who loses, so that at no moment nobody has weight. A slot that
    gains traffic is also declared healthy, which names it to the host's side: that waits until the
    router's own checks agree. Models whose targets did not change are left out; `Routes()` for `old`
    gives the commands for all of them, which are safe to send at any time.
    """
    commands: list[str] = []
    for route in new.routes:
        former = old.of(route.model)
        if former == route:
            continue
        before = {target.slot: target.weight for target in former.targets} if former else {}
        changed = [target for target in route.targets if before.get(target.slot) != target.weight]
        backend = backend_name(route.model)
        for target in changed:
            if target.weight > before.get(target.slot, 0):
                commands.append(f"set server {backend}/{target.slot} health up")
                commands.append(f"set server {backend}/{target.slot} weight {target.weight}")
        commands.extend(
            f"set server {backend}/{target.slot} weight {target.weight}"
            for target in changed
            if target.weight <= before.get(target.slot, 0)
        )
    return tuple(commands)


def backend_name(model: str) -> str:
    """Return the name of the model's backend: `model.` and the name, with `:` for `/`."""
    return "model." + model.replace("/", ":")


def _servers(routes: Routes) -> dict[str, tuple[tuple[str, int], ...]]:
    return {
        route.model: tuple((target.slot, target.port) for target in route.targets)
        for route in routes.routes
    }
