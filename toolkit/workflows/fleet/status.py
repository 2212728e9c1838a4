"""The status of a fleet: the facts of all hosts, and the open deployments of the history."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.deployment.release import Deployment
from toolkit.domain.hosts.facts import FleetFacts, HostFacts, SlotFacts
from toolkit.domain.registry.model import Registry
from toolkit.errors import InputError, ToolkitError
from toolkit.planning.change.drift import drift_of
from toolkit.planning.change.sleep import turns
from toolkit.planning.routing.agreement import agreed, behind, keys_differ
from toolkit.planning.routing.members import left_behind, strangers, union
from toolkit.planning.routing.routes import Routes
from toolkit.planning.upkeep.departed import departed
from toolkit.planning.upkeep.events import events_of
from toolkit.workflows.fleet.look import look


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """One look at all hosts and the history.

    `behind` names hosts whose router missed a change; `drift` says what is not as it was deployed. `history_fault` is
    why the history could not be read in full. `left_registry` says what runs and is no longer in the registry;
    `registry_fault` is why that is not known. `events` say what happened without a command. `left_fleet` has the models
    of each host that left the fleet file. `alternates` has the models that take turns with one, by its name.
    """

    fleet: FleetFacts
    behind: tuple[str, ...]
    keys_differ: bool
    drift: tuple[str, ...]
    unfinished: tuple[Deployment, ...]
    history_fault: str = ""
    left_registry: tuple[str, ...] = ()
    registry_fault: str = ""
    events: tuple[str, ...] = ()
    left_fleet: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alternates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def slots(self, model: str | None) -> list[tuple[str, SlotFacts]]:
        """Return host's name and slot of each replica, of `model` alone where it is given."""
        return [
            (name, slot)
            for name, facts in self.fleet.facts.items()
            for slot in facts.slots
            if model in (None, slot.model)
        ]

    def as_json(self, model: str | None) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "hosts": {name: facts.as_json() for name, facts in self.fleet.facts.items()},
            "unreachable": self.fleet.unreachable,
            "routers_behind": list(self.behind),
            "keys_differ": self.keys_differ,
            "slots": [{"host": name, **_slot_json(slot)} for name, slot in self.slots(model)],
            "drift": list(self.drift),
            "events": list(self.events),
            "unfinished": [asdict(each) for each in self.unfinished],
            "history_fault": self.history_fault,
            "left_registry": list(self.left_registry),
            "registry_fault": self.registry_fault,
            "left_fleet": {name: list(models) for name, models in self.left_fleet.items()},
        }


def observe_fleet(
    hosts: Sequence[HostPort], history: History, read_registry: Callable[[], Registry]
) -> FleetStatus:
    """Return the status of all hosts; those that do not answer are among its `fleet.errors`.

    A registry that cannot be read is a field of the status, not an error.
    """
    seen = look(hosts)
    routes, facts = agreed(seen.by_label)
    known = history.unfinished()
    rollouts = {each.rollout for each in known}
    # A change that was begun on another ops machine, with a history of its own.
    foreign = [
        each.on(host.name)
        for host in facts.values()
        for each in host.open_deployments
        if each.rollout not in rollouts
    ]
    left, registry_fault = _left_registry(facts.values(), read_registry)
    return FleetStatus(
        FleetFacts(facts, seen.errors, seen.labels),
        behind(seen.by_label, routes),
        keys_differ(facts.values()),
        tuple(words for each in facts.values() for words in drift_of(each)),
        (*known, *foreign),
        history.fault,
        left,
        registry_fault,
        events_of(routes, facts.values()),
        hosts_that_left(history, routes, seen.labels),
        turns(routes),
    )


def _left_registry(
    facts: Iterable[HostFacts], read_registry: Callable[[], Registry]
) -> tuple[tuple[str, ...], str]:
    """Return the releases that have left the registry, or the reason why they are unknown."""
    facts = [each for each in facts if each.slots]
    if not facts:
        return (), ""
    try:
        return departed(facts, read_registry()), ""
    except ToolkitError as error:
        return (), error.message


def log_host(hosts: Sequence[HostPort], model: str) -> HostPort:
    """Return the only host, or the first of several with a replica of `model`: one with traffic before others.

    Raises InputError where no host has one.
    """
    if len(hosts) == 1:
        return hosts[0]
    seen = look(hosts)
    having = [
        (host, facts)
        for host in hosts
        if (facts := seen.facts.get(host.name)) and facts.slots_of(model)
    ]
    if not having:
        raise InputError(f"{model} has no replica on any host", hint="toolkit status")
    return max(having, key=lambda each: each[1].serving_slot(model) is not None)[0]


def log_slot(host: HostPort, model: str) -> str:
    """Return the slot for a person's question about the log of a model: the serving one, else any.

    Raises InputError where the model has none.
    """
    facts = host.observe()
    serving = facts.serving_slot(model)
    slots = [serving] if serving else list(facts.slots_of(model))
    if not slots:
        raise InputError(
            f"{model} has no replica on {facts.name}",
            hint=f"toolkit status; the log of a failed start: toolkit logs {model} --slot blue",
        )
    return slots[0].slot


def _slot_json(slot: SlotFacts) -> dict[str, Any]:
    data = asdict(slot)
    data["release"] = slot.release.as_json() if slot.release else None
    data["process"] = str(slot.process)
    return data


def hosts_that_left(
    history: History, routes: Routes, fleet: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the models of each host that is none of `fleet` and that routes or history still know."""
    told = history.deployments_until(math.inf)
    return union(strangers(routes, fleet), left_behind(told[::-1], fleet))
