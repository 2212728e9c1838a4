"""Edits of routes: each returns new routes, and keeps all routes that it does not concern."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from toolkit.domain.deployment.release import Release
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.gates.kind import Kind
from toolkit.errors import InputError
from toolkit.planning.routing.names import claimed
from toolkit.planning.routing.routes import LEAST, Alternate, Route, Routes, Sleep, Target


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
    """Return the kinds of requests that a model answers. One that takes sound in a chat may also transcribe it."""
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

    A model that has a route keeps its `created`, its `routing` where none is given, its `hold` while no target has
    a weight, and its `sleep` while a target is asleep.
    """
    former = routes.of(model)
    kept = former.routing if former else LEAST
    hold = former.hold if former and not any(target.weight for target in targets) else 0
    since = former.created if former else created
    sleep = former.sleep if former and any(target.asleep for target in targets) else None
    named = former.named if former else 0
    route = Route(model, targets, since, routing or kept, hold=hold, sleep=sleep, named=named)
    return _with_route(routes, route)


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


def without_traffic(routes: Routes, model: str, host: str) -> Routes:
    """Return `routes` in which the model's targets on `host` get nothing, and stay as the host's place in the route."""
    route = routes.of(model)
    if route is None or not route.on(host):
        return routes
    places = tuple(
        Target(each.slot, each.port, 0, each.host, each.relay) for each in route.on(host)
    )
    return with_targets(routes, model, host, places, created=route.created)


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


def with_hold(routes: Routes, model: str, seconds: int) -> Routes:
    """Return `routes` in which requests wait for up to `seconds` while no target of the model has a weight.

    A target that gains a weight ends it. Raises InputError where the model has no route, or a target has a weight.
    """
    route = _route_with(routes, model, ())
    if seconds and any(target.weight for target in route.targets):
        raise InputError(f"{model} is served, so its requests need not wait")
    return _with_route(routes, replace(route, hold=seconds))


def armed(routes: Routes, model: str, seconds: int) -> Routes:
    """Return `routes` in which requests also wait for up to `seconds` where each replica of the model dies.

    The next change of its weights ends that. Raises InputError where the model has no route.
    """
    return _with_route(routes, replace(_route_with(routes, model, ()), hold=seconds))


def withheld(routes: Routes, model: str, name: str, seconds: int) -> Routes:
    """Return `routes` in which the model's target `name` gets nothing, and is the former one of a change.

    Where no other target serves or stands by, requests wait for up to `seconds`: until a target gets a weight again, be
    it the new one or, in an undo, the former.
    """
    # The new release gets the other slot, so nothing else can be up under this name.
    found = with_former(with_weights(routes, model, {name: 0}), model, name)
    route = found.of(model)
    others = route and any(each.weight or each.standby for each in route.targets)
    return found if others else with_hold(found, model, seconds)


def with_sleep(
    routes: Routes, model: str, sleep: Sleep, hold: int, idle: Collection[str] = ()
) -> Routes:
    """Return `routes` in which the model's targets fall asleep, and requests wait for up to `hold` seconds.

    The targets `idle` have a replica that runs, though they neither serve nor stand by.

    Hosts end the replicas of such targets once these have no request any more, and start them when the model wakes.
    A model that is awake on some hosts alone, or wakes, sleeps on all of them then. Raises InputError where the model
    has no route, sleeps on all hosts, or is in the midst of a change.
    """
    route = _route_with(routes, model, ())
    if route.sleep and not route.partly_awake and not route.sleep.due:
        raise InputError(f"{model} sleeps already")
    if any(each.share or each.withdrawn or each.former or each.waiting for each in route.targets):
        raise InputError(
            f"{model} is being changed, so it cannot fall asleep", hint="toolkit status"
        )
    targets = tuple(
        replace(
            each,
            weight=0,
            standby=False,
            asleep=each.asleep or _part(each, idle),
        )
        for each in route.targets
    )
    return _with_route(
        routes, replace(route, targets=targets, sleep=sleep, hold=hold, took_over=0.0)
    )


def _part(target: Target, idle: Collection[str]) -> str:
    """Return the part that a target gets back once its model is awake; empty where it has no replica."""
    if target.weight or target.standby:
        return "serving" if target.weight else "standby"
    return "none" if target.name in idle else ""


def with_terms(
    routes: Routes, model: str, policy: str, hold: int, alternates: tuple[Alternate, ...]
) -> Routes:
    """Return `routes` in which the model, which sleeps, has this policy, see `WhenAsleep`, and these alternates.

    Requests wait for up to `hold` seconds. Raises InputError where it is awake.
    """
    route = _route_with(routes, model, ())
    if route.sleep is None:
        raise InputError(f"{model} does not sleep")
    sleep = replace(route.sleep, policy=policy, alternates=alternates)
    return _with_route(routes, replace(route, sleep=sleep, hold=hold))


def without_turns(routes: Routes, model: str, others: Collection[str]) -> Routes:
    """Return `routes` in which the model and the `others` take no turns any more, whichever of them sleeps."""
    found = []
    for route in routes.routes:
        apart = others if route.model == model else (model,) if route.model in others else ()
        if route.sleep and any(each.model in apart for each in route.sleep.alternates):
            left = tuple(each for each in route.sleep.alternates if each.model not in apart)
            route = replace(route, sleep=replace(route.sleep, alternates=left))
        found.append(route)
    return replace(routes, routes=tuple(found))


def with_wake(routes: Routes, model: str, due: int) -> Routes:
    """Return `routes` in which the model wakes and is `due` then, in seconds since the epoch; hosts do the rest.

    Raises InputError where the model does not sleep.
    """
    route = _route_with(routes, model, ())
    if route.sleep is None:
        raise InputError(f"{model} does not sleep")
    return _with_route(routes, replace(route, sleep=replace(route.sleep, due=due)))


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
    return _with_route(routes, replace(route, targets=targets))


def _with_route(routes: Routes, route: Route) -> Routes:
    """Return `routes` with `route` in place of its model's former one, ordered by model."""
    others = [each for each in routes.routes if each.model != route.model]
    found = [*others, claimed(routes, route)]
    return replace(routes, routes=tuple(sorted(found, key=lambda each: each.model)))


def _route_with(routes: Routes, model: str, names: Collection[str]) -> Route:
    """Return the model's route; raises InputError where there is none, or where a target of `names` is missing."""
    route = routes.of(model)
    if route is None:
        raise InputError(f"{model} has no route", hint=f"toolkit deploy {model}")
    if missing := set(names) - {target.name for target in route.targets}:
        raise InputError(f"{model} has no slot {', '.join(sorted(missing))}")
    return route


def with_standby(routes: Routes, model: str, names: Collection[str]) -> Routes:
    """Return `routes` in which the model's targets `names` take the traffic over.

    One that has another part, or that its guard has withdrawn, stays as it is. Raises InputError where the model or a
    target has no route.
    """
    route = _route_with(routes, model, names)
    targets = tuple(
        replace(each, standby=True)
        if each.name in names and not (each.weight or each.share or each.asleep or each.withdrawn)
        else each
        for each in route.targets
    )
    return with_model(routes, model, targets, created=route.created)


def without_standby(routes: Routes, model: str, names: Collection[str]) -> Routes:
    """Return `routes` in which the model's targets `names` take no traffic over; the same where none would."""
    route = routes.of(model)
    if route is None or not any(each.standby and each.name in names for each in route.targets):
        return routes
    targets = tuple(
        replace(each, standby=each.standby and each.name not in names) for each in route.targets
    )
    return with_model(routes, model, targets, created=route.created)
