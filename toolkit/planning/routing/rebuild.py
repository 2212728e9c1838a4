"""Routes made anew from the slots of hosts, where `routes.json` is damaged and no other router has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import RefusedError
from toolkit.planning.routing.edits import told, with_targets
from toolkit.planning.routing.ports import slot_ports
from toolkit.planning.routing.routes import FULL_WEIGHT, Routes, Target

ROUTES = "router/routes.json"
KEYS = "router/keys.json"


def routes_are_lost(facts: Collection[HostFacts]) -> bool:
    """Whether no host has sound routes, and one had some."""
    return any(ROUTES in each.damaged for each in facts) and not any(
        each.routes for each in facts if ROUTES not in each.damaged
    )


def rebuilt(hosts: Mapping[str, tuple[Host, HostFacts]], now: float) -> Routes:
    """Return routes that lead to the slots of `hosts`, by label; `now` is in seconds since the epoch.

    Each slot keeps the weight that its router still shows. Where none is shown, the healthy slot with the latest
    release of the model gets the traffic of its host.
    """
    routes = Routes()
    for label, (host, facts) in hosts.items():
        for model in dict.fromkeys(slot.model for slot in facts.slots):
            slots = {slot.slot: slot for slot in facts.slots_of(model)}
            weights = _weights(slots)
            ports = slot_ports(
                model, replace(facts, routes=routes.as_json(label)), host.port_base, label
            )
            relay = f"{host.relay_address}:{host.relay_port}" if label else ""
            targets = tuple(
                _told(
                    Target(
                        name,
                        port,
                        weights.get(name, 0),
                        label,
                        relay,
                        _stands_by(slots.get(name), weights),
                    ),
                    slots.get(name),
                )
                for name, port in ports.items()
            )
            first = max(slots.values(), key=lambda slot: weights.get(slot.slot, 0))
            routing = first.release.routing if first.release else None
            routes = with_targets(routes, model, label, targets, created=int(now), routing=routing)
    last = max((_serial(each) for _, each in hosts.values()), default=0)
    return replace(routes, serial=last + 1)


def _told(target: Target, slot: SlotFacts | None) -> Target:
    """Return the target with the names that the release in its slot gives clients."""
    return told(target, slot.release) if slot and slot.release else target


def require_routes(facts: Collection[HostFacts]) -> None:
    """Raise RefusedError where no host has sound routes: to write new ones would take other models' routes away."""
    if routes_are_lost(facts):
        names = ", ".join(each.name for each in facts if ROUTES in each.damaged)
        raise RefusedError(
            f"the routes of {names} cannot be read ({ROUTES}), so other models would lose theirs",
            hint="toolkit repair",
        )


def require_slots(facts: Mapping[str, HostFacts]) -> None:
    """Raise RefusedError where routes would be made from slots, and a damaged manifest hides one that may serve.

    Its model would get no route, or the traffic would go to the slot that stands by.
    """
    if not routes_are_lost(list(facts.values())):
        return
    for name, each in facts.items():
        if each.lost_manifests:
            path = each.lost_manifests[0]
            raise RefusedError(
                f"{name}: {path} cannot be read and the routes are lost: whether the slot has traffic is not known",
                hint=f"on {name}, put {path} back, or remove it to give up what runs there; then toolkit repair",
            )


def require_readable(model: str, facts: Collection[HostFacts]) -> None:
    """Raise RefusedError where damaged files hide what a change of `model` needs to know."""
    require_routes(facts)
    for each in facts:
        for path in each.damaged:
            if path.startswith(f"slots/{model}-"):
                raise RefusedError(
                    f"{each.name}: {path} cannot be read, so what runs in the slot is not known",
                    hint="toolkit repair",
                )


def _weights(slots: Mapping[str, SlotFacts]) -> dict[str, int]:
    shown = {name: slot.weight for name, slot in slots.items() if slot.weight}
    if shown:
        return shown
    well = [slot for slot in slots.values() if slot.healthy and slot.release]
    if not well:
        return {}
    latest = max(well, key=lambda slot: slot.release.number if slot.release else 0)
    return {latest.slot: FULL_WEIGHT}


def _stands_by(slot: SlotFacts | None, weights: Mapping[str, int]) -> bool:
    """Whether a slot takes over where the serving one fails."""
    return bool(slot and slot.healthy and slot.release and weights and slot.slot not in weights)


def _serial(facts: HostFacts) -> int:
    return Routes.from_json(facts.routes).serial
