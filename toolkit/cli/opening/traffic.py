"""The traffic that a bill is of: the recorded one of the history, or one that options state."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from toolkit.cli.opening.context import open_hosts
from toolkit.config.costs.meter import Readings, load_readings
from toolkit.errors import InputError
from toolkit.planning.economics.energy import uncounted
from toolkit.planning.economics.stated import stated
from toolkit.planning.economics.work import Tokens
from toolkit.workflows.fleet.recorded import recorded, to_come, window, words_on_days_to_come
from toolkit.workflows.use.collect import collect

if TYPE_CHECKING:
    from datetime import date

    from toolkit.adapters.history.history import History
    from toolkit.domain.costs.economics import Costs
    from toolkit.planning.economics.bills import Situation

# Options by the names of their values.
_OF_RECORDED = {"since": "--since", "until": "--until", "readings": "--readings"}
_OF_STATED = {
    "tokens_cached": "--tokens-cached",
    "requests": "--requests",
    "days": "--days",
    "named": "--host",
}


def is_stated(tokens_in: int | None, tokens_out: int | None) -> bool:
    """Return whether options state the traffic; raises InputError for an option that would be left unread."""
    if tokens_in is None and tokens_out is None:
        if option := _typed(_OF_STATED):
            raise InputError(
                f"{option} is for a traffic that is stated, and neither --tokens-in nor --tokens-out states one",
                hint=f"leave {option} out, or add --tokens-in 1000000 --tokens-out 200000",
            )
        return False
    if option := _typed(_OF_RECORDED):
        raise InputError(
            f"{option} is for recorded use, and --tokens-in and --tokens-out state another traffic",
            hint=f"leave {option} out; --days has the length of a stated traffic, `watts` its power",
        )
    return True


def _typed(options: Mapping[str, str]) -> str:
    """Return the first of the options that stands in the command line; nothing where none does."""
    source = click.get_current_context().get_parameter_source
    return next(
        (option for name, option in options.items() if source(name) is ParameterSource.COMMANDLINE),
        "",
    )


def collected(fleet: str | None, home: Path, history: History) -> tuple[str, ...]:
    """Collect the newest use from the hosts into the history; return remarks on hosts that were not reached."""
    return collect(open_hosts(fleet, home), history).remarks()


def recorded_situation(
    costs: Costs,
    days: tuple[date, date],
    readings: str | None,
    history: History,
    *,
    keys: bool,
    again: str,
) -> tuple[Situation, tuple[str, ...]]:
    """Return the situation of the history in the days from the first to the last, and remarks.

    Raises InputError where there is none; its hint is the command `again`, with a stated traffic.
    """
    now = time.time()
    metered = Readings() if readings is None else load_readings(Path(readings), now)
    situation, notes = recorded(history, costs, window(*days, int(now)), metered.metered, keys=keys)
    if not situation.traffic and not situation.reservations:
        raise InputError(
            f"the history has no use and no replica between {days[0]} and {days[1]}",
            hint=f"state a traffic: {again} --tokens-in 1000000 --tokens-out 200000 --days 30",
        )
    ahead = words_on_days_to_come(to_come(history, now))
    return situation, (*metered.notes, *uncounted(metered.hosts, costs), *notes, *ahead)


def stated_situation(
    costs: Costs,
    model: str | None,
    figures: tuple[int, int, int, int],
    today: date,
    days: int,
    hosts: tuple[str, ...],
) -> Situation:
    """Return the situation of a stated traffic: requests, input, cached and output tokens; raises InputError."""
    requests, tokens_in, cached, tokens_out = figures
    if cached > tokens_in:
        raise InputError(
            f"--tokens-cached {cached} is more than --tokens-in {tokens_in}",
            hint="cached tokens are a part of the input tokens",
        )
    known = sorted({each.model for each in costs.capacities})
    name = model or (known[0] if model is None and len(known) == 1 else "")
    if not name:
        raise InputError(
            "the stated traffic is of no model",
            hint=f"--model {' or '.join(known) or 'MODEL'}",
        )
    tokens = Tokens(requests, tokens_in - cached, cached, tokens_out)
    return stated(costs, name, tokens, today, days, hosts)
