"""`toolkit cost`: what serving costs, beside what closed APIs would charge for the same traffic."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from toolkit.cli.arguments.numbers import Whole
from toolkit.cli.arguments.options import (
    costs_option,
    no_hosts_option,
    readings_option,
    since_option,
    site_options,
    stated_traffic_options,
)
from toolkit.cli.arguments.times import first_and_last
from toolkit.cli.opening.context import home_directory, open_history
from toolkit.cli.opening.traffic import collected, is_stated, recorded_situation, stated_situation
from toolkit.cli.terminal.output import note, print_json, require_one_form, say, table
from toolkit.cli.views.cost import csv_text, show
from toolkit.cli.views.cost_json import document
from toolkit.config.costs.price_table import load_price_table
from toolkit.domain.costs.economics import day_of
from toolkit.errors import InputError
from toolkit.workflows.fleet.cost import bills


@click.command()
@costs_option()
@since_option("The first day, as in 2026-11-01 or 7d: today and the 6 before.")
@click.option("--until", default=None, metavar="DAY", help="Its last day.  [default: today]")
@readings_option()
@click.option(
    "--by",
    type=click.Choice(("model", "key")),
    default="model",
    show_default=True,
    help="What the last table lists, and the rows of --csv.",
)
@click.option("--model", default=None, help="The model of a stated traffic.")
@stated_traffic_options()
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
@no_hosts_option()
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of text.")
@site_options()
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
    from toolkit.config.costs.reading import load_costs

    require_one_form(csv=as_csv, json=as_json)
    stated = is_stated(asked["tokens_in"], asked["tokens_out"])
    if asked["model"] is not None and not stated:
        raise InputError(
            "--model is that of a stated traffic; recorded use is shown with all its models",
            hint="leave --model out, or add --tokens-in 1000000 --tokens-out 200000",
        )
    prices = load_price_table()
    today = day_of(time.time())
    costs = load_costs(Path(costs_path), today)
    by: str = asked["by"]
    notes: tuple[str, ...] = ()
    if not stated:
        days_of_bill = first_and_last(asked["since"], asked["until"], today)
        keys = as_json or by == "key"
        home_path = home_directory(home)
        history = open_history(home_path, whole=True)
        away = () if no_hosts else collected(fleet, home_path, history)
        situation, notes = recorded_situation(
            costs,
            days_of_bill,
            asked["readings"],
            history,
            keys=keys,
            again="toolkit cost --model MODEL",
        )
        notes = (*away, *notes)
    else:
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
