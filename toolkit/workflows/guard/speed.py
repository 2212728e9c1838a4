"""Take the pairs of the gate `speed` on a host."""

from __future__ import annotations

from toolkit.domain.gates.guard import GateResult
from toolkit.domain.replicas.probe import Pair
from toolkit.planning.guard import speed
from toolkit.workflows.guard.replicas import Gating


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
