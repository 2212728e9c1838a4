"""`toolkit plan`: show whether a version fits on each host, and what an upgrade would do."""

from __future__ import annotations

import click

from toolkit.cli.arguments.options import (
    keep_option,
    registry_option,
    schedule_option,
    serial_option,
    site_options,
)
from toolkit.cli.opening.context import (
    connect,
    home_directory,
    open_fleet,
    open_history,
    open_hub,
    open_ports,
    open_store,
    read_pins,
)
from toolkit.cli.opening.warm_hours import known_hours
from toolkit.cli.terminal.output import print_json, say
from toolkit.cli.terminal.silence import waiting_for
from toolkit.errors import NothingSuitableError
from toolkit.planning.change.batch_sizes import BatchSize


@click.command()
@click.argument("model", metavar="MODEL[@VERSION]")
@serial_option()
@keep_option()
@registry_option()
@schedule_option()
@site_options()
def plan(
    model: str,
    serial: tuple[BatchSize, ...],
    keep: int,
    registry_path: str,
    schedule_path: str,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Show whether a version fits on each host, before any download."""
    home_path, hosts = home_directory(home), open_fleet(fleet).hosts
    clients = connect(hosts, home_path)
    # Load these modules while the hosts are being connected.
    from toolkit.cli.views.fit import fit_lines
    from toolkit.cli.views.sleep_rule import sleep_json
    from toolkit.planning.change.rollout import Limits
    from toolkit.workflows.change.fitting import FitSources, fit_version

    pins, hours = read_pins(registry_path, home_path), known_hours(schedule_path)
    version = pins.registry.version(model)
    with waiting_for(f"the source of {version.title} and the hosts"):
        found = fit_version(
            version,
            FitSources(pins.lock, pins.engines, open_store(home_path), open_hub),
            open_ports(hosts, home_path, clients),
            open_history(home_path, needed=False),
            Limits(serial=serial, keep=keep),
            hours.schedule.alternates_of(version.model),
        )
    failure = None
    if not found.fits:
        failure = NothingSuitableError(f"{found.version.title} does not fit on this fleet")
    rule = hours.rule(version.model, found.alternates)
    if as_json:
        rest = {"sleep": sleep_json(rule), "schedule_fault": hours.fault}
        print_json({**found.as_json(), **rest}, failure)
        return
    for line in fit_lines(found, rule):
        say(line)
    hours.tell()
    if failure:
        raise failure
