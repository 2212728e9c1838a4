"""Objectives as tables and as a document."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.cli.terminal.output import note, say, table
from toolkit.domain.moment import moment_text
from toolkit.domain.quantity import format_brief, format_seconds
from toolkit.domain.registry.objective import Objective, Promise
from toolkit.errors import HostError
from toolkit.planning.objectives.attained import PACES, Attained, Spent
from toolkit.planning.objectives.coverage import Coverage
from toolkit.planning.objectives.measured import Measured, Source

NOUNS = {
    Promise.AVAILABILITY: "availability",
    Promise.FIRST: "first token",
    Promise.BETWEEN: "between tokens",
}


def show(found: Sequence[Measured], source: Source) -> None:
    """Print two tables, the objectives and what spent their budgets, and what is to be known beside them."""
    table(
        ("MODEL", "OBJECTIVE", "DAYS", "ATTAINED", "REQUESTS", "BUDGET LEFT", "PACE"),
        [_row(each, one) for each in found for one in each.objectives],
    )
    spent = [
        [each.model, NOUNS[one.objective.promise], *spent_words(part)]
        for each in found
        for one in each.objectives
        for part in one.spent
    ]
    if spent:
        say()
        table(("MODEL", "SPENT OF", "BY RELEASE", "BAD", "BUDGET", "REASONS"), spent)
    for each in found:
        for one in each.objectives:
            if one.left_out:
                words = ", ".join(f"{count:,} {reason}" for reason, count in one.left_out)
                say(f"{each.model}: left out of {NOUNS[one.objective.promise]}: {words}")
    say(f"figures from {source.words}")
    if source.why_not:
        note(f"{source.why_not}; so the figures are those that the hosts counted")
    for words in remarks(found, source):
        note(words)


def objective_words(objective: Objective) -> str:
    """Return an objective in words: `first token 95 % < 2 s`."""
    words = f"{NOUNS[objective.promise]} {_percent(objective.target)}"
    return f"{words} < {format_brief(objective.under)}" if objective.under else words


def _row(measured: Measured, one: Attained) -> list[str]:
    valid = one.good + one.bad
    pace = one.paces[PACES.index(24)]
    return [
        measured.model,
        objective_words(one.objective),
        f"{measured.days}",
        share_words(one.attained),
        f"{valid:,}",
        budget_words(one),
        "-" if pace is None else f"{pace:.1f}",
    ]


def share_words(share: float | None) -> str:
    """Return a share in percent, `-` where there is none."""
    return "-" if share is None else _percent(share)


def budget_words(one: Attained) -> str:
    """Return the rest of a budget in words: `74 %`, or by how much it is overspent."""
    left = one.left
    if left is None:
        return "-"
    return f"{left * 100:.0f} %" if left >= 0 else f"spent {1 - left:.3g} x"


def spent_words(part: Spent) -> list[str]:
    """Return a release, the number of its bad requests, their part of the budget, and reasons."""
    release = f"#{part.release} {part.version}".strip() if part.release else "unknown"
    return [
        f"{release}, no replica" if part.unserved else release,
        f"{part.bad:,}",
        f"{part.budget * 100:.3g} %",
        ", ".join(f"{reason} {count:,}" for reason, count in part.reasons[:2]),
    ]


def _percent(share: float) -> str:
    """Return a share in percent, rounded down: less than all never becomes 100 %."""
    places = 4 if share > 0.999 else 2
    scale = 10.0**places
    # The error of binary fractions is less than a millionth of the last place.
    found = math.floor(share * 100 * scale + 1e-6) / scale
    return f"{found:.{places}f}".rstrip("0").rstrip(".") + " %"


def _hosts(found: Sequence[Measured]) -> dict[str, Coverage]:
    return {each.host: each for one in found for each in one.coverage}


def remarks(found: Sequence[Measured], source: Source) -> list[str]:
    """Return in words what the figures lack of hosts."""
    words = [each for host in _hosts(found).values() for each in _remarks(host, found, source)]
    what = "Prometheus has read nothing of it" if source.prometheus else "nothing of it was counted"
    words += [
        f"{host}: {what} in these days, so its requests are not in here"
        for host in _uncounted(found)
    ]
    return words


def _uncounted(found: Sequence[Measured]) -> list[str]:
    return sorted({host for each in found for host in each.uncounted})


def _remarks(host: Coverage, found: Sequence[Measured], source: Source) -> list[str]:
    words = []
    if host.missing:
        missing = format_seconds(host.missing)
        words.append(
            f"{host.host}: {missing} of its requests were not counted, so they are not in here"
        )
    if host.until is not None:
        words.append(
            f"{host.host} is no host of this fleet: it was counted until {moment_text(host.until)}"
        )
    late = min(each.since for each in found)
    if host.since > late + 3600:
        knows = f"Prometheus knows {host.host}" if source.prometheus else f"{host.host} has counted"
        words.append(f"{knows} since {moment_text(host.since)}, not for the whole window")
    return words


def document(
    found: Sequence[Measured], errors: Mapping[str, HostError], source: Source
) -> dict[str, Any]:
    """Return the document of the objectives."""
    return {
        "source": "prometheus" if source.prometheus else "hosts",
        "prometheus": source.prometheus or None,
        "why_not_prometheus": source.why_not or None,
        "models": [
            {
                "model": each.model,
                "days": each.days,
                "since": each.since,
                "until": each.until,
                "objectives": [_objective(one) for one in each.objectives],
            }
            for each in found
        ],
        "hosts": [
            {
                "host": each.host,
                "since": each.since,
                "until": each.until,
                "missing_seconds": each.missing,
            }
            for each in _hosts(found).values()
        ],
        "uncounted": _uncounted(found),
        "unreachable": {name: each.message for name, each in errors.items()},
    }


def _objective(one: Attained) -> dict[str, Any]:
    return {
        "objective": str(one.objective.promise),
        "target": one.objective.target,
        "under": one.objective.under or None,
        "good": one.good,
        "bad": one.bad,
        "left_out": dict(one.left_out),
        "attained": one.attained,
        "allowed": one.allowed,
        "budget_left": one.left,
        "pace": {f"{hours}h": pace for hours, pace in zip(PACES, one.paces, strict=True)},
        "spent": [
            {
                "release": part.release or None,
                "version": part.version,
                "unserved": part.unserved,
                "bad": part.bad,
                "budget": part.budget,
                "reasons": dict(part.reasons),
            }
            for part in one.spent
        ],
    }
