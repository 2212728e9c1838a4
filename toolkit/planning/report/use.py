"""Use over a period: by day and model for a chart, by model and by key for tables. Probes are nobody's use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from toolkit.domain.clients.use import PROBE, UseRow

# Days of one column, the first that needs at most `_MOST` columns.
_STEPS = (1, 7, 30)
_MOST = 62


@dataclass(frozen=True, slots=True)
class Sum:
    """The use of a model or a key; `failed` requests are those that the engine did not complete."""

    name: str
    requests: int = 0
    tokens_in: int = 0
    cached: int = 0
    tokens_out: int = 0
    reasoning: int = 0
    failed: int = 0
    left: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class UseColumn:
    """The tokens of some days from `day` on, by model: those of prompts and of answers."""

    day: date
    tokens: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The tokens of all models."""
        return sum(self.tokens.values())


def sums(rows: Iterable[UseRow], name: Callable[[UseRow], str]) -> tuple[Sum, ...]:
    """Return the use of each name, the most tokens first."""
    found: dict[str, list[int]] = {}
    for row in rows:
        if row.key == PROBE:
            continue
        known = found.setdefault(name(row), [0] * 8)
        known[0] += row.requests
        known[1] += row.tokens_in
        known[2] += row.cached
        known[3] += row.tokens_out
        known[4] += row.reasoning
        if row.ended == "failed":
            known[5] += row.requests
        elif row.ended == "left":
            known[6] += row.requests
        known[7] += row.unknown
    made = [Sum(each, *numbers) for each, numbers in found.items()]
    return tuple(sorted(made, key=lambda each: (-each.tokens_in - each.tokens_out, each.name)))


def total(several: Iterable[Sum], name: str = "") -> Sum:
    """Return the sum of several, with a name."""
    found = list(several)
    return Sum(
        name,
        *(
            sum(getattr(each, part) for each in found)
            for part in ("requests", "tokens_in", "cached", "tokens_out", "reasoning", "failed", "left", "unknown")
        ),
    )  # fmt: skip


def columns(
    rows: Iterable[UseRow], first: date, last: date, names: Sequence[str], others: str
) -> tuple[tuple[UseColumn, ...], int]:
    """Return columns from the day `first` to `last` and the days of each; models not in `names` are summed in `others`.

    Days without use are columns too. A row of another day, or of a day that is none, is left out.
    """
    days = (last - first).days + 1
    step = next((each for each in _STEPS if days / each <= _MOST), max(1, -(-days // _MOST)))
    tables: list[dict[str, int]] = [{} for _ in range(-(-days // step))]
    for row in rows:
        place = _days_after(row.day, first)
        if row.key == PROBE or place is None or not 0 <= place < days:
            continue
        name = row.model if row.model in names else others
        table = tables[place // step]
        table[name] = table.get(name, 0) + row.tokens_in + row.tokens_out
    return (
        tuple(
            UseColumn(first + timedelta(index * step), table) for index, table in enumerate(tables)
        ),
        step,
    )


def _days_after(day: str, first: date) -> int | None:
    try:
        return (date.fromisoformat(day) - first).days
    except ValueError:
        return None
