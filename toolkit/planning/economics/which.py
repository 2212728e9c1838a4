"""The reasons for a model inside and for a closed API, for one workload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from toolkit.domain.costs.economics import MILLION
from toolkit.domain.quantity import format_number
from toolkit.planning.economics.bills import ModelBill
from toolkit.planning.economics.comparison import Comparison
from toolkit.planning.economics.shares import ZERO

INSIDE, API = "inside", "api"


@dataclass(frozen=True, slots=True)
class PromptResults:
    """The outcome of golden prompts at a place: passed, failed, those that nobody could judge; seconds of answers."""

    passed: int = 0
    failed: int = 0
    unknown: int = 0
    seconds: tuple[float, ...] = ()

    @property
    def asked(self) -> int:
        """All prompts."""
        return self.passed + self.failed + self.unknown

    def within(self, bound: float) -> int:
        """Return how many answers came within `bound` seconds."""
        return sum(each <= bound for each in self.seconds)


@dataclass(frozen=True, slots=True)
class Point:
    """One line of the table: the two sides in words, and which of them it speaks for; empty for neither."""

    subject: str
    inside: str
    api: str
    speaks_for: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload: a traffic with its figures, whether its requests must stay `inside`, and the bound of seconds.

    `unused` is the part of the bill for time without work, `more` the cost here of one more million of its tokens; None
    where it is not known. `here` and `there` are None where no prompts were asked.
    """

    comparison: Comparison
    currency: str
    inside: bool
    unused: Decimal | None
    more: Decimal | None
    latency: float | None = None
    here: PromptResults | None = None
    there: PromptResults | None = None


def one_more_million(model: ModelBill) -> Decimal | None:
    """Return the cost of one more million tokens here in the model's mix, by the marginal prices where they are known.

    Where a meter had gaps the bill lacks the energy of the work in them.
    """
    tokens, prices = model.tokens, model.marginal
    if not tokens.all:
        return None
    if prices is None:
        total = model.marginal_total
        return None if total is None else total / tokens.all * MILLION
    kinds = (
        (tokens.fresh, prices.input),
        (tokens.cached, prices.cached),
        (tokens.output, prices.output),
    )
    return sum((number * (price or ZERO) for number, price in kinds), ZERO) / tokens.all


def points(load: Workload) -> tuple[Point, ...]:
    """Return the lines of the table."""
    return tuple(_points(load))


def _points(load: Workload) -> Iterator[Point]:
    if load.inside:
        yield Point("requests may leave", "they stay", "no: marked inside", INSIDE)
    else:
        yield Point("requests may leave", "they stay", "yes, by the registry and this command")
    yield from _money(load)
    yield from _answers(load)
    yield from _times(load)
    quote = load.comparison.quote
    if quote.stale:
        yield Point("price of the API", "-", f"stale: {quote.stale}")
    for change in quote.changes:
        yield Point("price of the API", "-", change)


def _money(load: Workload) -> Iterator[Point]:
    each, code = load.comparison, load.currency
    there = each.quote.cost
    cheaper = {None: "", True: API, False: INSIDE}[each.api_is_cheaper]
    yield Point(
        "cost of this traffic",
        f"{code} {each.ours:,.2f}",
        "no price" if there is None else f"{code} {there:,.2f}",
        cheaper,
    )
    if load.unused is not None:
        yield Point("of it for time without work", f"{load.unused * 100:.0f} %", "0 %", API)
    if load.more is not None and there is not None and each.tokens.all:
        mean = there / each.tokens.all * MILLION
        less = INSIDE if load.more < mean else API
        yield Point(
            "one more million tokens",
            f"{code} {load.more:,.4f}",
            f"{code} {mean:,.4f}",
            less,
        )
    even = each.even
    if even is not None and even.factor is not None:
        within = {True: "", False: ", too much for these hosts", None: ""}[even.within]
        yield Point(
            "same cost at", f"{format_number(even.factor, 3)} times this traffic{within}", ""
        )


def _answers(load: Workload) -> Iterator[Point]:
    here, there = load.here, load.there
    if here is None:
        return
    words = f"{here.passed} of {here.asked}"
    if there is None:
        yield Point("golden prompts passed", words, "not asked")
        return
    better = ""
    if here.passed != there.passed:
        better = INSIDE if here.passed > there.passed else API
    yield Point("golden prompts passed", words, f"{there.passed} of {there.asked}", better)


def _times(load: Workload) -> Iterator[Point]:
    here, there = load.here, load.there
    if here is None or not here.seconds:
        return
    mine = median(here.seconds)
    if there is None or not there.seconds:
        yield Point("median answer", f"{mine:.2f} s", "not asked")
    else:
        other = median(there.seconds)
        yield Point(
            "median answer",
            f"{mine:.2f} s",
            f"{other:.2f} s",
            "" if mine == other else INSIDE if mine < other else API,
        )
    if load.latency is None:
        return
    kept = f"{here.within(load.latency)} of {len(here.seconds)}"
    subject = f"answers within {load.latency:g} s"
    if there is None or not there.seconds:
        yield Point(subject, kept, "not asked")
        return
    first = here.within(load.latency) / len(here.seconds)
    second = there.within(load.latency) / len(there.seconds)
    better = "" if first == second else INSIDE if first > second else API
    yield Point(subject, kept, f"{there.within(load.latency)} of {len(there.seconds)}", better)
