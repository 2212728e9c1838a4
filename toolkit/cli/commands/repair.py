"""`toolkit repair`: make damaged files of hosts anew."""

from __future__ import annotations

import click

from toolkit.cli.arguments.options import dry_run_option, site_options, yes_option
from toolkit.cli.arguments.waiting import wait_option
from toolkit.cli.changing.members import open_members
from toolkit.cli.opening.context import home_directory, open_fleet
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, say
from toolkit.cli.views.plan import confirmation
from toolkit.workflows.change.repair import Repair, repair


@click.command("repair")
@changing(goes_on=True)
@yes_option()
@wait_option()
@dry_run_option("Show what is damaged and stop.")
@site_options()
def repair_files(
    yes: bool, dry_run: bool, fleet: str | None, home: str | None, as_json: bool
) -> None:
    """Make damaged files on hosts anew: routes, maps, keys, orders of guards."""
    members = open_members(
        home_directory(home), open_fleet(fleet).hosts, None, history_needed=False
    )
    confirm = confirmation(_show, yes=yes, dry_run=dry_run, as_json=as_json)
    done = repair(members, confirm)
    if as_json:
        print_json({"plan": done.as_json(), "changed": True})
        return
    say("every router has its routes, maps and keys" + ("" if done.damaged else " again"))


def _show(found: Repair) -> None:
    for name, paths in found.damaged.items():
        note(f"{name}: damaged: {', '.join(paths)}")
    if not found.damaged:
        note("no file is damaged; routers are told their routes and maps once more")
    for name, why in found.unreachable.items():
        note(f"{name}: unreachable, {why}")
