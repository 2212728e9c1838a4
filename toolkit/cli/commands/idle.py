"""`toolkit idle`: replicas and hosts that nobody uses, with what they cost a day."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.arguments.options import (
    costs_option,
    home_option,
    json_option,
    schedule_option,
    since_option,
)
from toolkit.cli.arguments.times import first_and_last
from toolkit.cli.opening.context import home_directory, open_history
from toolkit.cli.opening.warm_hours import KnownHours, known_hours
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.cli.views.cost import amount_text
from toolkit.cli.views.cost_json import money
from toolkit.cli.views.sleep_rule import after_words, sleep_lines
from toolkit.domain.costs.economics import day_of
from toolkit.domain.deployment.schedule import SleepRule
from toolkit.domain.quantity import format_seconds
from toolkit.planning.economics.idle import Idleness, idleness
from toolkit.workflows.fleet.recorded import recorded, to_come, window, words_on_days_to_come

if TYPE_CHECKING:
    from toolkit.planning.economics.idle import HostPart


@click.command()
@costs_option()
@since_option("What had no request from this day on is idle.", default="7d")
@schedule_option()
@home_option()
@json_option()
def idle(costs_path: str, since: str, schedule_path: str, home: str | None, as_json: bool) -> None:
    """Show replicas and hosts that nobody uses, and what they cost a day.

    Use, and what holds the hosts, come from the history; prices from the file of costs. `toolkit usage` collects the
    newest use first. The schedule says after which time without a request a model falls asleep.
    """
    from toolkit.config.costs.reading import load_costs

    now = time.time()
    today = day_of(now)
    days, costs = first_and_last(since, None, today), load_costs(Path(costs_path), today)
    history = open_history(home_directory(home), whole=True)
    situation, notes = recorded(history, costs, window(*days, int(now)), keys=False)
    notes = (*notes, *words_on_days_to_come(to_come(history, now)))
    found, hours = idleness(situation), known_hours(schedule_path)
    if as_json:
        rest = {"notes": list(notes), "schedule_fault": hours.fault}
        print_json({"since": days[0].isoformat(), **_document(found, hours), **rest})
        return
    _show(found, str(days[0]), hours)
    for words in notes:
        note(words)
    hours.tell()


def _show(found: Idleness, since: str, hours: KnownHours) -> None:
    say(f"used since {since}; a day in {found.currency}")
    say()
    # The column is there where the schedule has hours of a model.
    scheduled = any(each.model in hours.of for each in found.held)
    table(
        (
            "HOST",
            "MODEL",
            "RELEASE",
            "IS",
            "REQUESTS",
            "LAST USED",
            "A DAY",
            *(["SLEEPS AFTER"] if scheduled else ()),
        ),
        [
            (
                each.host,
                each.model or "(no model)",
                f"#{each.release}" if each.model else "-",
                "idle" if each.idle and each.model and each.state == "live" else each.state,
                f"{each.requests:,}" if each.state == "live" else "-",
                each.last or "-",
                amount_text(each.a_day),
                *([after_words(hours.of.get(each.model))] if scheduled else ()),
            )
            for each in found.held
        ],
    )
    for each in found.held:
        if each.asleep_seconds >= 60:
            say(
                f"{each.model} at {each.host} slept for {format_seconds(each.asleep_seconds)} of it."
            )
    for model in dict.fromkeys(each.model for each in found.held):
        for words in sleep_lines(model, SleepRule(None, hours.rule(model).alternates)):
            say(words)
    unknown = list(dict.fromkeys(each.host for each in found.held if each.a_day is None))
    if unknown:
        say(
            f"What {', '.join(unknown)} cost{'' if len(unknown) > 1 else 's'} a day is not known: "
            "no price, or energy that a meter counts."
        )
    known = [each for each in found.held if each.a_day is not None]
    if known:
        rest = Idleness(found.currency, tuple(known))
        of = (
            f"Of the other {amount_text(rest.a_day)}"
            if unknown
            else f"Of {amount_text(rest.a_day)}"
        )
        say(f"{of} a day, {amount_text(rest.idle_a_day)} pays for what nobody used.")


def _document(found: Idleness, hours: KnownHours) -> dict[str, Any]:
    return {
        "currency": found.currency,
        "a_day": money(found.a_day),
        "idle_a_day": money(found.idle_a_day),
        "held": [_held(each, hours) for each in found.held],
    }


def _held(each: HostPart, hours: KnownHours) -> dict[str, Any]:
    rule = hours.rule(each.model)
    return {
        "host": each.host,
        "model": each.model,
        "release": each.release,
        "state": each.state,
        "idle": each.idle,
        "requests": each.requests,
        "asleep_seconds": each.asleep_seconds,
        "last_used": each.last.isoformat() if each.last else None,
        "a_day": money(each.a_day),
        "idle_after": rule.hours.idle_after if rule.hours else 0.0,
        "in_turn_with": list(rule.alternates),
    }
