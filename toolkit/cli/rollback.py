"""`toolkit rollback`: go back to a release that was live."""

from __future__ import annotations

from typing import Any

import click

from toolkit.adapters.history.history import History
from toolkit.cli.change import ChangeOptions, change_options, change_release
from toolkit.cli.options import fleet_option, home_option, json_option
from toolkit.workflows.change.wanted import Order, back


@click.command()
@click.argument("model")
@click.option(
    "--to",
    "number",
    type=int,
    default=None,
    help="Release to go back to.  [default: the one before]",
)
@change_options
@fleet_option()
@home_option()
@json_option()
def rollback(model: str, number: int | None, **options: Any) -> None:
    """Go back to the release that was live before, or to any other."""
    chosen = ChangeOptions(**options)

    def order(history: History) -> Order:
        return back(model, number, history, **chosen.of_order())

    change_release(chosen, None, order)
