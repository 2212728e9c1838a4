"""`toolkit status`: what serves, what stands by and what is unfinished, on every host."""

from __future__ import annotations

import time
from functools import partial

import click

from toolkit.cli.arguments.options import (
    fleet_option,
    home_option,
    json_option,
    registry_option,
    schedule_option,
)
from toolkit.cli.opening.context import (
    connect,
    home_directory,
    open_fleet,
    open_history,
    open_ports,
)
from toolkit.cli.terminal.output import note, say
from toolkit.cli.terminal.streams import output_is_lost
from toolkit.cli.terminal.table import has_colours
from toolkit.errors import InputError

# Seconds between two looks of --watch.
_AGAIN = 2.0


@click.command()
@click.argument("model", required=False)
@registry_option()
@schedule_option()
@fleet_option()
@home_option()
@click.option("--watch", "again", is_flag=True, help="Show it anew every 2 seconds until Ctrl-C.")
@json_option()
def status(
    model: str | None,
    registry_path: str,
    schedule_path: str,
    fleet: str | None,
    home: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Show what serves, what stands by and what is unfinished."""
    if again and as_json:
        raise InputError("--watch is for people, --json for programs", hint="toolkit status --json")
    home_path, hosts = home_directory(home), open_fleet(fleet).hosts
    clients = connect(hosts, home_path)
    # Load these modules while the hosts are being connected.
    from toolkit.cli.opening.warm_hours import known_hours
    from toolkit.cli.views.status import show_once

    hours, history = known_hours(schedule_path), open_history(home_path, needed=False)
    ports = open_ports(hosts, home_path, clients)
    look = partial(
        show_once, model, registry_path, hours, ports, history, home_path, as_json=as_json
    )
    failure = look()
    while again and not output_is_lost():
        if failure:
            # A host that is silent for a while ends no watch of the others.
            note(failure.message)
        _rest(_AGAIN)
        if has_colours():
            click.clear()
        else:
            say()
        failure = look()
    if failure:
        raise failure


def _rest(seconds: float) -> None:
    time.sleep(seconds)
