"""The rule by which a model falls asleep without a command, as people and programs read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.cli.views.schedule import days_of
from toolkit.domain.replicas.warmth import WORDS

if TYPE_CHECKING:
    from toolkit.domain.deployment.schedule import SleepRule, WarmHours


def sleep_lines(model: str, rule: SleepRule) -> tuple[str, ...]:
    """Return a line about the model's schedule and one about its alternates, each only if there is something to say."""
    found = []
    if rule.hours is not None:
        when = WORDS[rule.hours.when_asleep]
        found.append(f"{model} sleeps {_when(rule.hours)}; asleep, {when}")
    if rule.alternates:
        names = ", ".join(rule.alternates)
        found.append(f"{model} takes turns with {names}: one of them is awake, and makes room")
    return tuple(found)


def _when(hours: WarmHours) -> str:
    outside = f"outside of its hours ({hours_words(hours)})" if hours.window else ""
    after = f"after {after_words(hours)} without a request" if hours.idle_after else ""
    return f"{outside}, and there {after}" if outside and after else outside or after


def after_words(hours: WarmHours | None) -> str:
    """Return the time without a request after which a model sleeps; `-` for never."""
    return f"{hours.idle_after / 60:g} min" if hours and hours.idle_after else "-"


def hours_words(hours: WarmHours | None) -> str:
    """Return the hours at which a model is up; empty without any."""
    if hours is None or hours.window is None:
        return ""
    return f"{days_of(hours.window)} for {hours.window.seconds / 3600:g} h"


def sleep_json(rule: SleepRule) -> dict[str, Any]:
    """Return the JSON form."""
    hours = rule.hours
    return {
        "idle_after": hours.idle_after if hours else 0.0,
        "hours": hours_words(hours),
        "when_asleep": str(hours.when_asleep) if hours else "",
        "in_turn_with": list(rule.alternates),
    }
