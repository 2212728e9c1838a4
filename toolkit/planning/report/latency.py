"""Latency before and after each upgrade, as its gates and guards measured both releases at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from toolkit.planning.report.changes import PastChange

_UNIT = "ms"
# A chart shows one figure for an upgrade: the first of these kinds that was measured. Clients wait for it first.
_FIRST = ("first token", "first byte", "probe", "answer")


@dataclass(frozen=True, slots=True)
class Before:
    """A time in milliseconds of the release before a change and of the new one, the medians over its hosts."""

    change: PastChange
    gate: str
    name: str
    old: float
    new: float

    @property
    def ratio(self) -> float:
        """The new time as a multiple of the old one."""
        return self.new / self.old


def measured(changes: Iterable[PastChange]) -> tuple[Before, ...]:
    """Return all times of both releases, change after change, the gates in their order."""
    found: list[Before] = []
    for change in changes:
        pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for record in sorted(change.records, key=lambda each: each.at):
            for each in record.result.figures:
                if each.unit == _UNIT and each.new and each.old and min(each.new, each.old) > 0:
                    key = (record.result.gate, each.name)
                    pairs.setdefault(key, []).append((each.old, each.new))
        found += [
            Before(
                change, gate, name, median(old for old, _ in both), median(new for _, new in both)
            )
            for (gate, name), both in pairs.items()
        ]
    return tuple(found)


def leading(found: Sequence[Before]) -> tuple[Before, ...]:
    """Return one time for each change: until the first token where it was measured, else the next best."""
    best: dict[int, Before] = {}
    for each in found:
        known = best.get(id(each.change))
        if known is None or _rank(each.name) < _rank(known.name):
            best[id(each.change)] = each
    return tuple(best.values())


def _rank(name: str) -> int:
    return next((place for place, words in enumerate(_FIRST) if words in name), len(_FIRST))
