"""`toolkit sleep` and `toolkit wake`: end the replicas of a model for a time, and start them again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import click
from click.core import ParameterSource

from toolkit.cli.arguments.options import (
    drain_option,
    dry_run_option,
    schedule_option,
    site_options,
    yes_option,
)
from toolkit.cli.arguments.waiting import wait_option
from toolkit.cli.changing.members import open_members
from toolkit.cli.opening.context import home_directory, open_fleet
from toolkit.cli.opening.trail import changing
from toolkit.cli.opening.warm_hours import known_hours
from toolkit.cli.terminal.output import note, print_json, say
from toolkit.cli.views.plan import confirmation, go_ahead
from toolkit.domain.quantity import format_seconds
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.errors import InputError
from toolkit.workflows.change.sleep import SleepPlan, Slept, Turns, put_to_sleep
from toolkit.workflows.change.sleep import wake as wake_model
from toolkit.workflows.tools import Timing


@click.command()
@changing()
@click.argument("model")
@click.option(
    "--when-asleep",
    "policy",
    type=click.Choice([str(each) for each in WhenAsleep]),
    default=str(WhenAsleep.WAIT),
    show_default=True,
    help="What a request gets meanwhile: it waits and wakes the model, is refused and wakes it, or is refused.",
)
@click.option(
    "--in-turn-with",
    "in_turn_with",
    metavar="OTHER",
    multiple=True,
    help="A model that shares the device: before one wakes, the other falls asleep. May be repeated.",
)
@click.option(
    "--not-in-turn-with",
    "apart_from",
    metavar="OTHER",
    multiple=True,
    help="A model with which it takes no turns any more. May be repeated.",
)
@yes_option()
@wait_option()
@dry_run_option()
@drain_option()
@schedule_option()
@site_options()
def sleep(
    model: str,
    policy: str,
    yes: bool,
    dry_run: bool,
    drain_timeout: float,
    fleet: str | None,
    home: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """End a model's replicas until it is wanted; slots, files and routes stay.

    The schedule may say with which other models it takes turns.
    """
    hours = known_hours(options["schedule_path"])
    declared = hours.schedule.alternates_of(model)
    _require_undeclared(hours.schedule.path, model, options["apart_from"], declared)
    hours.tell()
    members = open_members(home_directory(home), open_fleet(fleet).hosts, None)
    confirm = confirmation(_show, yes=yes, dry_run=dry_run, as_json=as_json)
    timing = Timing(drain=drain_timeout)
    done = put_to_sleep(
        members,
        model,
        WhenAsleep(policy) if _is_typed("policy") else None,
        confirm,
        timing,
        Turns(options["in_turn_with"], options["apart_from"], declared),
    )
    if _tell(done, as_json=as_json):
        return
    say(f"{model} sleeps; to wake it: toolkit wake {model}")


@click.command()
@changing()
@click.argument("model")
@wait_option()
@site_options()
def wake(model: str, fleet: str | None, home: str | None, as_json: bool) -> None:
    """Start the replicas of a model that sleeps; returns once it serves."""
    members = open_members(
        home_directory(home), open_fleet(fleet).hosts, None, history_needed=False
    )
    done = wake_model(members, model, Timing(), lambda plan: go_ahead(plan.as_json(), yes=True))
    if _tell(done, as_json=as_json):
        return
    for name, why in done.plan.unreachable.items():
        note(f"  {name}: unreachable, {why}")
    say(f"{model} is awake after {format_seconds(done.seconds)}")


def _is_typed(option: str) -> bool:
    """Whether this command was given the option: a default changes nothing of a model that sleeps already."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not ParameterSource.DEFAULT


def _require_undeclared(
    schedule: str, model: str, apart: Collection[str], declared: Collection[str]
) -> None:
    """Raise InputError where turns are to end that the schedule would begin again."""
    for other in apart:
        if other in declared:
            raise InputError(
                f"{schedule} says that {model} takes turns with {other}",
                hint="take it out of `in_turn_with` there first",
            )


def _tell(done: Slept, *, as_json: bool) -> bool:
    """Print the document, or that nothing had to be done; whether that is all there is to say."""
    if as_json:
        print_json(
            {"plan": done.plan.as_json(), "changed": done.plan.changes, "seconds": done.seconds}
        )
    elif not done.plan.changes:
        say(done.plan.words)
    return as_json or not done.plan.changes


def _show(plan: SleepPlan) -> None:
    """Print the plan to standard error: it is a question, not a result."""
    note(plan.words)
