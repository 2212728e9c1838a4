"""The choice of the hosts that get a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.said_once import listed, said_once
from toolkit.errors import InputError, NothingSuitableError, ToolkitError
from toolkit.planning.routing.routes import Routes

GATEWAY = "a gateway, which gets no replica"
_GATEWAY_HINT = "hosts for replicas have no toolkit_gateway in the fleet file"
_LOOK = "toolkit hosts shows what is there"


@dataclass(frozen=True, slots=True)
class Placement:
    """The hosts by name, in the fleet's order, and a note for each that was left out."""

    hosts: tuple[str, ...]
    notes: tuple[str, ...] = ()


def choose_hosts(
    model: str,
    facts: Mapping[str, HostFacts],
    unfit: Mapping[str, ToolkitError],
    routes: Routes,
    *,
    named: Sequence[str] = (),
    replicas: int | None = None,
    span: int = 1,
) -> Placement:
    """Return the hosts that serve `model` after the change.

    `facts` are of all hosts that answer, by name; `unfit` says why some of them cannot hold the model. Hosts that are
    `named` are taken as they are. Otherwise the hosts that have the model keep it unless they are unfit, and hosts are
    added up to `replicas`. A model that no host has goes to all hosts that can hold it, or to `replicas` of them, those
    with the fewest replicas first. A model whose replica runs over `span` hosts has one replica, on as many hosts.
    Raises NothingSuitableError where no host can hold it, InputError where fewer can than `replicas`.
    """
    if span > 1:
        return _together(model, facts, unfit, routes, named=named, replicas=replicas, span=span)
    if named:
        return Placement(tuple(name for name in facts if name in named))
    have = having(model, facts, routes)
    free = sorted(
        (name for name in facts if name not in have and name not in unfit),
        key=lambda name: len(facts[name].slots),
    )
    wanted = replicas if replicas is not None else len(have) or len(free)
    chosen = {*have, *free[: max(0, wanted - len(have))]} - unfit.keys()
    if not chosen:
        raise NothingSuitableError(
            f"no host can take {model}:" + (_said(unfit) or "\n  none answers"),
            hint=_remedy(unfit),
        )
    if replicas is not None and len(chosen) < replicas:
        raise InputError(
            f"{replicas} replicas of {model} were asked for; {len(chosen)} hosts can have one",
            hint=_LOOK,
        )
    if replicas is not None and len(chosen) > replicas:
        raise InputError(
            f"{model} has {len(have)} replicas, more than {replicas}",
            hint=f"toolkit stop {model} --host HOST takes one away",
        )
    left = {name: error.message for name, error in unfit.items() if name not in chosen}
    notes = (
        f"{listed(each.hosts)} {'is' if len(each.hosts) == 1 else 'are'} left out: {each.words}"
        for each in said_once(left)
    )
    return Placement(tuple(name for name in facts if name in chosen), tuple(notes))


def _together(
    model: str,
    facts: Mapping[str, HostFacts],
    unfit: Mapping[str, ToolkitError],
    routes: Routes,
    *,
    named: Sequence[str],
    replicas: int | None,
    span: int,
) -> Placement:
    have = having(model, facts, routes)
    if replicas not in (None, 1):
        raise InputError(
            f"{model} has one replica over {span} hosts, not {replicas}",
            hint="a second one needs a model of its own in the registry",
        )
    if have and len(have) != span:
        raise InputError(
            f"{model} is on {_names(have)}, and its version runs on {span} hosts together",
            hint=f"toolkit stop {model}, then toolkit deploy {model}",
        )
    if named and (len(named) != span or (have and set(named) != have)):
        raise InputError(
            f"{model} runs on {_names(have) if have else f'{span} hosts'} together; "
            f"{_names(named)} {'was' if len(named) == 1 else 'were'} named",
            hint="name all of them, or none",
        )
    able = sorted(
        (name for name in facts if name not in unfit), key=lambda name: len(facts[name].slots)
    )
    chosen = have or set(named) or set(able[:span])
    if len(chosen) < span:
        raise NothingSuitableError(
            f"{model} takes {span} hosts together, {len(chosen)} can take part{_said(unfit)}",
            hint=_remedy(unfit),
        )
    return Placement(tuple(name for name in facts if name in chosen))


def _remedy(unfit: Mapping[str, ToolkitError]) -> str:
    """Return the common hint of all hosts; where their hints differ, the command that shows them."""
    hints = {error.hint for error in unfit.values()}
    return next(iter(hints)) or _LOOK if len(hints) == 1 else _LOOK


def _said(unfit: Mapping[str, ToolkitError]) -> str:
    """Return why hosts cannot have it, each reason in a line with the names of its hosts."""
    words = {
        name: error.message if name in error.message else f"{name}: {error.message}"
        for name, error in unfit.items()
    }
    return "".join(f"\n  {each.words}" for each in said_once(words))


def _names(names: Collection[str]) -> str:
    return " and ".join(sorted(names))


def require_place_for_replicas(host: Host) -> None:
    """Raise NothingSuitableError for a host that gets no replica of any model, because it is a gateway."""
    if host.gateway:
        raise NothingSuitableError(f"{host.name} is {GATEWAY}", hint=_GATEWAY_HINT)


def gateway_remarks(host: Host, facts: HostFacts) -> tuple[str, ...]:
    """Return a remark on a host that became a gateway: it keeps its replicas until somebody moves them."""
    models = sorted({slot.model for slot in facts.slots}) if host.gateway else []
    if not models:
        return ()
    return (f"it is a gateway and still has {', '.join(models)}; toolkit hosts drain {host.name}",)


def having(model: str, facts: Mapping[str, HostFacts], routes: Routes) -> set[str]:
    """Return the hosts that have a replica of `model`, or a place in its route.

    A host that was installed anew, or whose replica did not come up there again, has its place alone.
    """
    # The only host of a fleet has no name in routes.
    routed = hosts_of(model, routes)
    return {name for name, each in facts.items() if each.slots_of(model) or {name, ""} & routed}


def hosts_of(model: str, routes: Routes) -> set[str]:
    """Return the hosts with a part of `model`, by the names in its routes."""
    route = routes.of(model)
    return {target.host for target in route.targets} if route else set()
