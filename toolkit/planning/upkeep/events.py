"""What the hosts did without a command: takeovers by standbys, and restarts of replicas that hung."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from toolkit.domain.facts import HostFacts
from toolkit.planning.routing.routes import Routes

DAY = 86400.0


def events_of(routes: Routes, facts: Iterable[HostFacts]) -> tuple[str, ...]:
    """Return each event in words: takeovers until the next change of the model, hangs for a day."""
    found = [
        f"{route.model}: its standby took over by itself at {_time(route.took_over)}, "
        f"because what served before was down; toolkit deploy {route.model} chooses anew"
        for route in routes.routes
        if route.took_over
    ]
    found += [
        f"{each.name} {slot.model} {slot.slot}: it hung at {_time(slot.hung_at)} and was restarted: "
        f"{slot.hung}"
        for each in facts
        for slot in each.slots
        if slot.hung_at and each.observed_at - slot.hung_at < DAY
    ]
    return tuple(found)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
