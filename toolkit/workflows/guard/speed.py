"""Take the pairs of the gate `speed` on a host."""

from __future__ import annotations

from toolkit.domain.guard import GateResult
from toolkit.domain.probe import Pair
from toolkit.planning.guard import speed
from toolkit.workflows.guard.replicas import Gating


def speed_gate(gating: Gating) -> GateResult | None:
    """Take pairs until they show that the new release is as fast or slower, or until the gate gives up.

    Return None where the guard asks for no comparison of speed.
    """
    asked, old = gating.guard.speed, gating.old
    if asked is None:
        return None
    wanted = speed.wanted(gating.new.release, asked, gating.new.port, old.port if old else 0)
    pairs: list[Pair] = []
    while True:
        pairs += gating.host.pairs(wanted, lambda _: None)
        judged = speed.judge(pairs, gating.guard.tolerance)
        if not judged.undecided or len(pairs) >= speed.MOST:
            return judged.result
        if len(pairs) == wanted.pairs:
            gating.say("  speed: the first pairs do not decide; taking more")
