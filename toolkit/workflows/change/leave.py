"""Take a host out of a fleet: drain it while it answers, forget it once it is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.adapters.history.history import History
from toolkit.domain.hosts.facts import FleetFacts
from toolkit.errors import InputError, RefusedError
from toolkit.planning.change.placement import having
from toolkit.planning.routing.agreement import agreed
from toolkit.planning.routing.members import without_host
from toolkit.planning.routing.rebuild import require_routes
from toolkit.workflows.change.recording import record_departure
from toolkit.workflows.change.stop import stop_model
from toolkit.workflows.fleet.look import lock_all, look
from toolkit.workflows.fleet.members import hosts_that_left
from toolkit.workflows.tools import Timing, Tools


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

    Raises RefusedError where a model runs on no other host, HostError where the host does not answer.
    """
    seen = look([each.host for each in members])
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
    alone = [
        model
        for model in found
        if not any(
            slot.serving
            for other, each in facts.items()
            if other != name
            for slot in each.slots_of(model)
        )
        and facts[name].serving_slot(model)
    ]
    if alone:
        raise RefusedError(
            f"no other host serves {', '.join(alone)}",
            hint=f"toolkit deploy {alone[0]} --host OTHER first, or give it up: toolkit stop {alone[0]}",
        )
    leaving = Leaving("drain", name, tuple(found))
    _require_yes(leaving, confirm)
    for model in found:
        stop_model(members, model, lambda _: True, named=[name], timing=timing)
    return leaving


def forget_host(members: Sequence[Tools], name: str, confirm: Confirm) -> Leaving:
    """Remove a host that is gone from the routes of the fleet and close its records in the history.

    What runs on it goes on, without requests from this fleet. Raises InputError where the host is a member that
    answers, or where nothing knows it; HostError where no router followed.
    """
    first = members[0]
    seen = look([each.host for each in members])
    if name in seen.facts:
        raise InputError(
            f"{name} is in the fleet file and answers",
            hint=f"toolkit hosts drain {name}, and take it out of the fleet file",
        )
    if not seen.facts:
        raise seen.failure()
    require_routes(list(seen.facts.values()))
    found = _known(first.history, seen, name)
    if not found and name not in seen.errors:
        raise InputError(f"no route and no record leads to {name}", hint="toolkit status")
    leaving = Leaving("forget", name, found)
    _require_yes(leaving, confirm)
    there = [each for each in members if each.host.name in seen.facts]
    with lock_all([each.host for each in there], first.owner, first.patience):
        again = look([each.host for each in there])
        if again.errors:
            raise again.failure()
        first.routers.observed(again.by_label)
        first.routers.change(lambda routes: without_host(routes, name), set(again.by_label))
        record_departure(first, name, found)
    return leaving


def _known(history: History, seen: FleetFacts, name: str) -> tuple[str, ...]:
    routes, _ = agreed(seen.by_label)
    others = [host for host in seen.labels if host != name]
    return hosts_that_left(history, routes, others).get(name, ())


def _require_yes(leaving: Leaving, confirm: Confirm) -> None:
    if not confirm(leaving):
        raise RefusedError("not confirmed; nothing was changed", hint="add --yes to go ahead")
