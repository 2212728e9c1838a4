"""`toolkit stop`: take a model out of service."""

from __future__ import annotations

import click

from toolkit.cli.arguments.options import (
    drain_option,
    dry_run_option,
    host_option,
    site_options,
    yes_option,
)
from toolkit.cli.arguments.waiting import wait_option
from toolkit.cli.changing.members import open_members
from toolkit.cli.opening.context import home_directory, open_fleet
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import print_json, say
from toolkit.cli.views.plan import confirmation, show_stop
from toolkit.workflows.change.stop import stop_model
from toolkit.workflows.tools import Timing


@click.command()
@changing(goes_on=True)
@click.argument("model")
@yes_option()
@wait_option()
@dry_run_option()
@drain_option()
@host_option("Only on this host of the fleet; may be given again.")
@site_options()
def stop(
    model: str,
    yes: bool,
    dry_run: bool,
    drain_timeout: float,
    named: tuple[str, ...],
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Take a model out of service; its releases stay."""
    found = open_fleet(fleet)
    found.select(named)
    members = open_members(home_directory(home), found.hosts, None, history_needed=False)
    confirm = confirmation(show_stop, yes=yes, dry_run=dry_run, as_json=as_json)
    plan = stop_model(members, model, confirm, named=named, timing=Timing(drain=drain_timeout))
    if as_json:
        print_json({"plan": plan.as_json(), "changed": True})
        return
    where = f" on {', '.join(plan.plans)}" if len(members) > 1 else ""
    say(f"{model} is stopped{where}; to serve it again: toolkit deploy {model}")
