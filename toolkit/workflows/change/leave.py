"""Take a host out of a fleet: drain it while it answers, forget it once it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.adapters.history.history import History
from toolkit.domain.hosts.facts import FleetFacts, HostFacts
from toolkit.errors import HostError, InputError, RefusedError
from toolkit.planning.change.placement import having
from toolkit.planning.change.span import require_whole
from toolkit.planning.routing.agreement import agreed
from toolkit.planning.routing.members import without_host
from toolkit.planning.routing.rebuild import require_routes
from toolkit.workflows.change.recording import record_departure
from toolkit.workflows.change.recover import naming_left_open
from toolkit.workflows.change.routers import TELL, missed, unreachable_rows
from toolkit.workflows.change.stop import StopPlan, stop_held
from toolkit.workflows.fleet.look import lock_all, look, look_free
from toolkit.workflows.fleet.status import hosts_that_left
from toolkit.workflows.tools import Timing, Tools, require_yes


@dataclass(frozen=True, slots=True)
class Leaving:
    """A host that is drained or forgotten, and the models that it has, or is believed to have."""

    action: str
    host: str
    models: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"action": self.action, "host": self.host, "models": list(self.models)}


Confirm = Callable[[Leaving], bool]


def drain_host(members: Sequence[Tools], name: str, confirm: Confirm, timing: Timing) -> Leaving:
    """Stop all models on the host `name` of the fleet, without a lost request; the other hosts serve them.

    Raises RefusedError where no other host serves a model, or sleeps with it, and where a model came to the host while
    it was asked for; InputError where other hosts run a model together with it; HostError where the host does not
    answer, or where another one does not, whose router still leads to it.
    """
    first = members[0]
    seen = look_free([each.host for each in members], first.patience)
    leaving = _draining(seen, name)
    require_yes(leaving, confirm)
    if not leaving.models:
        return leaving
    there = [each for each in members if each.host.name in seen.facts]

    def agreed_to(plan: StopPlan, facts: Mapping[str, HostFacts]) -> None:
        # A change that was cut short has ended by now: it may have been a stop on another host.
        _require_others(name, [plan.model] if plan.plans else [], facts)

    with lock_all([each.host for each in there], first.owner, first.patience):
        found = look([each.host for each in there])
        if found.errors:
            raise found.failure()
        new = set(_draining(found, name).models) - set(leaving.models)
        if new:
            raise RefusedError(
                f"{', '.join(sorted(new))} came to {name} meanwhile; nothing was changed",
                hint=f"toolkit hosts drain {name}",
            )
        again = f"toolkit hosts drain {name}"
        with naming_left_open(there):
            for model in leaving.models:
                stop_held(there, model, [name], timing, agreed_to, again=again)
        behind = missed(first.routers.catch_up())
    if seen.errors or behind:
        rows = unreachable_rows(seen.unreachable)
        raise HostError(
            f"{name} serves nothing, but not all routers follow:\n  "
            + "\n  ".join([*rows, *behind]),
            hint=f"{TELL}, once they answer" if seen.errors else TELL,
        )
    return leaving


def _draining(seen: FleetFacts, name: str) -> Leaving:
    """Return the models of the host `name`; raises what `drain_host` raises where it must keep one."""
    if name in seen.errors:
        raise seen.errors[name]
    require_routes(list(seen.facts.values()))
    routes, facts = agreed(seen.by_label)
    found = dict.fromkeys(slot.model for slot in facts[name].slots)
    found.update(
        dict.fromkeys(
            route.model for route in routes.routes if name in having(route.model, facts, routes)
        )
    )
    for model in found:
        require_whole(model, facts, [name])
    _require_others(name, found, facts)
    return Leaving("drain", name, tuple(found))


def _require_others(name: str, models: Iterable[str], facts: Mapping[str, HostFacts]) -> None:
    """Raise RefusedError where the host has the only replica of a model that serves or sleeps, or could serve again."""
    alone = [
        model
        for model in models
        if facts[name].slots_of(model)
        and not any(
            slot.serving or slot.asleep
            for other, each in facts.items()
            if other != name
            for slot in each.slots_of(model)
        )
    ]
    if alone:
        first = alone[0]
        asleep = any(slot.asleep for slot in facts[name].slots_of(first))
        wake = f"toolkit wake {first}, then " if asleep else ""
        raise RefusedError(
            f"no other host {'has' if asleep else 'serves'} {', '.join(alone)}",
            hint=f"{wake}toolkit deploy {first} --host OTHER first, or give it up: toolkit stop {first}",
        )


def forget_host(members: Sequence[Tools], name: str, confirm: Confirm) -> Leaving:
    """Remove a host that is gone from the routes of the fleet and close its records in the history.

    What runs on it goes on, without requests from this fleet. Raises InputError where the host is a member that
    answers, or where nothing knows it; HostError where a router refused, and once all others lead to the host no more
    where another host does not answer.
    """
    first = members[0]
    seen = look([each.host for each in members])
    _require_gone(name, seen)
    if not seen.facts:
        raise seen.failure()
    require_routes(list(seen.facts.values()))
    found = _known(first.history, seen, name)
    if not found and name not in seen.errors:
        raise InputError(f"no route and no record leads to {name}", hint="toolkit status")
    leaving = Leaving("forget", name, found)
    require_yes(leaving, confirm)
    there = [each for each in members if each.host.name in seen.facts]
    with lock_all([each.host for each in there], first.owner, first.patience):
        again = look([each.host for each in there])
        if again.errors:
            raise again.failure()
        _require_gone(name, look([each.host for each in members if each.host.name == name]))
        first.routers.observed(again.by_label)
        first.routers.change(lambda routes: without_host(routes, name), set(again.by_label))
        record_departure(first, name, found)
        behind = missed(first.routers.catch_up())
    rows = unreachable_rows(
        {other: why for other, why in seen.unreachable.items() if other != name}
    )
    if rows or behind:
        raise HostError(
            f"{name} is forgotten, but not all routers follow:\n  " + "\n  ".join([*rows, *behind]),
            hint=f"{TELL}, once they answer" if rows else TELL,
        )
    return leaving


def _require_gone(name: str, seen: FleetFacts) -> None:
    if name in seen.facts:
        raise InputError(
            f"{name} is in the fleet file and answers",
            hint=f"toolkit hosts drain {name}, and take it out of the fleet file",
        )


def _known(history: History, seen: FleetFacts, name: str) -> tuple[str, ...]:
    routes, _ = agreed(seen.by_label)
    others = [host for host in seen.labels if host != name]
    return hosts_that_left(history, routes, others).get(name, ())
