"""`toolkit meter`: add a reading of the devices' energy counters to a file, for `toolkit cost --readings`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from toolkit.cli.arguments.options import site_options
from toolkit.cli.arguments.paths import FilePath
from toolkit.cli.opening.context import home_directory, open_hosts
from toolkit.cli.terminal.output import note, print_json, table
from toolkit.cli.terminal.result_file import require_place
from toolkit.config.costs.meter import append_readings, reading_line
from toolkit.domain.hosts.failures import joined
from toolkit.workflows.fleet.meter import read_counters


@click.command()
@click.option(
    "--readings",
    type=FilePath(),
    default="readings.csv",
    show_default=True,
    metavar="FILE",
    help="The file that gets the readings, CSV with at,host,kwh,devices.",
)
@site_options()
def meter(readings: str, fleet: str | None, home: str | None, as_json: bool) -> None:
    """Add a reading of the energy counters of each host's devices to a file.

    `toolkit cost --readings FILE` reads it. The counters are those of NVIDIA devices; a host without them is named, and
    gets no line. Run it from a timer: where a counter begins anew or a device is gone, nobody knows what came since the
    last reading.
    """
    require_place(Path(readings), option="--readings")
    hosts = open_hosts(fleet, home_directory(home))
    found = read_counters(hosts)
    lines = [
        reading_line(name, each.at, each.joules, each.counters)
        for name, each in found.counts.items()
    ]
    append_readings(Path(readings), lines, time.time())
    failure = None
    if found.errors:
        hint = "toolkit doctor; the next reading has what they used meanwhile"
        failure = joined(dict(found.errors), hint=hint, alone=len(hosts) == 1)
    if as_json:
        document = {
            "path": readings,
            "readings": {
                name: {"kwh": float(line.kwh), "at": line.at, "devices": found.counts[name].devices}
                for name, line in zip(found.counts, lines, strict=True)
            },
            "without": dict(found.without),
        }
        print_json(document, failure)
        return
    if lines:
        table(
            ("HOST", "DEVICES", "KWH"),
            [(each.host, found.counts[each.host].devices, each.kwh) for each in lines],
        )
    for name, why in found.without.items():
        note(f"{name}: nothing counts its energy: {why}")
    if failure:
        raise failure
