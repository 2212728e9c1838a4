"""Charts as inline SVG: places in percent of the width and sizes in pixels, so that text is as large on a phone.

No colour carries a meaning alone: series have patterns, outcomes have forms, and every chart stands beside its table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from toolkit.cli.views.report.html import Html, tag

# Series of one chart that have a colour and a pattern of their own.
SERIES = 6
_LANE, _TRACK = 58, 22
_MARK_GAP = 1.6
# Percent of the width from which on a band has a word, and all of its words.
_SHORT, _WORDS = 4.0, 13.0


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The time of a chart's width, in seconds since the epoch."""

    start: float
    end: float

    def place(self, at: float) -> float:
        """Return the place of a time in percent, within the chart."""
        part = (at - self.start) / max(self.end - self.start, 1.0)
        return round(100 * min(max(part, 0.0), 1.0), 2)


@dataclass(frozen=True, slots=True)
class Band:
    """A time of a lane with its words, `title` for those who point at it."""

    start: float
    end: float
    words: str
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of a lane: a good one, or one that failed."""

    at: float
    good: bool
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """The bands and marks of one name."""

    name: str
    words: str
    bands: Sequence[Band]
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class ValuePair:
    """Two values of one name, with the words behind them."""

    name: str
    old: float
    new: float
    words: str


def patterns() -> Html:
    """Return the definitions of the series' patterns, once for a page."""
    shapes = (
        (),
        (tag("path", d="M-2 2L2 -2M0 8L8 0M6 10L10 6", class_="ha"),),
        (tag("circle", cx=2, cy=2, r=1.3, class_="do"), tag("circle", cx=6, cy=6, r=1.3, class_="do")),
        (tag("path", d="M0 4H8", class_="ha"),),
        (tag("path", d="M0 0L8 8M8 0L0 8", class_="ha"),),
        (tag("path", d="M4 0V8", class_="ha"),),
    )  # fmt: skip
    made = [
        tag(
            "pattern",
            tag("rect", width=8, height=8, class_=f"c{number}"),
            shape,
            id=f"p{number}",
            width=8,
            height=8,
            patternUnits="userSpaceOnUse",
        )
        for number, shape in enumerate(shapes)
    ]
    return tag("svg", tag("defs", made), class_="defs", aria_hidden="true")


def legend(names: Sequence[str]) -> Html:
    """Return the names of series with their patterns."""
    return tag(
        "ul",
        [
            tag("li", tag("svg", _rect(0, 0, "100%", 14, fill=_fill(index))), name)
            for index, name in enumerate(names)
        ],
        class_="key",
    )


def lanes(span: TimeAxis, several: Sequence[Lane], words: str) -> Html:
    """Return bands and marks over time, a lane for each name."""
    height = _LANE * len(several) + 26
    parts: list[Html] = []
    for at, label in ticks(span):
        place = span.place(at)
        parts.append(_line(place, 0, place, height - 20, "grid"))
        parts.append(_text(_within(place), height - 5, label, "mid"))
    for index, lane in enumerate(several):
        parts.append(_lane(span, lane, index * _LANE))
    return _chart(height, words, parts)


