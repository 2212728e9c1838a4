"""Which hosts of a fleet get a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.domain.facts import HostFacts
from toolkit.errors import InputError, NothingSuitableError
from toolkit.planning.routes import Routes


@dataclass(frozen=True, slots=True)
class Placement:
    """The hosts by name, in the fleet's order, and a note for each that was left out."""

    hosts: tuple[str, ...]
    notes: tuple[str, ...] = ()


def place(
    model: str,
    facts: Mapping[str, HostFacts],
    unfit: Mapping[str, str],
    routes: Routes,
    *,
    named: Sequence[str] = (),
    replicas: int | None = None,
) -> Placement:
    """Return the hosts that shall serve `model`.

    `facts` are of all hosts that answer, by name; `unfit` says of some why they cannot hold it. Hosts that are
    `named` are taken as they are. Else those that have the model keep it, and more are added up to `replicas`; a
    model that no host has goes to all that can hold it, or to `replicas` of them, those with the fewest
    replicas first. Raises NothingSuitableError where none can, InputError where fewer can than were asked for.
    """
    if named:
        return Placement(tuple(name for name in facts if name in named))
    have = having(model, facts, routes)
    free = sorted(
        (name for name in facts if name not in have and name not in unfit),
        key=lambda name: len(facts[name].slots),
    )
    wanted = replicas if replicas is not None else len(have) or len(free)
    chosen = {*have, *free[: max(0, wanted - len(have))]}
    if not chosen:
        raise NothingSuitableError(
            f"no host can take {model}:\n  " + "\n  ".join(unfit.values() or ["none answers"]),
            hint="toolkit hosts shows what is there",
        )
    if replicas is not None and len(chosen) < replicas:
        raise InputError(
            f"{replicas} replicas of {model} were asked for; {len(chosen)} hosts can have one",
            hint="toolkit hosts shows what is there",
        )
    if replicas is not None and len(chosen) > replicas:
        raise InputError(
            f"{model} has {len(have)} replicas, more than {replicas}",
            hint=f"toolkit stop {model} --host HOST takes one away",
        )
    notes = [f"{name} is left out: {why}" for name, why in unfit.items() if name not in chosen]
    return Placement(tuple(name for name in facts if name in chosen), tuple(notes))


def having(model: str, facts: Mapping[str, HostFacts], routes: Routes) -> set[str]:
    """Return the hosts that have a replica of `model`, or traffic for it."""
    route = routes.of(model)
    routed = {target.host for target in route.targets if target.weight} if route else set()
    return {name for name, each in facts.items() if each.slots_of(model) or name in routed}
