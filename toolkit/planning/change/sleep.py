"""Whether a model may fall asleep and wake."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.errors import InputError, NothingSuitableError, RefusedError
from toolkit.hostside import sleeping
from toolkit.planning.change.doze import is_cold
from toolkit.planning.change.room import find_room
from toolkit.planning.routing.routes import Route, Routes, target_name


def require_awake(model: str, routes: Routes) -> None:
    """Raise RefusedError where the model sleeps: nothing of it can be compared, shared or given back."""
    route = routes.of(model)
    if route and route.sleep:
        raise RefusedError(f"{model} sleeps", hint=f"toolkit wake {model}, then the same again")


def patience(policy: WhenAsleep, starts: int) -> int:
    """Return for how many seconds a request waits for a model to wake; 0 where requests do not wait."""
    return sleeping.patience({"policy": policy.value, "starts": starts})


def route_of(model: str, routes: Routes) -> Route:
    """Return the model's route; raises InputError where it has none."""
    route = routes.of(model)
    if route is None:
        raise InputError(f"{model} is not deployed", hint="toolkit status")
    return route


def require_restful(model: str, facts: Mapping[str, HostFacts], digests: Mapping[str, str]) -> None:
    """Raise RefusedError where a host cannot put its replicas to sleep now.

    `digests` are those of the provisioning of each host: a watch of an older toolkit knows of no sleep.
    """
    for name, each in facts.items():
        slots = each.slots_of(model)
        if any(guard.model == model and not guard.verdict for guard in each.guards):
            raise RefusedError(
                f"{name}: a guard watches {model}",
                hint=f"toolkit watch {model} says when it has judged; toolkit promote {model} ends it",
            )
        if any(slot.release and slot.release.span for slot in slots):
            raise RefusedError(
                f"{model} runs on several hosts together, which cannot sleep",
                hint=f"toolkit stop {model}",
            )
        if slots and (each.converged != digests[name] or not each.watched):
            raise RefusedError(
                f"{name}: its watch does not run or is of an older toolkit, and it puts replicas to sleep",
                hint="toolkit provision",
            )
        if any(not slot.can_rest for slot in slots):
            raise RefusedError(
                f"{name}: a replica of {model} was started by an older toolkit, and cannot sleep",
                hint=f"toolkit stop {model}, then toolkit deploy {model}",
            )


def idle_targets(model: str, facts: Mapping[str, HostFacts]) -> frozenset[str]:
    """Return the targets of the model whose replica runs, by the facts of hosts by label.

    One that dozes is ended with its model, and is started again by a rollback alone.
    """
    return frozenset(
        target_name(label, slot.slot)
        for label, each in facts.items()
        for slot in each.slots_of(model)
        if slot.release and not is_cold(slot)
    )


def alternates_of(model: str, routes: Routes) -> tuple[str, ...]:
    """Return the models that take turns with this one, whichever of them sleeps, ordered."""
    own = routes.of(model)
    known = {each.model for each in own.sleep.alternates} if own and own.sleep else set()
    return tuple(
        sorted(
            known.union(
                route.model
                for route in routes.routes
                if route.sleep and any(each.model == model for each in route.sleep.alternates)
            )
        )
    )


def turns(routes: Routes) -> dict[str, tuple[str, ...]]:
    """Return the models that take turns with others, by name and ordered, each with those others."""
    sleeping = [each for each in routes.routes if each.sleep and each.sleep.alternates]
    named = {other.model for each in sleeping if each.sleep for other in each.sleep.alternates}
    models = sorted(named.union(each.model for each in sleeping))
    return {model: alternates_of(model, routes) for model in models}


def require_alternates(
    model: str, others: Sequence[str], facts: Mapping[str, HostFacts], digests: Mapping[str, str]
) -> None:
    """Raise InputError or RefusedError where the model cannot take turns with the `others`.

    Each host puts them to sleep by itself, so each has all of them.
    """
    having = {name for name, each in facts.items() if each.slots_of(model)}
    for other in others:
        if other == model:
            raise InputError(
                f"{model} takes turns with other models, not with itself",
                hint="--in-turn-with OTHER, another model of the same device",
            )
        there = {name for name, each in facts.items() if each.slots_of(other)}
        if not there:
            raise InputError(f"{other} is not deployed", hint="toolkit status")
        if apart := sorted(having ^ there):
            raise RefusedError(
                f"{model} and {other} are not on the same hosts, so they share no device on"
                f" {', '.join(apart)}",
                hint=f"toolkit status; toolkit sleep {other}, then toolkit wake {model}",
            )
        require_restful(other, facts, digests)


def require_turns(model: str, apart: Sequence[str], known: Sequence[str]) -> None:
    """Raise InputError where the model takes no turns with one of those that are to be left `apart`."""
    for other in apart:
        if other not in known:
            raise InputError(f"{model} takes no turns with {other}", hint=f"toolkit status {model}")


def require_room(
    model: str, facts: Mapping[str, HostFacts], alternates: Collection[str] = ()
) -> None:
    """Raise NothingSuitableError where what served cannot start now, because others have its memory.

    The models in `alternates` fall asleep before it wakes.
    """
    for name, each in facts.items():
        if lacks := lack_of_room(model, each, alternates):
            others = sorted({slot.model for slot in each.slots if slot.model != model})
            raise NothingSuitableError(
                f"{model} cannot wake on {name}: {lacks}, with {', '.join(others) or 'nothing of ours'}"
                " left running",
                hint="toolkit sleep OTHER, or toolkit stop OTHER",
            )


def lack_of_room(model: str, facts: HostFacts, alternates: Collection[str]) -> str:
    """Return why a model that sleeps cannot start on a host once its `alternates` sleep; empty where it can."""
    slots = [slot for slot in facts.slots_of(model) if slot.asleep and slot.rests]
    going = [slot for slot in facts.slots if slot.model in alternates]
    first = next((slot.release for slot in slots if slot.release), None)
    if first is None:
        return ""
    room = find_room(first, facts, [*slots, *going])
    return "" if room.fits else room.reason
