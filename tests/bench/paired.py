"""What is common to comparisons in turns: the processor time of a process, and the difference of two arms."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


def processor(root: int) -> float:
    """Return the processor seconds of all threads of a process and of what descends from it."""
    return sum(threads(root).values())


def threads(root: int) -> dict[int, float]:
    """Return the processor seconds of each thread of a process and of what descends from it, by its number."""
    found, todo = dict[int, float](), [root]
    while todo:
        pid = todo.pop()
        for task in Path(f"/proc/{pid}/task").glob("*"):
            found[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
            todo += map(int, (task / "children").read_text().split())
    return found


@dataclass(frozen=True)
class Difference:
    """The median of the differences of all rounds, and twice its standard error."""

    value: float
    spread: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Difference:
        # The middle half of the values says how far they scatter, whatever disturbed the others.
        low, middle, high = statistics.quantiles(values, n=4)
        return cls(middle, 2 * 1.2533 * (high - low) / 1.349 / len(values) ** 0.5)

    @property
    def most(self) -> float:
        return self.value + self.spread

    @property
    def least(self) -> float:
        return self.value - self.spread

    def verdict(self, limit: float) -> str:
        """Return whether the difference is shown to be at most `limit`: `met`, `not met`, or `not shown`."""
        return "met" if self.most <= limit else "not met" if self.least > limit else "not shown"
