"""The parts that sections are made of: tables that become lists on a phone, chips, empty states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from toolkit.cli.views.report.html import Html, tag

# Rows that a table shows before the rest is folded.
_OPEN = 12
# Characters of a chip, which is one line.
_CHIP = 56


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; one of numbers stands right."""

    name: str
    number: bool = False


def columns(*names: str) -> tuple[Column, ...]:
    """Return columns by their names; one that ends with `#` is of numbers."""
    return tuple(Column(each.rstrip("#"), each.endswith("#")) for each in names)


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    total: Sequence[object] | None = None,
) -> Html:
    """Return rows under columns; on a narrow screen each row is a list that its first cell heads."""
    heads = [tag("th", each.name, class_="n" if each.number else None) for each in columns]
    parts = [
        tag("thead", tag("tr", heads)),
        tag("tbody", [_row(columns, each) for each in rows]),
    ]
    if total is not None:
        parts.append(tag("tfoot", _row(columns, total)))
    return tag("table", parts, class_="wide")


def folded(
    words: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    most: int,
    command: str = "",
) -> Html:
    """Return a table of at most `most` rows; those after the first dozen open on a click, and in print.

    `words` are what the rows are, several of them; `command` shows those that are left out.
    """
    shown, left = rows[:most], len(rows) - most
    parts = [table(columns, shown[:_OPEN])]
    if len(shown) > _OPEN:
        more = tag("summary", f"{len(shown) - _OPEN:,} more {words}")
        parts.append(tag("details", more, table(columns, shown[_OPEN:])))
    if left > 0:
        hint = (": ", code(command)) if command else "."
        parts.append(tag("p", f"{left:,} more {words} are not on this page", hint, class_="soft"))
    return tag("div", parts)


def numbers(words: str, inner: Html) -> Html:
    """Return the numbers of a chart, which open on a click, and in print."""
    return tag("details", tag("summary", words), inner)


def section(id: str, title: str, lead: str, *parts: object) -> Html:
    """Return a section of the page."""
    return tag(
        "section", tag("h2", title, id=f"{id}-title"), tag("p", lead, class_="lead"), parts,
        id=id, aria_labelledby=f"{id}-title",
    )  # fmt: skip


def figure(chart: Html, *caption: object) -> Html:
    """Return a chart with what is below it."""
    return tag("figure", chart, caption)


def chip(words: str, tone: str = "") -> Html:
    """Return some words on a ground whose colour repeats their meaning."""
    short = words if len(words) <= _CHIP else f"{words[: _CHIP - 1]}…"
    title = words if short != words else None
    return tag("span", short, class_=f"chip {tone}".rstrip(), title=title)


def nothing(*words: object) -> Html:
    """Return the words in place of absent data."""
    return tag("p", words, class_="none")


def code(words: str) -> Html:
    """Return a command."""
    return tag("code", words)


def minute(at: float) -> str:
    """Return a time in UTC, to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def when(at: float) -> Html:
    """Return a time for a cell, which stays in one line."""
    return tag("span", minute(at), class_="when")


def day(at: float) -> str:
    """Return a day in UTC, as people write it."""
    return datetime.fromtimestamp(at, UTC).strftime("%d %B %Y").lstrip("0")


def plural(count: int, one: str, several: str = "") -> str:
    """Return a number with its noun."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def percent(part: float, whole: float) -> str:
    """Return a part of a whole; a dash where there is no whole."""
    if whole <= 0:
        return "-"
    value = 100 * part / whole
    return f"{value:.0f} %" if value >= 9.95 or value == 0 else f"{value:.2g} %"


def _row(columns: Sequence[Column], cells: Sequence[object]) -> Html:
    made = []
    for place, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        kinds = [*(["head"] if place == 0 else []), *(["n"] if column.number else [])]
        # One child: on a phone a cell is a grid of its column's name and its content.
        inner = tag("div", cell)
        made.append(
            tag(
                "td",
                inner,
                class_=" ".join(kinds) or None,
                data_label=column.name if place else None,
            )
        )
    return tag("tr", made)
