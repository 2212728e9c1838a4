"""The sections about use, objectives and cost."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from toolkit.cli.views.objectives import (
    NOUNS,
    budget_words,
    objective_words,
    remarks,
    share_words,
    spent_words,
)
from toolkit.cli.views.report.charts import legend, stacked
from toolkit.cli.views.report.html import Html, tag
from toolkit.cli.views.report.parts import (
    Column,
    chip,
    code,
    columns,
    figure,
    folded,
    nothing,
    numbers,
    percent,
    plural,
    section,
    table,
)
from toolkit.planning.economics.summary import Summary
from toolkit.planning.report.findings import Findings
from toolkit.planning.report.use import Sum, total
from toolkit.planning.use.reconciled import Reconciled

_ROWS = 25
_BILL = columns(
    "Model", "Here#", "of this idle or standby#", "Cheapest closed API", "There#", "Verdict"
)
_COLUMNS = columns(
    "Model",
    "Requests#",
    "Tokens in#",
    "of these cached#",
    "Tokens out#",
    "of these thoughts#",
    "Failed#",
    "Share#",
)


def use(found: Findings, room: int) -> Html:
    """Return the tokens over time by model, and tables by model and by key."""
    lead = "Requests and tokens of clients, as the engines counted them; the toolkit's own probes are left out."
    seen = found.use
    if not seen.models:
        none = nothing("No use has been collected in this period: ", code("toolkit usage"))
        return section("use", "Use", lead, none)
    everything = total(seen.models)
    parts: list[object] = []
    if seen.columns:
        labels = [f"{each.day:%d %b}".lstrip("0") for each in seen.columns]
        each = {1: "day", 7: "week"}.get(seen.step, f"{seen.step} days")
        tables = [column.tokens for column in seen.columns]
        chart = stacked(labels, tables, seen.names, f"Tokens a {each} by model")
        rows = [
            (f"{column.day}", *(f"{column.tokens.get(name, 0):,}" for name in seen.names), f"{column.total:,}")
            for column in reversed(seen.columns)
        ]  # fmt: skip
        heads = (Column("From"), *(Column(name, True) for name in (*seen.names, "All")))
        parts += [
            figure(
                chart,
                legend(seen.names),
                tag("figcaption", f"Tokens of prompts and answers, a column for each {each}."),
            ),
            numbers(f"The numbers: {plural(len(rows), 'row')}", table(heads, rows)),
        ]
    parts += [tag("h3", "By model"), _table("Model", "models", seen.models, room)]
    parts += [tag("h3", "By key"), _table("Key", "keys", seen.keys, room)]
    if everything.unknown:
        words = f"{plural(everything.unknown, 'request')} broke off without a count of tokens."
        parts.append(tag("p", words, class_="soft"))
    parts.append(_reconciliation(seen.releases))
    return section("use", "Use", lead, parts)


def _reconciliation(releases: Sequence[Reconciled]) -> Html | None:
    """Return whether the records have all that the engines counted."""
    if not releases:
        return None
    off = [each for each in releases if not each.exact]
    if not off:
        words = "✓ The records have every token that the engines counted: difference 0"
        return tag("p", chip(words, "good"), f" over {plural(len(releases), 'release')}.")
    lost_in, lost_out = (
        sum(each.difference_in for each in off),
        sum(each.difference_out for each in off),
    )
    words = (
        f"△ {plural(len(off), 'release')} of {len(releases)}: the engines counted {lost_in:+,} tokens in and "
        f"{lost_out:+,} out beside the records: "
    )
    return tag("p", words, code("toolkit usage --by release"))


def objectives(found: Findings, room: int) -> Html:
    """Return how far models keep their objectives, and which releases spent their budgets."""
    lead = (
        "Availability and latency that each model promises, over its own window up to the end of the period. "
        f"Figures from {found.source.words}{f': {found.source.why_not}' if found.source.why_not else ''}."
    )
    if not found.objectives:
        return section("objectives", "Objectives", lead, nothing("Not set."))
    kept = [
        [
            each.model,
            objective_words(one.objective),
            f"{each.days} days",
            share_words(one.attained),
            f"{one.good + one.bad:,}",
            budget_words(one),
            "no requests" if one.left is None else "✓ kept" if one.left >= 0 else "▲ missed",
        ]
        for each in found.objectives
        for one in each.objectives
    ]
    spent = [
        [each.model, NOUNS[one.objective.promise], *spent_words(part)]
        for each in found.objectives
        for one in each.objectives
        for part in one.spent
    ]
    rows = max(1, 48 // room)
    tables = [
        folded(
            "objectives",
            columns("Model", "Objective", "Window", "Attained#", "Requests#", "Budget left#", "State"),
            kept, rows, "toolkit slo",
        )
    ]  # fmt: skip
    if spent:
        tables.append(
            folded(
                "parts of budgets",
                columns("Model", "Spent of", "Release", "Bad#", "Of the budget#", "Reasons"),
                spent, rows, "toolkit slo",
            )
        )  # fmt: skip
    lacks, most = remarks(found.objectives, found.source), max(1, 24 // room)
    if len(lacks) > most:
        lacks = [*lacks[:most], f"{len(lacks) - most} more: toolkit slo"]
    words = tag("ul", [tag("li", each) for each in lacks], class_="plain soft") if lacks else None
    return section("objectives", "Objectives", lead, *tables, words)


def cost(found: Findings, room: int) -> Html:
    """Return the cost of each model, beside the cheapest closed API for the same traffic."""
    lead = "What the fleet cost, and what the same traffic would have cost at a closed API."
    seen = found.cost
    if not seen.stated:
        none = nothing("Not set: ", code("costs.yaml"), " states the prices of hosts.")
        return section("cost", "Cost", lead, none)
    if seen.fault:
        return section("cost", "Cost", lead, nothing(f"Not known: {seen.fault}"))
    if not seen.models:
        return section("cost", "Cost", lead, nothing("No model held a host in this period."))
    rows = [_bill(each) for each in seen.models]
    own = sum((each.ours for each in seen.models), Decimal(0))
    currency = seen.models[0].currency
    notes = [tag("li", each) for each in seen.notes[: max(1, 12 // room)]]
    return section(
        "cost",
        "Cost",
        lead,
        folded("models", _BILL, rows, max(1, _ROWS // room), "toolkit cost"),
        tag(
            "p",
            f"All models: {own:,.2f} {currency}. All tables, by key and by hour: ",
            code("toolkit cost"),
        ),
        tag("ul", notes, class_="plain soft") if notes else None,
    )


def _bill(each: Summary) -> tuple[object, ...]:
    unused = "-" if each.unused is None else f"{100 * each.unused:.0f} %"
    ours = f"{each.ours:,.2f} {each.currency}"
    if each.api_cost is None:
        return (each.model, ours, unused, "-", "-", chip("no price is known"))
    api = (each.api, tag("span", f"stale: {each.stale}", class_="why") if each.stale else None)
    cheaper = each.api_cost < each.ours
    verdict = (
        chip("△ the API is cheaper", "warn") if cheaper else chip("✓ own hosts are cheaper", "good")
    )
    return (each.model, ours, unused, api, f"{each.api_cost:,.2f} {each.currency}", verdict)


def _table(name: str, several: str, rows: Sequence[Sum], room: int) -> Html:
    """Return a table with its sum; those that there is no room for are one row."""
    everything, most = total(rows), max(1, _ROWS // room)
    shown, rest = rows[:most], rows[most:]
    made = [_row(each, everything) for each in shown]
    if rest:
        made.append(_row(total(rest), everything, f"{len(rest):,} more {several}"))
    return table((Column(name), *_COLUMNS[1:]), made, _row(everything, everything, "All"))


def _row(each: Sum, everything: Sum, name: str = "") -> tuple[object, ...]:
    whole = everything.tokens_in + everything.tokens_out
    return (
        name or each.name or "-",
        f"{each.requests:,}",
        f"{each.tokens_in:,}",
        percent(each.cached, each.tokens_in),
        f"{each.tokens_out:,}",
        percent(each.reasoning, each.tokens_out),
        f"{each.failed:,}",
        percent(each.tokens_in + each.tokens_out, whole),
    )
