"""The time that a replica at full load would have worked for the tokens of a traffic.


The one price basis of all tokens is the time of a replica: an input token takes 1 / (capacity of input) seconds, and so
on for cached and output tokens. Replicas mix the kinds; the sum is what the mix takes, as long as each kind takes its
share of the same device.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from toolkit.domain.costs.economics import Rates, Traffic
from toolkit.planning.economics.shares import ZERO

# Where no capacity is known, tokens cost in these proportions, which are near to those of closed APIs.
WITHOUT_CAPACITY = (Decimal(1), Decimal("0.1"), Decimal(5))


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a traffic: `fresh` are input tokens that no cache had."""

    requests: int = 0
    fresh: int = 0
    cached: int = 0
    output: int = 0
    unknown: int = 0

    @property
    def input(self) -> int:
        """All input tokens."""
        return self.fresh + self.cached

    @property
    def all(self) -> int:
        """All tokens."""
        return self.fresh + self.cached + self.output

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.requests + other.requests,
            self.fresh + other.fresh,
            self.cached + other.cached,
            self.output + other.output,
            self.unknown + other.unknown,
        )

    def times(self, factor: Decimal) -> Tokens:
        """Return so many times the tokens, whole ones."""
        return Tokens(
            *(
                int(factor * each)
                for each in (self.requests, self.fresh, self.cached, self.output, self.unknown)
            )
        )


def tokens_of(row: Traffic) -> Tokens:
    """Return the tokens of one row. More cached tokens than input tokens count as all input tokens."""
    cached = min(row.cached, row.tokens_in)
    return Tokens(row.requests, row.tokens_in - cached, cached, row.tokens_out, row.unknown)


def total(rows: Iterable[Traffic]) -> Tokens:
    """Return the tokens of all rows."""
    requests = fresh = cached = output = unknown = 0
    for row in rows:
        known = min(row.cached, row.tokens_in)
        requests += row.requests
        fresh += row.tokens_in - known
        cached += known
        output += row.tokens_out
        unknown += row.unknown
    return Tokens(requests, fresh, cached, output, unknown)


@dataclass(frozen=True, slots=True)
class Work:
    """Seconds of a replica at full load, by kind of token; proportions alone where no capacity is known."""

    input: Decimal = ZERO
    cached: Decimal = ZERO
    output: Decimal = ZERO

    @property
    def seconds(self) -> Decimal:
        """All of them."""
        return self.input + self.cached + self.output


def work_of(tokens: Tokens, rates: Rates | None) -> Work:
    """Return the work of tokens at `rates`, in seconds; without rates, their proportions."""
    if rates is None:
        first, second, third = WITHOUT_CAPACITY
        return Work(tokens.fresh * first, tokens.cached * second, tokens.output * third)
    return Work(tokens.fresh / rates[0], tokens.cached / rates[1], tokens.output / rates[2])
