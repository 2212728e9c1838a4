"""Whether a model keeps an objective: its good share, the rest of the budget, and the releases that spent it.

The budget is the part of the requests that may be bad: of 10,000 requests under an objective of 99.5 % these are 50. It
is that of the requests that came in the window, so it grows with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toolkit.domain.clients.tally import Tally
from toolkit.domain.registry.objective import Objective
from toolkit.planning.objectives.counting import SortedRequests, counted

# Hours over which the pace is told at which the budget is spent, the windows of the alerts.
PACES = (1, 6, 24, 72)


@dataclass(frozen=True, slots=True)
class Lived:
    """A release that was the one that last went live, from `started` on (seconds since the epoch)."""

    release: int
    version: str
    started: float


@dataclass(frozen=True, slots=True)
class Spent:
    """Spent by a release: `bad` requests, the most frequent reasons first, and their part of the whole budget.

    `unserved` ones reached no replica; the release is the one that was live. It is 0 where that is not known.
    """

    release: int
    version: str
    unserved: bool
    bad: int
    budget: float
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Attained:
    """An objective over a window. `attained` and `left` are None where no request counts.

    `left` is the part of the budget that is left, below 0 where more was spent. `allowed` are the requests that may be
    bad. `paces` say for each of `PACES` how many times too fast the budget is spent: 1 spends it in exactly the window.
    """

    objective: Objective
    good: int
    bad: int
    left_out: tuple[tuple[str, int], ...]
    attained: float | None
    allowed: float
    left: float | None
    spent: tuple[Spent, ...]
    paces: tuple[float | None, ...]


def attained(
    objective: Objective, tallies: Sequence[Tally], until: int, lived: Sequence[Lived] = ()
) -> Attained:
    """Return the state of an objective by the tallies of a window.

    `until` is the last hour of the window, in hours since the epoch; `lived` are the model's reigns in their order.
    """
    whole = SortedRequests()
    by_release: dict[tuple[int, str, bool], SortedRequests] = {}
    for each in tallies:
        found = counted(each.counts, objective)
        whole.add(found)
        if found.bad:
            by_release.setdefault(_release(each, lived), SortedRequests()).add(found)
    allowed = (1 - objective.target) * whole.valid
    spent = [
        Spent(*name, each.failed, each.failed / allowed, _frequent(each.bad))
        for name, each in by_release.items()
    ]
    return Attained(
        objective=objective,
        good=whole.good,
        bad=whole.failed,
        left_out=_frequent(whole.left_out),
        attained=whole.good / whole.valid if whole.valid else None,
        allowed=allowed,
        left=1 - whole.failed / allowed if whole.valid else None,
        spent=tuple(sorted(spent, key=lambda each: (-each.bad, -each.release, each.unserved))),
        paces=tuple(_pace(objective, tallies, until - hours) for hours in PACES),
    )


def _release(tally: Tally, lived: Sequence[Lived]) -> tuple[int, str, bool]:
    """Return release, version, and whether no replica took the requests."""
    if tally.release:
        return tally.release, tally.version, False
    # Take the release that went live last before the hour ended: failures just after an upgrade belong to the new one.
    began = [each for each in lived if each.started < (tally.hour + 1) * 3600]
    return (began[-1].release, began[-1].version, True) if began else (0, "", True)


def _pace(objective: Objective, tallies: Iterable[Tally], after: int) -> float | None:
    found = SortedRequests()
    for each in tallies:
        if each.hour > after:
            found.add(counted(each.counts, objective))
    if not found.valid:
        return None
    return found.failed / found.valid / (1 - objective.target)


def _frequent(reasons: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(reasons.items(), key=lambda each: (-each[1], each[0])))
