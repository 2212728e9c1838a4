"""The drain of a swap: running requests end while new ones wait at the router, and these have only so much patience."""

from __future__ import annotations

from dataclasses import replace

from toolkit.domain.deployment.plan import Step, StepKind
from toolkit.domain.quantity import format_seconds

# Seconds for the steps beside the start: stop, gates, change of routes.
_REST = 5.0
# With less than this a drain would cut answers, and requests that wait would still be refused.
_LEAST = 30.0
DRAIN_WHY = "its running requests end first"
IMPATIENCE_NOTE = "requests wait for up to"


def drain_before(slot: str, hold: float, starts: float) -> Step:
    """Return the drain of `slot` in a swap whose next replica takes `starts` seconds until it is ready.

    It lasts no longer than the requests that wait for up to `hold` seconds have left; where a start alone takes their
    patience, it is not bounded by it.
    """
    left = hold - starts - _REST
    if left < _LEAST:
        return Step(StepKind.DRAIN, DRAIN_WHY, slot)
    why = f"{DRAIN_WHY}, within {format_seconds(left)}: others wait for that"
    return Step(StepKind.DRAIN, why, slot, seconds=left)


def impatience(hold: float, starts: float) -> tuple[str, ...]:
    """Return the remark on requests that are refused before the next replica is ready."""
    if hold - starts - _REST >= _LEAST:
        return ()
    return (
        f"{IMPATIENCE_NOTE} {format_seconds(hold)}, and the drain and a start of about {format_seconds(starts)} "
        "may take longer: the first ones are refused then; a longer `hold` in the registry lets them wait",
    )


def unbounded(step: Step) -> Step:
    """Return a step of a swap as it is where no request waits: a drain lasts as long as the command says."""
    drains = step.kind is StepKind.DRAIN and step.seconds
    return replace(step, reason=DRAIN_WHY, seconds=0.0) if drains else step
