"""Whether models can take turns by their warm hours: of those that share a device, one is awake at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.domain.deployment.schedule import Schedule, Window
from toolkit.planning.upkeep.windows import openings, wall_text

_WEEK = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Clash:
    """Why a model cannot take turns as its schedule says, and what to do."""

    model: str
    words: str
    hint: str


def clashes(schedule: Schedule, now: float) -> Iterator[Clash]:
    """Yield where hours and turns contradict each other from `now` on, in seconds since the epoch."""
    for model, hours in schedule.warm.items():
        others = schedule.alternates_of(model)
        if hours.window is None or not others:
            continue
        # Name the model that declares the turns: this one, or the first one that names it.
        naming = model if hours.in_turn_with else _naming(schedule, model)
        if _always(hours.window, now):
            yield Clash(
                naming,
                f"{model} is up at all times by its hours, so it makes room for nobody",
                f"take {model} out of the turns, or give it fewer hours",
            )
        for other in others:
            window = schedule.warm[other].window if other in schedule.warm else None
            if window and model < other and (both := _both(hours.window, window, now)):
                yield Clash(
                    naming,
                    f"{model} and {other} take turns, and by their hours both are up at"
                    f" {wall_text(both, hours.window.zone)}",
                    "give them hours one after the other",
                )


def _naming(schedule: Schedule, model: str) -> str:
    return next(name for name, each in schedule.warm.items() if model in each.in_turn_with)


def _always(window: Window, now: float) -> bool:
    """Whether a window is open without a break for the next week."""
    until = now
    for each in openings(window, (), now, days=9):
        if each.opens > until:
            return False
        until = max(until, each.closes)
    return until >= now + _WEEK


def _both(one: Window, other: Window, now: float) -> float:
    """Return the next moment at which both windows are open; 0 where there is none."""
    first, second = list(openings(one, (), now)), list(openings(other, (), now))
    while first and second:
        begin = max(first[0].opens, second[0].opens, now)
        if begin < min(first[0].closes, second[0].closes):
            return begin
        earlier = first if first[0].closes <= second[0].closes else second
        earlier.pop(0)
    return 0.0
