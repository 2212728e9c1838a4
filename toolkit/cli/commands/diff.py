"""`toolkit diff`: what a deployment would change, and nothing else of its plan."""

from __future__ import annotations

import click

from toolkit.cli.arguments.options import host_option, registry_option, site_options
from toolkit.cli.changing.members import open_members
from toolkit.cli.opening.context import connect, home_directory, open_fleet, read_pins
from toolkit.cli.terminal.output import note, print_json, say


@click.command()
@click.argument("model", metavar="MODEL[@VERSION]")
@host_option("Only this host of the fleet; may be given again.")
@registry_option()
@site_options()
def diff(
    model: str,
    named: tuple[str, ...],
    registry_path: str,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Show what `deploy` would change: release, small files, host settings."""
    home_path, known = home_directory(home), open_fleet(fleet)
    known.select(named)
    clients = connect(known.hosts, home_path)
    # Load these modules while the hosts are being connected.
    from toolkit.cli.changing.change import order_of_version
    from toolkit.cli.views.changes import show_changes
    from toolkit.workflows.change.rollout import preview
    from toolkit.workflows.tools import Timing

    pins = read_pins(registry_path, home_path)
    members = open_members(
        home_path, known.hosts, pins, quiet=True, history_needed=False, clients=clients
    )
    order = order_of_version(
        "deploy", pins.registry.version(model), pins, home_path, timing=Timing(), named=named
    )
    plan = preview(members, order)
    if as_json:
        print_json(
            {
                "model": plan.model,
                "serving": [each.as_json() for each in plan.serving],
                "wanted": [each.as_json() for each in plan.releases],
                "traffic": plan.traffic,
                "changes": [each.as_json() for each in plan.changes],
                "unreachable": dict(plan.unreachable),
            }
        )
        return
    say(plan.traffic)
    before = ", ".join(each.title for each in plan.serving) or "nothing"
    say(f"serving {before}; wanted {', '.join(each.title for each in plan.releases)}")
    show_changes(plan.changes, say)
    for name, why in plan.unreachable.items():
        note(f"{name}: unreachable, {why}")
