"""The sections about changes: the timeline of releases with gates and returns, and latency before and after each."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.cli.views.report.charts import Band, Lane, Mark, TimeAxis, ValuePair, dumbbells, lanes
from toolkit.cli.views.report.html import Html, tag
from toolkit.cli.views.report.parts import (
    chip,
    code,
    columns,
    figure,
    folded,
    minute,
    nothing,
    numbers,
    plural,
    section,
    when,
)
from toolkit.domain.gates.verdict import Verdict
from toolkit.domain.quantity import format_seconds
from toolkit.planning.report.changes import ChangeEnd, GateSummary, PastChange
from toolkit.planning.report.findings import Findings
from toolkit.planning.report.latency import Before, leading

# A page of a year stays small: the newest are shown, and every one that failed, as far as there is room.
_CHANGES, _FAILED, _LANES, _PAIRS, _TIMES = 60, 30, 12, 16, 60
_COLUMNS = columns("When (UTC)", "Change", "How it ended", "Gates", "Hosts", "By")
_TIME_COLUMNS = columns(
    "When (UTC)", "Change", "Measured", "Before, ms#", "After, ms#", "Difference#"
)
_ENDINGS = {
    ChangeEnd.LIVE: ("✓", "good"),
    ChangeEnd.RETURNED: ("✕", "bad"),
    ChangeEnd.FAILED: ("✕", "bad"),
    ChangeEnd.STOPPED: ("■", ""),
    ChangeEnd.RUNNING: ("…", "warn"),
    ChangeEnd.UNDONE: ("↺", "warn"),
}
_VERDICTS = {
    Verdict.FAILED: ("✕", "bad"),
    Verdict.UNKNOWN: ("?", "warn"),
}
_NOT_LIVE = (ChangeEnd.RETURNED, ChangeEnd.FAILED)


def timeline(found: Findings, room: int) -> Html:
    """Return the live releases over time, and every change with its gates."""
    live = sum(each.ending is ChangeEnd.LIVE for each in found.changes)
    back = sum(each.ending is ChangeEnd.RETURNED for each in found.changes)
    failed = sum(each.ending is ChangeEnd.FAILED for each in found.changes)
    lead = (
        f"{plural(len(found.changes), 'change')}: {live:,} went live, {back:,} returned by a guard, "
        f"{failed:,} failed before any traffic."
    )
    models = _models(found)
    shown = models[: max(1, _LANES // room)]
    parts: list[object] = []
    if shown:
        span = TimeAxis(found.since, found.until)
        chart = lanes(
            span, [_lane(found, each) for each in shown], "Releases of each model over time"
        )
        caption = (
            "A bar is the time in which a release was live. ● went live, ✕ failed or was returned."
        )
        if len(models) > len(shown):
            caption += f" {plural(len(models) - len(shown), 'more model')}: see the table."
        parts.append(figure(chart, tag("figcaption", caption)))
    rows = _chosen(found.changes, room)
    if rows:
        made = [_row(each) for each in rows]
        parts += [tag("h3", "Changes"), folded("changes", _COLUMNS, made, len(made))]
    else:
        parts.append(nothing("Nothing was changed in this period."))
    if len(rows) < len(found.changes):
        left = len(found.changes) - len(rows)
        words = (f"{left:,} older ones are not on this page: ", code("toolkit releases MODEL"))
        parts.append(tag("p", words, class_="soft"))
    return section("releases", "Releases", lead, parts)


def latency(found: Findings, room: int) -> Html:
    """Return the times of both releases of each upgrade, as its gates measured them side by side."""
    lead = "Each upgrade's gates and guards asked the release before and the new one in turn: lower is better."
    pairs = leading(found.latency)
    if not pairs:
        words = (
            "No upgrade of this period has measured both releases. The gate ",
            code("speed"),
            " and the guard on the hosts do: see the field ",
            code("guard"),
            " of the registry.",
        )
        return section("latency", "Latency before and after", lead, nothing(*words))
    newest = sorted(pairs, key=lambda each: -each.change.started)[: max(1, _PAIRS // room)]
    names = {each.name for each in newest}
    chart = dumbbells(
        [_pair(each, named=len(names) > 1) for each in newest],
        "Time before and after each upgrade in ms",
    )
    rows = sorted(found.latency, key=lambda each: -each.change.started)
    command = "toolkit releases MODEL --gates"
    times = [_time_row(each) for each in rows]
    what = f"{next(iter(names))} in ms" if len(names) == 1 else "Milliseconds"
    caption = (
        f"{what[0].upper()}{what[1:]}, ○ before and ● after; "
        f"the newest {len(newest)} of {plural(len(pairs), 'upgrade')}."
    )
    return section(
        "latency",
        "Latency before and after",
        lead,
        figure(chart, tag("figcaption", caption)),
        numbers(
            f"The numbers: {plural(len(rows), 'time')}",
            folded("times", _TIME_COLUMNS, times, max(1, _TIMES // room), command),
        ),
    )


def _models(found: Findings) -> list[str]:
    """Return the models of the timeline, those with most changes first."""
    counts: dict[str, int] = {each.model: 0 for each in found.reigns}
    for each in found.changes:
        counts[each.model] = counts.get(each.model, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))


def _lane(found: Findings, model: str) -> Lane:
    reigns = [each for each in found.reigns if each.model == model]
    bands = [
        Band(
            each.started,
            each.ended or found.until,
            f"#{each.release} {each.version}",
            f"#{each.release} {each.version}: live from {minute(each.started)} to {_end(each.ended)}",
        )
        for each in reigns
    ]
    marks = [
        Mark(each.ended, each.ending is ChangeEnd.LIVE, f"{minute(each.ended)}: {_title(each)} {each.ending}")
        for each in found.changes
        if each.model == model and each.ended and each.ending in (ChangeEnd.LIVE, *_NOT_LIVE)
    ]  # fmt: skip
    now = next((each for each in reigns if each.ended is None), None)
    return Lane(model, f"#{now.release} {now.version} is live" if now else "not live", bands, marks)


def _end(at: float | None) -> str:
    return minute(at) if at else "now"


def _chosen(changes: tuple[PastChange, ...], room: int) -> list[PastChange]:
    """Return the newest changes, and of the others those that failed, the newest first."""
    most, failures = max(1, _CHANGES // room), max(1, _FAILED // room)
    newest = changes[-most:]
    failed = [each for each in changes[:-most] if each.ending in _NOT_LIVE][-failures:]
    return sorted((*failed, *newest), key=lambda each: -each.started)


def _row(each: PastChange) -> tuple[object, ...]:
    mark, tone = _ENDINGS[each.ending]
    seconds = (each.ended or 0.0) - each.started
    # The clock may have been set back meanwhile.
    took = f" after {format_seconds(seconds)}" if seconds >= 0 else ""
    why = tag("span", each.reason, class_="why") if each.reason else None
    return (
        when(each.started),
        (tag("strong", each.model), " ", _title(each)),
        (chip(f"{mark} {each.ending}", tone), tag("span", took, class_="soft"), why),
        _gates(each.gates, each.reason) or "-",
        _hosts(each.hosts),
        each.actor,
    )


def _gates(gates: Sequence[GateSummary], said: str) -> list[Html]:
    """Return the gates that passed, and the others with their reasons, unless a reason is `said` beside them."""
    passed = ", ".join(each.gate for each in gates if each.verdict is Verdict.PASSED)
    found = [tag("span", f"✓ {passed}", class_="passed")] if passed else []
    for each in gates:
        if each.verdict is not Verdict.PASSED:
            why = each.reason if each.reason not in said else ""
            more = tag("span", why, class_="why") if why else None
            mark, tone = _VERDICTS[each.verdict]
            found.append(tag("div", chip(f"{mark} {each.gate}", tone), more))
    return found


def _hosts(names: tuple[str, ...]) -> str:
    if len(names) > 3:
        return f"{names[0]}, {names[1]} and {len(names) - 2} more"
    return ", ".join(names) or "-"


def _title(each: PastChange) -> str:
    if each.action == "stop":
        return "stop"
    to = f"#{each.release} {each.version}".rstrip()
    if each.previous is None or each.previous == each.release:
        return f"{each.action} to {to}"
    return f"{each.action}: #{each.previous} {each.former} → {to}".replace("  ", " ")


def _pair(each: Before, *, named: bool) -> ValuePair:
    change = each.change
    moved = 100 * (each.ratio - 1)
    words = f"{_milliseconds(each.old)} → {_milliseconds(each.new)} ({moved:+.0f} %)"
    name = f"{minute(change.started)[:10]}  {_upgrade(change)}{f', {each.name}' if named else ''}"
    return ValuePair(name, each.old, each.new, words)


def _time_row(each: Before) -> tuple[object, ...]:
    change = each.change
    return (
        when(change.started),
        _upgrade(change),
        f"{each.name} ({each.gate})",
        _milliseconds(each.old),
        _milliseconds(each.new),
        f"{100 * (each.ratio - 1):+.1f} %",
    )


def _upgrade(change: PastChange) -> str:
    return f"{change.model} #{change.previous} → #{change.release}"


def _milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
