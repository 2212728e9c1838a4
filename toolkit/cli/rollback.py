"""`toolkit rollback`: go back to a release that was live."""

from __future__ import annotations

import sys
from typing import Any

import click

from toolkit.adapters.history.history import History
from toolkit.cli.change import ChangeOptions, change_options, change_release
from toolkit.cli.numbers import Whole
from toolkit.cli.options import fleet_option, home_option, json_option
from toolkit.cli.trail import changing
from toolkit.cli.views.plan import confirmed
from toolkit.errors import RefusedError
from toolkit.planning.change.rollout import RolloutPlan
from toolkit.workflows.change.wanted import Order, back


@click.command()
@changing(goes_on=True)
@click.argument("model")
@click.option(
    "--to",
    "number",
    type=Whole(),
    default=None,
    help="Release to go back to.  [default: the one before]",
)
@click.option(
    "--source",
    default="",
    metavar="OWNER/NAME",
    help="Go back to this repository, also where its owner is another than that of what serves.",
)
@change_options
@fleet_option()
@home_option()
@json_option()
def rollback(model: str, number: int | None, source: str, **options: Any) -> None:
    """Go back to the release that was live before, or to any other."""
    chosen = ChangeOptions(**options)

    def order(history: History) -> Order:
        return back(model, number, history, **chosen.of_order())

    def consent(plan: RolloutPlan) -> bool:
        """Ask for each repository of another owner by its name, which `--yes` does not answer."""
        return all(repo == source or _agreed(model, repo) for repo in plan.other_owners)

    change_release(chosen, None, order, consent)


def _agreed(model: str, repo: str) -> bool:
    if not sys.stdin.isatty():
        raise RefusedError(
            f"this goes back to the weights of {repo}, which is another owner's",
            hint=f"toolkit rollback {model} --source {repo} --yes",
        )
    return confirmed(f"go back to the weights of {repo}, which is another owner's?")
