"""A slot as people read it: the state of its replica, and its part of the traffic."""

from __future__ import annotations

from toolkit.domain.deployment.plan import WHOLE
from toolkit.domain.hosts.facts import SlotFacts


def state_words(slot: SlotFacts) -> str:
    """Return serving, standby, idle, starting, asleep or dozing, or what its process is, and whether it has drifted."""
    if slot.asleep:
        # Its requests end first.
        return slot.asleep if slot.rests or slot.asleep == "waking" else "draining"
    if slot.process != "running":
        return str(slot.process)
    if slot.dozes or slot.rests:
        # The engine of the second has ended while it dozed.
        return "dozing" if slot.dozes else "resting"
    if not slot.healthy:
        return "starting"
    if slot.share:
        return "canary"
    part = "serving" if slot.weight else "idle" if slot.idle else "standby"
    return f"{part}{', drifted' if slot.drift else ''}"


def traffic_words(slot: SlotFacts) -> str:
    """Return the share of a canary, else the weight in the router's traffic."""
    return f"{100 * slot.share / WHOLE:.4g}%" if slot.share else f"{slot.weight}%"
