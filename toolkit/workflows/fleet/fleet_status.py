"""What is true now on several hosts: one look at each of them and the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.host import HostPort
from toolkit.domain.facts import HostFacts, SlotFacts
from toolkit.domain.release import Deployment
from toolkit.planning.routing.agreement import agreed, behind
from toolkit.workflows.fleet.look import look
from toolkit.workflows.fleet.status import slot_json


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """Facts by host's name; hosts that do not answer, with the reason; hosts whose router missed a change."""

    facts: Mapping[str, HostFacts]
    lost: Mapping[str, str]
    behind: tuple[str, ...]
    keys_differ: bool
    unfinished: tuple[Deployment, ...]

    def slots(self, model: str | None) -> list[tuple[str, SlotFacts]]:
        """Return host's name and slot of each replica, of `model` alone where it is given."""
        return [
            (name, slot)
            for name, facts in self.facts.items()
            for slot in facts.slots
            if model in (None, slot.model)
        ]

    def as_json(self, model: str | None) -> dict[str, Any]:
        """Return what `--json` prints."""
        hosts = {name: asdict(facts) for name, facts in self.facts.items()}
        for facts in hosts.values():
            for name in ("slots", "routes", "used_ports"):
                del facts[name]
        return {
            "hosts": hosts,
            "unreachable": dict(self.lost),
            "routers_behind": list(self.behind),
            "keys_differ": self.keys_differ,
            "slots": [{"host": name, **slot_json(slot)} for name, slot in self.slots(model)],
            "unfinished": [asdict(each) for each in self.unfinished],
        }


def observe_fleet(hosts: Sequence[HostPort], history: History) -> FleetStatus:
    """Return the status of all hosts; who does not answer is among the lost."""
    sight = look(hosts)
    by_label = sight.by_label(hosts)
    routes, facts = agreed(by_label)
    rings = {each.router.ring_digest for each in facts.values() if each.router.running}
    return FleetStatus(
        facts, sight.lost, behind(by_label, routes), len(rings) > 1, tuple(history.unfinished())
    )
