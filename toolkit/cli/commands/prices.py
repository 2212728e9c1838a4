"""`toolkit prices`: the known prices of closed models."""

from __future__ import annotations

import time
from pathlib import Path

import click

from toolkit.cli.arguments.options import costs_option, json_option, without_costs
from toolkit.cli.terminal.output import print_json, say, table
from toolkit.cli.views.cost import SHIPPED_CURRENCY, api_table
from toolkit.cli.views.cost_json import api_document
from toolkit.config.costs.price_table import load_price_table
from toolkit.domain.costs.economics import day_of
from toolkit.errors import InputError


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD]...")
@costs_option()
@json_option()
def prices(words: tuple[str, ...], costs_path: str, as_json: bool) -> None:
    """List the known prices of closed models, with the day on which each was read.

    Without WORDs it lists all; otherwise those whose name contains each WORD. A price in the file of costs replaces the
    shipped one.
    """
    from toolkit.config.costs.reading import load_costs

    shipped = load_price_table()
    today = day_of(time.time())
    own = {} if without_costs(costs_path) else load_costs(Path(costs_path), today).apis
    known = {
        name: each
        for name, each in {**shipped.models, **own}.items()
        if all(word.lower() in name.lower() for word in words)
    }
    if not known:
        raise InputError(f"no closed model is named like {' '.join(words)}", hint="toolkit prices")
    if as_json:
        print_json(api_document(known, shipped))
        return
    table(*api_table(known))
    say(
        f"Per million tokens. Shipped prices: {shipped.source}, in {SHIPPED_CURRENCY}, read on {shipped.read} "
        f"({shipped.licence})."
    )
