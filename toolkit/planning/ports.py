"""Loopback ports of a model's slots."""

from __future__ import annotations

from toolkit.domain.facts import HostFacts
from toolkit.domain.release import SLOTS
from toolkit.planning.routes import Routes


def slot_ports(model: str, facts: HostFacts, base: int) -> dict[str, int]:
    """Return slot -> port: those of the model's route or slots, else the next free ones from `base`.

    A slot keeps its port for as long as the model has a route, so that an upgrade changes weights alone.
    """
    route = Routes.from_json(facts.routes).of(model)
    ports = {target.slot: target.port for target in route.targets} if route else {}
    # An empty slot gives up a port that somebody else listens on by now.
    ports = {slot: port for slot, port in ports.items() if port not in facts.used_ports}
    ports.update({slot.slot: slot.port for slot in facts.slots_of(model)})
    taken = {*facts.used_ports, *(slot.port for slot in facts.slots), *ports.values()}
    for each in Routes.from_json(facts.routes).routes:
        taken.update(target.port for target in each.targets)
    free = (port for port in range(base, 65536) if port not in taken)
    return {slot: ports.get(slot) or next(free) for slot in SLOTS}
