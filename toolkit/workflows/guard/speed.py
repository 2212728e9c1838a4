"""Take the pairs of the gate `speed` on a host."""

from __future__ import annotations

from toolkit.adapters.hosts.host import HostPort
from toolkit.domain.guard import GateResult, Guard
from toolkit.domain.probe import Pair, PairsWanted
from toolkit.planning.guard import speed
from toolkit.workflows.tools import Say


def measure(host: HostPort, guard: Guard, wanted: PairsWanted, say: Say) -> GateResult:
    """Take pairs until they show that the new release is as fast or slower, or until the gate gives up."""
    pairs: list[Pair] = []
    for turn in range(speed.MOST):
        pairs += host.pairs(wanted, lambda _: None)
        judged = speed.judge(pairs, guard.tolerance)
        if not judged.undecided:
            break
        if turn == 0:
            say("speed: taking more pairs, because the first ones do not decide")
    return judged.result
