"""The schedule of unattended upgrades: when they may happen, for which models, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from enum import StrEnum
from typing import Any

from toolkit.domain.replicas.warmth import WhenAsleep

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Upkeep(StrEnum):
    """The work of a schedule for a model: nothing, pin newer revisions as candidates, or upgrade to them as well."""

    MANUAL = "manual"
    PIN_ONLY = "pin-only"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Blackout:
    """Days on which no window is open, the first and the last among them; without a `last` it has no end."""

    first: date
    last: date | None

    def covers(self, day: date) -> bool:
        """Whether the day is one of them."""
        return self.first <= day and (self.last is None or day <= self.last)


@dataclass(frozen=True, slots=True)
class Window:
    """A time at which unattended upgrades may happen, in the wall clock of `zone`.

    It opens at `at` on weekdays (0 is Monday) or on single `dates`, stays open for `seconds` of elapsed time, and ends
    early where a day of a blackout begins. Each ops machine begins its work up to `jitter` seconds after the opening.
    """

    name: str
    at: time
    seconds: float
    zone: str
    weekdays: tuple[int, ...] = ()
    dates: tuple[date, ...] = ()
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """A schedule's rule for one model.

    In `windows` (all where it is empty), with revisions that have been known for `soak` seconds at least.
    """

    model: str
    upkeep: Upkeep = Upkeep.MANUAL
    windows: tuple[str, ...] = ()
    soak: float = 0.0


@dataclass(frozen=True, slots=True)
class WarmHours:
    """The hours in which a model is to be up: the openings of `window`. Else it sleeps, with the policy `when_asleep`.

    Outside of its hours it falls asleep again once it has had no request for `idle_after` seconds; 0 for never. Without
    a window this alone counts. The models `in_turn_with` share its device, so that one of them is awake at a time.
    """

    model: str
    window: Window | None
    when_asleep: WhenAsleep = WhenAsleep.WAIT
    idle_after: float = 0.0
    in_turn_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SleepRule:
    """The rule by which a model falls asleep without a command, as far as it is known.

    `hours` are those of the schedule; None where it has no rule for the model. Before one of its `alternates` wakes,
    the model makes room, and the other way round.
    """

    hours: WarmHours | None = None
    alternates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """A whole schedule: at most `most` models are upgraded in one window.

    Up to `unreachable` hosts need not answer. The models in `warm` have hours.
    """

    windows: Mapping[str, Window]
    rules: Mapping[str, Rule]
    blackouts: tuple[Blackout, ...] = ()
    most: int = 1
    unreachable: int = 0
    path: str = field(default="", compare=False)
    warm: Mapping[str, WarmHours] = field(default_factory=dict)

    def alternates_of(self, model: str) -> tuple[str, ...]:
        """Return the models that take turns with one, ordered: all that names link to it, directly or over others."""
        found, left = {model}, [model]
        while left:
            name = left.pop()
            near = {*(self.warm[name].in_turn_with if name in self.warm else ())}
            near.update(other for other, each in self.warm.items() if name in each.in_turn_with)
            left.extend(near - found)
            found |= near
        return tuple(sorted(found - {model}))

    def rules_of(self, window: str) -> tuple[Rule, ...]:
        """Return the rules that do anything in a window, in the file's order."""
        return tuple(
            rule
            for rule in self.rules.values()
            if rule.upkeep is not Upkeep.MANUAL and (not rule.windows or window in rule.windows)
        )


@dataclass(frozen=True, slots=True)
class Opening:
    """One time that a window is open: from `opens` until just before `closes`, in seconds since the epoch."""

    window: str
    opens: float
    closes: float

    def holds(self, now: float) -> bool:
        """Whether the window is open at `now`."""
        return self.opens <= now < self.closes

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"window": self.window, "opens": self.opens, "closes": self.closes}
