"""A bill as tables of 80 columns, and as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from toolkit.cli.terminal import spreadsheet
from toolkit.cli.views.cost_json import money
from toolkit.domain.costs.economics import day_of
from toolkit.domain.quantity import format_number

if TYPE_CHECKING:
    from toolkit.config.costs.price_table import PriceTable
    from toolkit.domain.costs.economics import ApiPrice
    from toolkit.planning.economics.bills import Account, ModelBill, PerMillion
    from toolkit.planning.economics.comparison import Comparison
    from toolkit.workflows.fleet.cost import Bill

Say = Callable[[str], None]
Table = Callable[[Sequence[str], Sequence[Sequence[object]]], None]
WHOLE = "all"
# Shipped prices are in it, and those of the file of costs where they name none.
SHIPPED_CURRENCY = "USD"


def show(made: Sequence[Bill], prices: PriceTable, by: str, say: Say, table: Table) -> None:
    """Print the first of the bills, and a table of the others."""
    bill = made[0].account
    days = Decimal(bill.span.seconds) / 86_400
    say(
        f"{day_of(bill.span.begins)} to {day_of(bill.span.ends - 1)} ({format_number(days, 3)} days), "
        f"all amounts in {bill.currency}"
    )
    say("")
    _show_hosts(bill, table)
    say("")
    _show_models(bill, say, table)
    say("")
    _show_per_million(bill, table)
    if made[0].beside:
        say("")
        _show_apis(made[0].beside, prices, bill.currency, say, table)
    if by == "key":
        say("")
        table(
            ("KEY", "MODEL", "REQUESTS", "IN", "CACHED", "OUT", "COST"),
            [
                (key, model, *counts, amount_text(Decimal(sum_)))
                for key, model, *counts, sum_ in _rows(bill, by)
            ],
        )
    if len(made) > 1:
        say("")
        _show_scenarios(made, table)


def _show_hosts(bill: Account, table: Table) -> None:
    rows = [
        (
            each.host,
            f"{each.hours:.0f}",
            amount_text(each.capital),
            amount_text(each.energy),
            amount_text(each.hosting),
            amount_text(each.people),
            amount_text(each.total),
            each.energy_source,
        )
        for each in bill.hosts
    ]
    table(("HOST", "HOURS", "CAPITAL", "ENERGY", "HOSTING", "PEOPLE", "SUM", "ENERGY IS"), rows)


def _show_models(bill: Account, say: Say, table: Table) -> None:
    slept = any(each.asleep for each in bill.models)
    rows = [
        (
            each.model,
            amount_text(each.total),
            amount_text(each.working),
            amount_text(each.idle),
            *([amount_text(each.asleep)] if slept else []),
            amount_text(each.standby),
            _share(each.utilisation),
            f"{each.live_hours:.0f}",
            f"{each.standby_hours:.0f}",
        )
        for each in bill.models
    ]
    if bill.empty:
        rows.append(
            (
                *("(no model)", amount_text(bill.empty), "-", amount_text(bill.empty)),
                *("-" for _ in range(5 if slept else 4)),
            )
        )
    asleep = ("ASLEEP",) if slept else ()
    header = ("MODEL", "COST", "WORK", "IDLE", *asleep, "STANDBY", "USED", "LIVE H", "STANDBY H")
    table(header, rows)
    if bill.unused is not None and bill.total:
        say(
            f"Of {amount_text(bill.total)}, {amount_text(bill.unused)} ({_share(bill.unused / bill.total)}) "
            f"pays for idle, {'asleep, ' if slept else ''}standby and empty time."
        )
    elif bill.total:
        say("Nothing tells how much of it pays for idle time: write the models' `capacity`.")


def _show_per_million(bill: Account, table: Table) -> None:
    rows = []
    for each in bill.models:
        kinds: tuple[tuple[str, PerMillion | None], ...] = (
            ("actual", each.actual),
            ("at full load", each.full),
            ("marginal", each.marginal),
        )
        rows += [
            (
                each.model,
                name,
                *(
                    _price(one)
                    for one in ((found.input, found.cached, found.output) if found else (None,) * 3)
                ),
            )
            for name, found in kinds
        ]
    table(("MODEL", "A MILLION TOKENS", "INPUT", "CACHED", "OUTPUT"), rows)


def _show_apis(
    beside: Iterable[Comparison], prices: PriceTable, currency: str, say: Say, table: Table
) -> None:
    beside = list(beside)
    table(
        ("MODEL", "CLOSED API", "COST", "UNCACHED", "BREAK-EVEN", "READ"),
        [
            (
                each.model or WHOLE,
                each.quote.api,
                amount_text(each.quote.cost),
                amount_text(each.quote.uncached),
                _even(each),
                f"{each.quote.read}{' STALE' if each.quote.stale else ''}",
            )
            for each in beside
        ],
    )
    for each in beside:
        say(_verdict(each, currency))
    for name in dict.fromkeys(each.quote.api for each in beside):
        quote = next(each.quote for each in beside if each.quote.api == name)
        if quote.stale:
            say(f"{name}: this price is stale: {quote.stale}")
        for words in quote.changes:
            say(f"{name}: {words}")
    say(
        f"Prices: {prices.source} and the file of costs. Tokenizers count differently; "
        "nothing here judges answers."
    )


def _even(each: Comparison) -> str:
    even = each.even
    if even is None:
        return "-"
    if even.factor is None:
        return "never"
    return f"{format_number(even.factor, 3)}x"


def _verdict(each: Comparison, currency: str) -> str:
    name = f"{each.model or 'The fleet'} and {each.quote.api}"
    if each.quote.cost is None:
        return f"{name}: the API has no price on some of these days."
    if each.api_is_cheaper is None:
        return f"{name}: nothing was asked, so there is nothing to compare."
    here, there = (
        f"{currency} {amount_text(each.ours)}",
        f"{currency} {amount_text(each.quote.cost)}",
    )
    if not each.api_is_cheaper:
        return f"{name}: own hosts are cheaper, {here} against {there}."
    words = f"{name}: the closed API is cheaper, {there} against {here}"
    even = each.even
    if even is None:
        return f"{words}."
    if even.factor is None:
        return f"{words}, at any volume: one more token costs more here."
    if even.within is False:
        return f"{words}, and {format_number(even.factor, 3)} times this traffic is too much for these hosts."
    used = "" if even.utilisation is None else f" ({_share(even.utilisation)} used)"
    return f"{words}, until {format_number(even.factor, 3)} times this traffic{used}."


def _show_scenarios(made: Sequence[Bill], table: Table) -> None:
    rows = []
    for each in made:
        models = each.account.models
        whole = (
            "" if any(not one.model for one in each.beside) or len(models) != 1 else models[0].model
        )
        known = [one.utilisation for one in models if one.utilisation is not None]
        worst = max(known, default=None)
        cheapest = min(
            (one for one in each.beside if one.api_is_cheaper is not None and one.model == whole),
            key=lambda one: one.quote.cost or Decimal(0),
            default=None,
        )
        first: ModelBill | None = models[0] if len(models) == 1 else None
        rows.append(
            (
                each.scenario or "as it is",
                amount_text(each.account.total),
                amount_text(each.account.unused),
                _share(worst) + (" TOO MUCH" if worst is not None and worst > 1 else ""),
                _price(first.actual.input) if first else "-",
                _price(first.actual.output) if first else "-",
                amount_text(cheapest.quote.cost) if cheapest else "-",
            )
        )
    table(("WHAT IF", "COST", "UNUSED", "USED", "INPUT", "OUTPUT", "CHEAPEST API"), rows)


def csv_text(bill: Account, by: str) -> str:
    """Return the bill by model or by key as CSV."""
    first = ("key", "model") if by == "key" else ("model",)
    parts = () if by == "key" else ("work", "idle", "asleep", "standby")
    money_of = [f"{each}_{bill.currency}" for each in ("cost", *parts)]
    header = (*first, "requests", "tokens_in", "cached", "tokens_out", *money_of)
    rows = _rows(bill, by)
    if by == "model":
        rows = [(*row, *_parts(each)) for row, each in zip(rows, bill.models, strict=True)]
    return spreadsheet.csv_text(header, rows)


def _parts(model: ModelBill) -> tuple[str, ...]:
    """Return the cost of each part of a model's time, empty for a part that no capacity tells."""
    known = model.idle is not None
    asleep = model.asleep if known else None
    return tuple(money(each) or "" for each in (model.working, model.idle, asleep, model.standby))


