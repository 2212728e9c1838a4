"""The sizes of a rollout's batches, in the form that `serial` has in an Ansible play: `1`, `50%`, `1,5,50%`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_SIZE = re.compile(r"([1-9][0-9]{0,5})(%?)")


@dataclass(frozen=True, slots=True)
class BatchSize:
    """A number of hosts, or a share of the hosts that change in percent, rounded down to one host at least."""

    number: int
    percent: bool = False

    def of(self, hosts: int) -> int:
        """Return how many of so many `hosts` change at once."""
        return max(1, hosts * self.number // 100) if self.percent else self.number


def parse_sizes(text: str) -> tuple[BatchSize, ...]:
    """Return the sizes of the first, the second and each later batch; raises ValueError in words for a person."""
    found = []
    for word in text.split(","):
        match = _SIZE.fullmatch(word.strip())
        if match is None:
            raise ValueError(f"{word.strip()!r} is no number of hosts, and no share like 50%")
        size = BatchSize(int(match[1]), match[2] == "%")
        if size.percent and size.number > 100:
            raise ValueError(f"{word.strip()} is more than all hosts")
        found.append(size)
    return tuple(found)


def batched(
    hosts: Sequence[str], sizes: Sequence[BatchSize], most: int | None = None
) -> list[tuple[str, ...]]:
    """Return the hosts in batches of these sizes, each of `most` at most; the last size holds for all that follow."""
    found: list[tuple[str, ...]] = []
    begin = 0
    while begin < len(hosts):
        size = sizes[min(len(found), len(sizes) - 1)].of(len(hosts))
        end = begin + (size if most is None else min(size, most))
        found.append(tuple(hosts[begin:end]))
        begin = end
    return found
