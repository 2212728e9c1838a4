"""What clients saw, `toolkit usage` says and engines counted, beside each other, for bench_use_clients.py."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

# Requests, tokens of prompts, tokens of answers.
Three = tuple[int, int, int]
NONE: Three = (0, 0, 0)


class Counting(Protocol):
    """An engine that has ended."""

    # Its counters over all of its runs: `in` and `out`.
    past: Counter[str]

    def requests(self) -> Mapping[str, tuple[int, int]]:
        """Return its own count of each request, by the id: tokens of prompt and answer."""


@dataclass
class Comparison:
    """Sums by "KEY MODEL": of whole answers by clients, of those with what broke off, and of `toolkit usage`.

    `engines` and `recorded` are tokens of prompts and answers over all releases, each choice of an answer with a prompt
    of its own. `faults` are records that are missing, have no tokens, were refused or lost.
    """

    whole: dict[str, Three] = field(default_factory=dict)
    seen: dict[str, Three] = field(default_factory=dict)
    said: dict[str, Three] = field(default_factory=dict)
    engines: tuple[int, int] = (0, 0)
    recorded: tuple[int, int] = (0, 0)
    broken: int = 0
    never: int = 0
    outside: list[str] = field(default_factory=list)
    faults: int = 0

    @staticmethod
    def of(
        engines: Sequence[Counting], clients: Iterable[Mapping[str, Any]], usage: Mapping[str, Any]
    ) -> Comparison:
        """Compare the results of counting clients and the document of `toolkit usage --by key --by model`."""
        made, known = Comparison(), dict[str, tuple[int, int]]()
        for engine in engines:
            known.update(engine.requests())
        for each in clients:
            for name, sums in each["sums"].items():
                made.whole[name] = plus(made.whole.get(name, NONE), sums)
                made.seen[name] = plus(made.seen.get(name, NONE), sums)
            for unclear in each["unclear"]:
                made.add(known.pop(unclear[0], None), *unclear)
        for row in usage["rows"]:
            numbers = (row["requests"], row["tokens_in"], row["tokens_out"])
            made.said[f"{row['key']} {row['model']}"] = numbers
        releases = usage["reconciled"]
        names = ("missing", "unknown", "open", "silent")
        made.faults = sum(each[name] for each in releases for name in names)
        made.faults += sum(usage["refused"].values()) + sum(usage["lost"].values())
        made.engines = (sum(e.past["in"] for e in engines), sum(e.past["out"] for e in engines))
        made.recorded = (
            sum(each["asked"] for each in releases),
            sum(each["tokens_out"] for each in releases),
        )
        return made

    def add(
        self,
        counted: tuple[int, int] | None,
        ident: str,
        name: str,
        began: bool,
        prompt: int,
        got: int,
        most: int,
    ) -> None:
        """Add a request that broke off as its engine counted it; None where no engine had it."""
        if counted is None:
            self.never += 1
            self.outside += [ident] if began else []
            return
        self.broken += 1
        # A client does not know how a real engine splits its words into tokens.
        strange = prompt >= 0 and counted[0] not in (0, prompt)
        if strange or not got <= counted[1] <= most:
            self.outside.append(ident)
        self.seen[name] = plus(self.seen.get(name, NONE), (1, *counted))

    @property
    def differing(self) -> list[str]:
        """The sums of a key and a model that differ."""
        names = sorted({*self.seen, *self.said})
        return [each for each in names if self.seen.get(each) != self.said.get(each)]

    @property
    def agreed(self) -> bool:
        """Whether all three say the same, and every request that broke off is within its bounds."""
        differ = self.differing or self.engines != self.recorded
        return not (differ or self.faults or self.outside)

    def shown(self) -> bool:
        """Print the table; return whether all agree."""
        whole, seen, said = (total(each) for each in (self.whole, self.seen, self.said))
        print(f"{'':<34}{'requests':>12} {'tokens in':>13} {'tokens out':>13}")
        row("clients, whole answers", whole)
        row("broken off, as engines counted", minus(seen, whole))
        row("clients, all", seen)
        row("toolkit usage", said)
        row("difference", minus(said, seen))
        row("engines, a prompt of each choice", ("", *self.engines))
        row("toolkit usage, of the same", ("", *self.recorded))
        row("difference", ("", *minus(self.engines, self.recorded)))
        print(f"sums of a key and a model that differ: {len(self.differing)} of {len(self.said)}")
        print(
            f"broken off {self.broken + self.never:,}: to no engine came {self.never:,}, outside of what their clients "
            f"know {len(self.outside)}"
        )
        print(f"records missing, without tokens, refused or lost: {self.faults}")
        for name in self.differing[:20]:
            words = f"clients {self.seen.get(name)}, usage {self.said.get(name)}"
            print(f"differs: {name}: {words}", file=sys.stderr)
        for ident in self.outside[:20]:
            print(f"outside its bounds: {ident}", file=sys.stderr)
        print(f"target: difference 0: {'met' if self.agreed else 'not met'}")
        return self.agreed


def plus(one: Sequence[int], other: Sequence[int]) -> Three:
    first, second, third = (a + b for a, b in zip(one, other, strict=True))
    return first, second, third


def minus(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(a - b for a, b in zip(one, other, strict=True))


def total(sums: Mapping[str, Three]) -> Three:
    found = NONE
    for each in sums.values():
        found = plus(found, each)
    return found


def row(name: str, numbers: Sequence[Any]) -> None:
    shown = (f"{each:,}" if isinstance(each, int) else each for each in numbers)
    print(
        f"{name:<34}"
        + " ".join(f"{each:>{width}}" for each, width in zip(shown, (12, 13, 13), strict=True))
    )
