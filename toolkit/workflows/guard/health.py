"""Look at both replicas before the gates and after them."""

from __future__ import annotations

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.gates.guard import GateResult
from toolkit.domain.replicas.probe import Vitals
from toolkit.planning.guard.health import Watched, judge
from toolkit.workflows.guard.replicas import Gating, Place


def look(host: HostPort, place: Place, log: str = "") -> Vitals:
    """Return how the replica at a place does, with the lines of its log since `log`."""
    return host.vitals(f"{place.release.model}-{place.slot}", place.port, log)


def health_gate(gating: Gating) -> GateResult | None:
    """Return the verdict on what the other gates did to the new replica."""
    new = _watched(gating, gating.new)
    assert new is not None
    old = _watched(gating, gating.old) if gating.old else None
    return judge(new, old, gating.guard.tolerance)


def _watched(gating: Gating, place: Place) -> Watched | None:
    began = gating.began.get(place.slot)
    if began is None:
        return None
    # A log that was empty has no place; then all of it is new.
    return Watched(place.release, began, look(gating.host, place, began.log or "0:0"))
