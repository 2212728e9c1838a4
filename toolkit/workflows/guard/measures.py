"""Gates that measure both replicas: how they do before and after the other gates, and how fast they answer."""

from __future__ import annotations

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.gates.verdict import GateResult
from toolkit.domain.replicas.answers import Pair, Vitals
from toolkit.planning.guard import speed
from toolkit.planning.guard.health import Watched, judge
from toolkit.workflows.guard.replicas import GatedReplica, Gating


def look(host: HostPort, replica: GatedReplica, log: str = "") -> Vitals:
    """Return how a replica does, with the lines of its log since `log`."""
    return host.vitals(f"{replica.release.model}-{replica.slot}", replica.port, log)


def health_gate(gating: Gating) -> GateResult | None:
    """Return the verdict on what the other gates did to the new replica."""
    new = _watched(gating, gating.new)
    assert new is not None
    old = _watched(gating, gating.old) if gating.old else None
    return judge(new, old, gating.guard.tolerance)


def _watched(gating: Gating, replica: GatedReplica) -> Watched | None:
    began = gating.began.get(replica.slot)
    if began is None:
        return None
    # An empty log has no place to read on from: read all of it.
    return Watched(replica.release, began, look(gating.host, replica, began.log or "0:0"))


def speed_gate(gating: Gating) -> GateResult | None:
    """Take pairs until they show that the new release is as fast or slower, or until the gate gives up.

    Return None where the guard asks for no comparison of speed.
    """
    asked, new, old = gating.guard.speed, gating.new, gating.rival
    if asked is None:
        return None
    places = (new.port, old.port if old else 0, new.asked, old.asked if old else "")
    wanted = speed.wanted(new.release, asked, *places)
    pairs: list[Pair] = []
    while True:
        pairs += gating.host.pairs(wanted, lambda _: None)
        judged = speed.judge(pairs, gating.guard.tolerance)
        if not judged.undecided or len(pairs) >= speed.MOST:
            return judged.result
        if len(pairs) == wanted.pairs:
            gating.say("  speed: the first pairs do not decide; taking more")
