"""The requests of a tally, sorted into good, bad and left out.

`toolkit/planning/metrics/answered.py` says the same to Prometheus.

`docs/observability.md` has the same in words, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.domain.clients.tally import ASLEEP, BROKE_OFF, OWN_LIMITS
from toolkit.domain.registry.objective import Objective, Promise

CLIENT_LEFT, REFUSED, SLEPT = "client left", "refused", "asleep"


@dataclass(slots=True)
class SortedRequests:
    """Requests that were good, bad by reason, and left out by reason."""

    good: int = 0
    bad: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """The requests that were bad, for any reason."""
        return sum(self.bad.values())

    @property
    def valid(self) -> int:
        """The requests that count."""
        return self.good + self.failed

    def add(self, other: SortedRequests) -> None:
        """Add the requests of `other`."""
        self.good += other.good
        for mine, theirs in ((self.bad, other.bad), (self.left_out, other.left_out)):
            for reason, requests in theirs.items():
                mine[reason] = mine.get(reason, 0) + requests


def counted(counts: Mapping[str, int], objective: Objective) -> SortedRequests:
    """Return the counts of a tally as an objective judges them; it ignores unknown names."""
    found = SortedRequests()
    for name, requests in counts.items():
        kind, _, bound = name.partition("<=")
        if objective.promise is Promise.AVAILABILITY:
            if not bound:
                _ended(found, name, requests)
        elif objective.promise is Promise.FIRST:
            if kind == "first":
                _timed(found, float(bound), objective.under, requests)
            elif kind == "gone" and float(bound) > objective.under:
                # The client waited longer than promised before it left.
                _more(found.bad, "late", requests)
            elif kind == "gone":
                _more(found.left_out, CLIENT_LEFT, requests)
        elif kind == "gap" and bound:
            _timed(found, float(bound), objective.under, requests)
    return found


def _ended(found: SortedRequests, name: str, requests: int) -> None:
    status, _, reason = name.partition(":")
    number = int(status) if status.isdecimal() else 0
    if number == 499:
        _more(found.left_out, CLIENT_LEFT, requests)
    elif reason == ASLEEP:
        _more(found.left_out, SLEPT, requests)
    elif number >= 500 or reason == BROKE_OFF:
        _more(found.bad, reason or status, requests)
    elif number == 429 and reason not in OWN_LIMITS:
        # The model refuses everybody because it is overloaded: no client caused this alone.
        _more(found.bad, reason or status, requests)
    elif number >= 400:
        _more(found.left_out, REFUSED, requests)
    elif number >= 200:
        found.good += requests


def _timed(found: SortedRequests, bound: float, under: float, requests: int) -> None:
    # The bounds of a registry are among those of hosts, which have nine digits.
    if bound <= under:
        found.good += requests
    else:
        _more(found.bad, "late", requests)


def _more(group: dict[str, int], reason: str, requests: int) -> None:
    group[reason] = group.get(reason, 0) + requests