def stacked(
    labels: Sequence[str], tables: Sequence[Mapping[str, int]], names: Sequence[str], words: str
) -> Html:
    """Return a column for each label, of the values of `names` from bottom to top."""
    height, base = 220, 190
    most = max((sum(table.values()) for table in tables), default=0)
    top = _round_up(most)
    parts: list[Html] = []
    levels = [(base - (base - 18) * step / 4, short(top * step / 4)) for step in range(1, 5)]
    parts += [_line(0, y, 100, y, "grid") for y, _ in levels]
    width = 100 / max(len(tables), 1)
    for index, table in enumerate(tables):
        parts += _column(index * width, width, table, names, (base - 18) / max(top, 1), base)
    parts += [_text(0, y - 4, label, "axis") for y, label in levels]
    parts.append(_line(0, base, 100, base, "base"))
    every = max(1, -(-len(labels) // 6))
    for index in range(0, len(labels), every):
        parts.append(_text(_within((index + 0.5) * width), base + 17, labels[index], "mid"))
    return _chart(height, words, parts)


def dumbbells(pairs: Sequence[ValuePair], words: str) -> Html:
    """Return for each pair a line from the old value, a ring, to the new one, a disc."""
    most = max((max(each.old, each.new) for each in pairs), default=1.0)
    scale = 57 / most
    row, parts = 46, []
    for index, each in enumerate(pairs):
        y = index * row + 30
        old, new = round(each.old * scale, 2) + 1, round(each.new * scale, 2) + 1
        tone = "up" if each.new > each.old else "down"
        parts += [
            _text(0, y - 14, each.name, "value"),
            _line(0, y, 60, y, "grid"),
            _line(old, y, new, y, f"way {tone}"),
            tag("circle", cx=f"{old}%", cy=y, r=5, class_="was"),
            tag("circle", cx=f"{new}%", cy=y, r=5.5, class_="is"),
            _text(100, y + 4, each.words, "value end"),
        ]
    return _chart(row * len(pairs) + 2, words, parts)


def ticks(span: TimeAxis) -> list[tuple[float, str]]:
    """Return some times of a span that are easily read, with their labels."""
    days = (span.end - span.start) / 86_400
    start = datetime.fromtimestamp(span.start, UTC)
    if days <= 3:
        step, form = timedelta(hours=6 if days <= 1.5 else 12), "%d %b %H:%M"
        at = start.replace(minute=0, second=0, microsecond=0, hour=start.hour - start.hour % 6)
    else:
        each = next((n for n in (1, 2, 7, 14, 30, 61, 91, 182) if days / n <= 6), 365)
        step, form = timedelta(days=each), "%d %b" if days < 330 else "%b %Y"
        at = start.replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    while at.timestamp() <= span.end:
        if at.timestamp() >= span.start:
            found.append((at.timestamp(), at.strftime(form).lstrip("0")))
        at += step
    return found


def short(value: float) -> str:
    """Return a number in a few characters: `1.2M`."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _lane(span: TimeAxis, lane: Lane, top: int) -> Html:
    y = top + 22
    parts = [
        _text(0, top + 14, lane.name, "name"),
        _text(100, top + 14, lane.words, "end"),
        _rect(0, y, "100%", _TRACK, class_="empty", rx=5),
    ]
    for index, each in enumerate(lane.bands):
        left, right = span.place(each.start), span.place(each.end)
        if right > left:
            # An inner picture cuts words that are longer than its band.
            inner = [_rect(0, 0, "100%", _TRACK, class_=f"b{index % 2}", rx=5)]
            if right - left > _SHORT:
                words = each.words if right - left > _WORDS else each.words.split(" ")[0]
                inner.append(tag("text", words, x=7, y=15, class_="in"))
            place = {"x": f"{left}%", "y": y, "width": f"{right - left:.2f}%", "height": _TRACK}
            parts.append(tag("svg", tag("title", each.title), inner, **place))
    marks = [_mark(span.place(each.at), y + _TRACK, each) for each in _apart(span, lane.marks)]
    return tag("g", parts, marks)


def _apart(span: TimeAxis, marks: Sequence[Mark]) -> list[Mark]:
    """Return the marks that can be told apart; alike ones at the same place become one with their number."""
    shown: list[Mark] = []
    for good in (True, False):
        group: list[Mark] = []
        for each in sorted((m for m in marks if m.good is good), key=lambda mark: mark.at):
            if group and span.place(each.at) - span.place(group[0].at) >= _MARK_GAP:
                shown.append(_one(group))
                group = []
            group.append(each)
        if group:
            shown.append(_one(group))
    return shown


def _one(group: Sequence[Mark]) -> Mark:
    if len(group) == 1:
        return group[0]
    return Mark(group[0].at, group[0].good, f"{len(group)} changes: {group[0].title}, ...")


def _mark(place: float, y: float, mark: Mark) -> Html:
    form = (
        tag("circle", cx=0, cy=0, r=4.5, class_="ok")
        if mark.good
        else tag("path", d="M-4 -4L4 4M4 -4L-4 4", class_="no")
    )
    halo = tag("circle", cx=0, cy=0, r=7, class_="halo")
    return tag("svg", tag("title", mark.title), halo, form, x=f"{place}%", y=y, overflow="visible")


def _column(
    left: float,
    width: float,
    table: Mapping[str, int],
    names: Sequence[str],
    scale: float,
    base: int,
) -> list[Html]:
    gap, y = min(width * 0.18, 0.6), float(base)
    found = []
    for index, name in enumerate(names):
        height = round(table.get(name, 0) * scale, 1)
        if height > 0:
            y -= height
            x, wide = f"{left + gap / 2:.2f}%", f"{width - gap:.2f}%"
            found.append(_rect(x, round(y, 1), wide, height, fill=_fill(index)))
    return found


def _round_up(value: int) -> float:
    """Return the next round number that four grid lines divide well."""
    size = 1.0
    while size * 10 <= value:
        size *= 10
    return next(each * size for each in (1, 2, 4, 6, 8, 10) if each * size >= value)


def _within(place: float) -> str:
    """Return a place where a label's middle may be, so that it does not leave the chart."""
    return f"{min(max(place, 5.0), 95.0):.2f}%"


def _fill(index: int) -> str:
    return f"url(#p{index % SERIES})"


def _chart(height: float, words: str, parts: Sequence[Html]) -> Html:
    return tag("svg", parts, class_="chart", height=height, role="img", aria_label=words)


def _rect(x: object, y: object, width: object, height: object, **more: object) -> Html:
    return tag("rect", x=x, y=y, width=width, height=height, **more)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    return tag(
        "line", x1=f"{x1:.4g}%", y1=f"{y1:.4g}", x2=f"{x2:.4g}%", y2=f"{y2:.4g}", class_=kind
    )


def _text(x: float | str, y: float, words: str, kind: str = "") -> Html:
    place = x if isinstance(x, str) else f"{x:.4g}%"
    return tag("text", words, x=place, y=f"{y:.4g}", class_=kind or None)
