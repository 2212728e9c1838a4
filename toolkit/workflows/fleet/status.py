"""What is true now: the host's facts, who holds it, what the history has open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.host import HostPort
from toolkit.domain.facts import HostFacts, SlotFacts
from toolkit.domain.probe import LockOwner
from toolkit.domain.release import Deployment
from toolkit.errors import InputError


@dataclass(frozen=True, slots=True)
class Status:
    """One look at a host and the history."""

    facts: HostFacts
    owner: LockOwner | None
    unfinished: tuple[Deployment, ...]

    def as_json(self, slots: Sequence[SlotFacts]) -> dict[str, Any]:
        """Return what `--json` prints, with only these `slots`."""
        facts = asdict(self.facts)
        for name in ("slots", "routes", "used_ports", "held_by"):
            del facts[name]
        return {
            "host": facts,
            "slots": [{"host": self.facts.name, **slot_json(slot)} for slot in slots],
            "held_by": asdict(self.owner) if self.owner else None,
            "unfinished": [asdict(each) for each in self.unfinished],
        }


def observe_status(host: HostPort, history: History) -> Status:
    """Return the status of `host`; raises HostError where it does not answer."""
    facts = host.observe()
    return Status(facts, facts.held_by, tuple(history.unfinished()))


def log_host(hosts: Sequence[HostPort], model: str) -> HostPort:
    """Return the only host, or the first of several that has a replica of `model`, one with traffic before others.

    Raises InputError where none has.
    """
    if len(hosts) == 1:
        return hosts[0]
    from toolkit.workflows.fleet.look import look

    sight = look(hosts)
    having = [
        (host, facts)
        for host in hosts
        if (facts := sight.facts.get(host.name)) and facts.slots_of(model)
    ]
    if not having:
        raise InputError(f"{model} has no replica on any host", hint="toolkit status")
    return max(having, key=lambda each: each[1].serving_slot(model) is not None)[0]


def log_slot(host: HostPort, model: str) -> str:
    """Return the slot whose log a person means: the one that serves, else any that the model has.

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


def slot_json(slot: SlotFacts) -> dict[str, Any]:
    """Return a slot as `--json` prints it."""
    data = asdict(slot)
    data["release"] = slot.release.as_json() if slot.release else None
    data["process"] = str(slot.process)
    return data
