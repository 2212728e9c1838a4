"""A schedule as people and programs read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.cli.terminal.output import say, table
from toolkit.domain.deployment.schedule import WEEKDAYS
from toolkit.planning.upkeep.windows import wall_text

if TYPE_CHECKING:
    from toolkit.adapters.schedule_record import KnownRuns, WindowRun
    from toolkit.domain.deployment.schedule import Opening, Rule, Schedule, WarmHours, Window
    from toolkit.planning.upkeep.warm_hours import Warmth

WIDTH = 80


def days_of(window: Window) -> str:
    """Return when a window opens, in words."""
    names = ",".join(WEEKDAYS[day] for day in window.weekdays)
    days = ",".join(map(str, window.dates)) or ("daily" if len(window.weekdays) == 7 else names)
    return f"{days} {window.at:%H:%M} {window.zone}"


def when(found: Schedule, opening: Opening | None) -> str:
    """Return an opening by the clock of its window."""
    return (
        wall_text(opening.opens, found.windows[opening.window].zone) if opening else "never again"
    )


def show_windows(found: Schedule, opens: Mapping[str, Opening | None]) -> None:
    """Print the windows with their next openings, by name."""
    if not found.windows:
        return
    table(
        ("WINDOW", "OPENS", "FOR", "NEXT"),
        [
            (name, days_of(window), f"{window.seconds / 3600:g} h", when(found, opens[name]))
            for name, window in found.windows.items()
        ],
        WIDTH,
    )


def show_rules(found: Schedule) -> None:
    """Print what is done for models in the windows."""
    if not found.rules:
        return
    if found.windows:
        say()
    table(
        ("MODEL", "POLICY", "WINDOWS", "SOAK"),
        [
            (name, rule.upkeep, ", ".join(rule.windows) or "all", f"{rule.soak / 86_400:g} d")
            for name, rule in found.rules.items()
        ],
        WIDTH,
    )


def show_runs(found: Schedule, known: KnownRuns) -> None:
    """Print the last runs."""
    last = [each for each in known.runs if each.window in found.windows][-5:]
    if not last:
        return
    say()
    table(
        ("RUN IN", "BEGAN", "CODE", "SAID"),
        [
            (
                each.window,
                wall_text(each.begun_at, found.windows[each.window].zone),
                "cut short" if each.code is None else each.code,
                "; ".join(each.lines) or "-",
            )
            for each in last
        ],
        WIDTH,
    )


def show_warm(found: Schedule, known: KnownRuns) -> None:
    """Print the models with warm hours, and what these last made of them."""
    if not found.warm:
        return
    if found.windows or found.rules:
        say()
    table(
        ("WARM", "HOURS", "FOR", "IDLE AFTER", "ELSE", "LAST MADE"),
        [
            (
                name,
                days_of(each.window) if each.window else "-",
                f"{each.window.seconds / 3600:g} h" if each.window else "-",
                f"{each.idle_after / 60:g} min" if each.idle_after else "-",
                each.when_asleep,
                known.warm[name][0] if name in known.warm else "-",
            )
            for name, each in found.warm.items()
        ],
        WIDTH,
    )
    for name in found.warm:
        if others := found.alternates_of(name):
            say(f"{name} takes turns with {', '.join(others)}")


def said_of(hours: WarmHours, want: Warmth | None) -> str:
    """Return whether a model is up by its hours, and after which time without a request it falls asleep."""
    idle = f"it sleeps after {hours.idle_after / 60:g} min without a request"
    if want is None:
        return idle if hours.idle_after else "it has no hours, and makes room in its turn"
    words = f"by its hours it is to be {want.state}"
    return f"{words}; outside of them {idle}" if hours.idle_after else words


def warm_json(each: WarmHours, others: Sequence[str], known: KnownRuns) -> dict[str, Any]:
    """Return the JSON form of warm hours of a model that takes turns with `others`."""
    made = known.warm.get(each.model)
    none = {"days": [], "dates": [], "from": "", "seconds": 0.0, "time_zone": ""}
    hours = window_json(each.window) if each.window else none
    return {
        **{name: value for name, value in hours.items() if name != "jitter"},
        "idle_after": each.idle_after,
        "when_asleep": str(each.when_asleep),
        "in_turn_with": list(others),
        "last_made": made[0] if made else "",
    }


def window_json(window: Window) -> dict[str, Any]:
    """Return the JSON form of a window."""
    return {
        "days": [WEEKDAYS[day] for day in window.weekdays],
        "dates": [str(day) for day in window.dates],
        "from": f"{window.at:%H:%M}",
        "seconds": window.seconds,
        "jitter": window.jitter,
        "time_zone": window.zone,
    }


def rule_json(rule: Rule) -> dict[str, Any]:
    """Return the JSON form of a rule."""
    return {"policy": str(rule.upkeep), "windows": list(rule.windows), "soak": rule.soak}


def run_json(each: WindowRun) -> Mapping[str, Any]:
    """Return the JSON form of a run."""
    return {
        "window": each.window,
        "opens": each.opens,
        "begun_at": each.begun_at,
        "ended_at": each.ended_at,
        "code": each.code,
        "lines": list(each.lines),
    }


def opening_json(opening: Opening | None) -> dict[str, Any] | None:
    """Return the JSON form of an opening, null where there is none."""
    return opening.as_json() if opening else None