def _rows(bill: Account, by: str) -> list[tuple[str, ...]]:
    if by == "key":
        counted = [(each.key, each.model, each.tokens, each.total) for each in bill.keys]
        return [
            (
                key,
                model,
                *map(str, (t.requests, t.input, t.cached, t.output)),
                money(cost) or "",
            )
            for key, model, t, cost in counted
        ]
    return [
        (
            each.model,
            *map(
                str,
                (each.tokens.requests, each.tokens.input, each.tokens.cached, each.tokens.output),
            ),
            money(each.total) or "",
        )
        for each in bill.models
    ]


def api_table(known: Mapping[str, ApiPrice]) -> tuple[Sequence[str], list[Sequence[object]]]:
    """Return the header and a row for each price of each closed model, with its end and currency where they differ."""
    ends = any(rate.ends for price in known.values() for rate in price.rates)
    codes = any(price.currency != SHIPPED_CURRENCY for price in known.values())
    rows: list[Sequence[object]] = [
        (
            name,
            rate.begins or (_hours(*rate.daily) if rate.daily else "-"),
            *([rate.ends or "-"] if ends else ()),
            tier.over or "-",
            *([price.currency] if codes else ()),
            f"{tier.input:f}",
            "-" if tier.cached is None else f"{tier.cached:f}",
            f"{tier.output:f}",
            rate.read,
        )
        for name, price in sorted(known.items())
        for rate in price.rates
        for tier in rate.tiers
    ]
    until, code = ("UNTIL",) if ends else (), ("PAID IN",) if codes else ()
    return ("MODEL", "FROM", *until, "OVER", *code, "IN", "CACHED", "OUT", "READ"), rows


def _hours(begins: int, ends: int) -> str:
    """Return a part of each day, given in minutes."""
    return "-".join(f"{each // 60:02d}:{each % 60:02d}" for each in (begins, ends))


def amount_text(value: Decimal | None) -> str:
    """Return an amount of money with two decimals, `?` for one that is not known."""
    return "?" if value is None else f"{value:,.2f}"


def _price(value: Decimal | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if value >= 10 else format_number(value, 4) if value else "0"


def _share(value: Decimal | None) -> str:
    if value is None:
        return "?"
    return (
        f"{format_number(value * 100, 2)} %" if value < Decimal("0.1") else f"{value * 100:.0f} %"
    )
