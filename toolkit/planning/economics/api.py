"""The cost of the same traffic at a closed API, and the volume from which the own hosts are cheaper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from toolkit.domain.costs.economics import (
    MILLION,
    ApiPrice,
    ApiRate,
    Exchange,
    Tier,
    Traffic,
    is_to_come,
)
from toolkit.planning.economics.shares import ZERO
from toolkit.planning.economics.work import Tokens, total

_MINUTES = Decimal(24 * 60)


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of a traffic at a closed API in the currency of the bill.

    `cost` takes as many tokens for cached as were cached here, `uncached` none. Both are None where the API has no
    price on one of the days. `read` is the day on which the oldest price in it was read; `stale` says why it may be
    wrong, and `changes` what is known to change.
    """

    api: str
    cost: Decimal | None
    uncached: Decimal | None
    read: date
    source: str
    stale: str = ""
    changes: tuple[str, ...] = ()


def by_day(traffic: Iterable[Traffic]) -> dict[date, Tokens]:
    """Return the tokens of each day of a traffic."""
    days: dict[date, list[Traffic]] = {}
    for row in traffic:
        days.setdefault(row.day, []).append(row)
    return {day: total(rows) for day, rows in days.items()}


def quote(
    price: ApiPrice,
    tokens: Mapping[date, Tokens],
    rate: Decimal,
    today: date,
    *,
    stale: int,
    prompt: int | None = None,
) -> Quote:
    """Return the cost of the tokens of some days at `price`, each day at that day's rate.

    `rate` is what one unit of the price's currency costs in the bill's. A price is stale from an age of `stale` days
    on. Prices by the length of the prompt are those for prompts of `prompt` tokens, by default the traffic's mean.
    """
    length = mean_prompt(tokens.values()) if prompt is None else prompt
    cost: Decimal | None = ZERO
    uncached: Decimal | None = ZERO
    used: list[ApiRate] = []
    for day, found in tokens.items():
        tier = tier_on(price, day, length)
        used += counting(price, day)
        if tier is None or cost is None or uncached is None:
            cost = uncached = None
            continue
        cost += _cost(found, tier) * rate
        uncached += _cost(Tokens(0, found.input, 0, found.output), tier) * rate
    read = min(each.read for each in used or price.rates)
    return Quote(
        price.name,
        cost,
        uncached,
        read,
        price.source,
        _staleness(price, read, today, stale),
        tuple(_changes(price, today, max(tokens, default=today), length)),
    )


def mean_prompt(tokens: Iterable[Tokens]) -> int:
    """Return the mean length of a prompt, 0 without requests."""
    found = list(tokens)
    requests = sum(each.requests for each in found)
    return sum(each.input for each in found) // requests if requests else 0


def tier_on(price: ApiPrice, day: date, prompt: int) -> Tier | None:
    """Return the prices on a day for prompts of `prompt` tokens; None where there are none.

    The newest rate that holds on the day counts. Prices for a part of each day count with that part of the day, as if
    requests came evenly.
    """
    lasting, *daily = counting(price, day) or (None,)
    if lasting is None:
        return None
    base = _tier(lasting, prompt)
    parts = [(base, _MINUTES)]
    for each in daily:
        assert each.daily is not None
        minutes = Decimal((each.daily[1] - each.daily[0]) % (24 * 60))
        parts = [(base, parts[0][1] - minutes), *parts[1:], (_tier(each, prompt), minutes)]
    if len(parts) == 1:
        return base
    return Tier(
        base.over,
        sum((each.input * part for each, part in parts), ZERO) / _MINUTES,
        sum((each.output * part for each, part in parts), ZERO) / _MINUTES,
        sum((_cached(each) * part for each, part in parts), ZERO) / _MINUTES,
    )


