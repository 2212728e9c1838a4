"""`toolkit cost`: what serving costs, beside what closed APIs would charge for the same traffic."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.context import home_directory, open_history, open_hosts
from toolkit.cli.numbers import Whole
from toolkit.cli.options import costs_option, fleet_option, home_option, json_option
from toolkit.cli.output import note, print_json, say, table
from toolkit.cli.views.cost import csv_text, show
from toolkit.cli.views.cost_json import document
from toolkit.config.meter import Readings, load_readings
from toolkit.config.price_table import load_price_table
from toolkit.errors import InputError
from toolkit.planning.economics.stated import stated
from toolkit.planning.economics.work import Tokens
from toolkit.workflows.fleet.cost import bills
from toolkit.workflows.fleet.recorded import recorded, window
from toolkit.workflows.use.collect import collect

if TYPE_CHECKING:
    from datetime import date

    from toolkit.adapters.history.history import History
    from toolkit.domain.economics import Costs
    from toolkit.planning.economics.bills import Situation


@click.command()
@costs_option()
@click.option(
    "--since",
    default="30d",
    show_default=True,
    metavar="DAY",
    help="The first day, as in 2026-11-01 or 7d: today and the 6 before.",
)
@click.option("--until", default="", metavar="DAY", help="Its last day.  [default: today]")
@click.option(
    "--readings", default="", metavar="FILE", help="Readings of meters, CSV with at,host,kwh."
)
@click.option(
    "--by",
    type=click.Choice(("model", "key")),
    default="model",
    show_default=True,
    help="What the last table lists, and the rows of --csv.",
)
@click.option("--model", default=None, help="The model of a stated traffic.")
@click.option("--tokens-in", type=Whole(0), default=None, help="Input tokens of a stated traffic.")
@click.option(
    "--tokens-cached",
    type=Whole(0),
    default=0,
    help="Those of them that a cache has.  [default: 0]",
)
@click.option("--tokens-out", type=Whole(0), default=None, help="Its output tokens.")
@click.option("--requests", type=Whole(0), default=0, help="Its requests.  [default: 0]")
@click.option(
    "--days",
    type=Whole(1, 3660),
    default=30,
    show_default=True,
    help="Days over which the stated traffic comes, from today on.",
)
@click.option("--host", "named", multiple=True, metavar="HOST", help="Hosts of a stated traffic.")
@click.option(
    "--against",
    multiple=True,
    metavar="PROVIDER/MODEL",
    help="A closed model to compare with; again for more.",
)
@click.option(
    "--prompt-tokens",
    type=Whole(0),
    default=None,
    help="Length of prompts, for prices by it.  [default: the mean]",
)
@click.option(
    "--what-if",
    "scenarios",
    multiple=True,
    metavar="CHANGES",
    help="The bill with hosts=+1, traffic=0.5, device=OFFER, model=NAME or write-off=5.",
)
@click.option(
    "--no-hosts", is_flag=True, help="Take what the history has; collect nothing from the hosts."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of text.")
@fleet_option()
@home_option()
@json_option()
def cost(
    costs_path: str,
    no_hosts: bool,
    as_csv: bool,
    fleet: str | None,
    home: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Show what a million tokens cost here, how much of it is idle time, and what closed APIs would charge.

    Prices of hosts come from a file of costs, see docs/economics.md. Use is collected from the hosts into the history
    first, which also has the time for which models held hosts; where it has none yet, --tokens-in and --tokens-out
    state a traffic. The tables show the actual cost, the cost at full load and the marginal cost side by side, and the
    same traffic at closed APIs with the dates of their prices.
    """
    from datetime import UTC, datetime

    from toolkit.config.costs import load_costs

    prices = load_price_table()
    today = datetime.fromtimestamp(time.time(), UTC).date()
    costs = load_costs(Path(costs_path))
    by: str = asked["by"]
    notes: tuple[str, ...] = ()
    if asked["tokens_in"] is None and asked["tokens_out"] is None:
        days_of_bill = first_and_last(asked["since"], asked["until"], today)
        keys = as_json or by == "key"
        place = home_directory(home)
        history = open_history(place)
        away = () if no_hosts else collected(fleet, place, history)
        situation, notes = recorded_situation(
            costs, days_of_bill, asked["readings"], history, keys=keys
        )
        notes = (*away, *notes)
    else:
        _require_no_readings(asked["readings"])
        tokens_in, tokens_out = asked["tokens_in"] or 0, asked["tokens_out"] or 0
        figures = (asked["requests"], tokens_in, asked["tokens_cached"], tokens_out)
        situation = stated_situation(
            costs, asked["model"], figures, today, asked["days"], asked["named"]
        )
    made = bills(
        situation,
        prices.models,
        asked["against"],
        today,
        prompt=asked["prompt_tokens"],
        scenarios=asked["scenarios"],
    )
    if as_json:
        print_json(document(made, prices, today, notes))
        return
    if as_csv:
        click.echo(csv_text(made[0].account, by), nl=False)
    else:
        show(made, prices, by, say, table)
    for words in (*notes, *made[0].account.notes):
        note(words)


def _require_no_readings(readings: str) -> None:
    """Raise InputError for readings beside a traffic that is stated, which would be left unread."""
    if readings:
        raise InputError(
            "--readings belong to recorded use, and --tokens-in and --tokens-out state another one",
            hint="leave --readings out; `watts` in the file of costs has the energy of a stated traffic",
        )


def collected(fleet: str | None, place: Path, history: History) -> tuple[str, ...]:
    """Collect the newest use from the hosts into the history; return remarks on hosts that were not reached."""
    return collect(open_hosts(fleet, place), history).remarks()


def recorded_situation(
    costs: Costs, days: tuple[date, date], readings: str, history: History, *, keys: bool
) -> tuple[Situation, tuple[str, ...]]:
    """Return the situation of the history in the days from the first to the last, and remarks; raises InputError."""
    metered = load_readings(Path(readings)) if readings else Readings((), ())
    span = window(*days, int(time.time()))
    situation, notes = recorded(history, costs, span, metered.metered, keys=keys)
    if not situation.traffic and not situation.reservations:
        raise InputError(
            f"the history has no use and no replica between {days[0]} and {days[1]}",
            hint="state a traffic: toolkit cost --model MODEL --tokens-in 1000000 --tokens-out 200000 --days 30",
        )
    return situation, (*metered.notes, *notes)


def first_and_last(since: str, until: str, today: date) -> tuple[date, date]:
    """Return the first and the last day that --since and --until name; raises InputError."""
    last = _day("--until", until, today) if until else today
    first = _day("--since", since, today)
    if first > last:
        raise InputError(f"--since {since} is after {last}", hint="toolkit cost --since 7d")
    if last > today:
        raise InputError(f"--until {until} has not come yet", hint="leave it out, for today")
    return first, last


def _day(option: str, text: str, today: date) -> date:
    from datetime import date, timedelta

    found = re.fullmatch(r"([0-9]{1,4})([dw])", text)
    if found is not None:
        back = int(found[1]) * (7 if found[2] == "w" else 1)
        return today - timedelta(days=max(back - 1, 0))
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{option} {text!r} is no day", hint=f"{option} 7d, or 2026-11-01"
        ) from None


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
    name = model or (known[0] if len(known) == 1 else "")
    if not name:
        raise InputError(
            "the stated traffic is of no model",
            hint=f"--model {' or '.join(known) or 'MODEL'}",
        )
    tokens = Tokens(requests, tokens_in - cached, cached, tokens_out)
    return stated(costs, name, tokens, today, days, hosts)
