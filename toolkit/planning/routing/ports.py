"""Loopback ports of a model's slots."""

from __future__ import annotations

from toolkit.domain.deployment.release import SLOTS
from toolkit.domain.hosts.facts import HostFacts, ProcessState
from toolkit.errors import NothingSuitableError
from toolkit.planning.routing.routes import Routes


def slot_ports(model: str, facts: HostFacts, base: int, label: str = "") -> dict[str, int]:
    """Return slot -> port: the ports of the model's route or slots, else the next free ports from `base`.

    A slot keeps its port while the model has a route, so that an upgrade changes weights alone. `label` is the host's
    name in routes. The result includes slots with unknown names, because they may have to be drained and stopped.
    Raises NothingSuitableError where no port is left.
    """
    slots = facts.slots_of(model)
    routes = Routes.from_json(facts.routes)
    route = routes.of(model)
    ports = {target.slot: target.port for target in route.on(label)} if route else {}
    ports.update({slot.slot: slot.port for slot in slots})
    # A slot whose replica does not run gives up its port to another listener.
    running = {slot.slot for slot in slots if slot.process is ProcessState.RUNNING}
    ports = {
        slot: port
        for slot, port in ports.items()
        if slot in running or port not in facts.used_ports
    }
    taken = {*facts.used_ports, *(slot.port for slot in facts.slots), *ports.values()}
    for each in routes.routes:
        taken.update(target.port for target in each.on(label))
    free = (port for port in range(base, 65536) if port not in taken)
    names = dict.fromkeys([*SLOTS, *(slot.slot for slot in slots)])
    found = {name: ports.get(name) or next(free, 0) for name in names}
    if not all(found.values()):
        raise NothingSuitableError(
            f"no port from {base} up is free on {facts.name}",
            hint="set a lower toolkit_port_base in the fleet file",
        )
    return found