def counting(price: ApiPrice, day: date) -> Sequence[ApiRate]:
    """Return the rates that count on a day: the newest one that holds, and, beside it, those for a part of each day.

    A rate without an end holds on after a newer one has begun, and counts no more.
    """
    holding = [each for each in price.rates if each.holds(day)]
    lasting = [each for each in holding if each.daily is None]
    if not lasting:
        return ()
    newest = max(lasting, key=lambda each: each.begins or date.min)
    return newest, *(each for each in holding if each.daily is not None)


def _tier(rate: ApiRate, prompt: int) -> Tier:
    return [each for each in rate.tiers if not each.over or prompt > each.over][-1]


def _cached(tier: Tier) -> Decimal:
    return tier.input if tier.cached is None else tier.cached


def _cost(tokens: Tokens, tier: Tier) -> Decimal:
    return (
        tokens.fresh * tier.input + tokens.cached * _cached(tier) + tokens.output * tier.output
    ) / MILLION


def _staleness(price: ApiPrice, read: date, today: date, most: int) -> str:
    newest = max(each.read for each in price.rates)
    if words := _reading_fault(read, newest, today, most):
        return words
    if not any(each.holds(today) for each in price.rates):
        ends = [each.ends for each in price.rates if each.ends and each.ends < today]
        return f"ended on {max(ends)}" if ends else "not yet in force"
    return ""


def _changes(price: ApiPrice, today: date, last: date, prompt: int) -> Iterable[str]:
    """Yield the announced changes of the price after today; those up to the day `last` are in the cost already."""
    now = counting(price, today)
    for each in sorted(price.rates, key=lambda rate: rate.begins or date.min):
        if each.begins is not None and each.begins > today:
            tier = _tier(each, prompt)
            words = f"{tier.input:f} in, {_cached(tier):f} cached, {tier.output:f} out"
            counted = ", counted from then on" if each.begins <= last else ""
            yield f"from {each.begins} on {price.currency} {words}{counted}"
        if each.ends is None or each.ends < today:
            continue
        if each in now:
            yield f"a price of now ends on {each.ends}"
        elif each.begins is not None and each.begins > today:
            yield f"the price from {each.begins} on ends on {each.ends}"


@dataclass(frozen=True, slots=True)
class BreakEven:
    """From which volume on the own hosts are as cheap as a closed API.

    `factor` is the multiple of the present traffic; None where no volume is enough, because a token costs no less here
    than there. `utilisation` is that of the replicas at this volume, None where it is not known; above 1 the hosts
    cannot do it.
    """

    factor: Decimal | None
    utilisation: Decimal | None

    @property
    def within(self) -> bool | None:
        """Whether the present hosts can do it; None where nothing tells."""
        if self.factor is None:
            return False
        return None if self.utilisation is None else self.utilisation <= 1


def break_even(
    fixed: Decimal, marginal: Decimal, api: Decimal, utilisation: Decimal | None
) -> BreakEven:
    """Return the break-even of a traffic that costs `fixed` + `marginal` here, and `api` there."""
    if api <= marginal:
        return BreakEven(None, None)
    factor = fixed / (api - marginal)
    return BreakEven(factor, None if utilisation is None else factor * utilisation)


def exchange_rate(currency: str, price: ApiPrice, rates: Mapping[str, Decimal]) -> Decimal | None:
    """Return the cost of one unit of the price's currency in `currency`; None where no rate is given."""
    return Decimal(1) if price.currency == currency else rates.get(price.currency)


def exchange_staleness(currency: str, exchange: Exchange, today: date, most: int) -> str:
    """Return why the exchange rate of a currency may be wrong; empty where it was read less than `most` days ago."""
    words = _reading_fault(exchange.read, exchange.read, today, most)
    return f"the rate of {currency} was {words}" if words else ""


def _reading_fault(oldest: date, newest: date, today: date, most: int) -> str:
    """Return why prices that were read between two days may be wrong today; empty for a recent reading."""
    if is_to_come(newest, today):
        return f"read on {newest}, which has not come yet"
    age = (today - oldest).days
    return f"read {age} days ago" if age >= most else ""
