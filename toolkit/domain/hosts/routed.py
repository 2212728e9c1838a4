"""A slot's part in the traffic of its model, by routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from toolkit.domain.hosts.facts import SlotFacts


def routed(slot: SlotFacts, routes: Mapping[str, Any], label: str) -> SlotFacts:
    """Return `slot` of the host `label` with the part that `routes`, the content of `routes.json`, give it.

    A slot without a target in its model's route is idle. Without a route of the model, it has no part and is not idle.
    """
    route = next((each for each in routes.get("routes", ()) if each["model"] == slot.model), None)
    if route is None:
        return replace(slot, weight=0, share=0, asleep="", serves_awake=False, idle=False)
    own = _target(route, label, slot.slot)
    part, sleep = own.get("asleep", ""), route.get("sleep") or {}
    return replace(
        slot,
        weight=int(own.get("weight", 0)),
        share=int(own.get("share", 0)),
        asleep="" if not part else "waking" if sleep.get("due") else "asleep",
        serves_awake=part == "serving",
        idle=not any(own.get(each) for each in ("weight", "share", "standby", "asleep")),
    )


def _target(route: Mapping[str, Any], label: str, slot: str) -> Mapping[str, Any]:
    for target in route["targets"]:
        if target.get("host", "") == label and target["slot"] == slot:
            found: Mapping[str, Any] = target
            return found
    return {}
