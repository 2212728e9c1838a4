"""`toolkit metrics`: what an operator's Prometheus reads of the fleet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.arguments.addresses import HostAndPort
from toolkit.cli.arguments.numbers import Decimal
from toolkit.cli.arguments.options import registry_option, site_options
from toolkit.cli.opening.context import home_directory, open_hosts, read_registry
from toolkit.cli.opening.ops_figures import keep_ops_current
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.config.paths import absolute
from toolkit.domain.hosts.metrics import MetricsSetup, UsualObjectives
from toolkit.errors import InputError
from toolkit.planning.metrics.recording import Promised
from toolkit.planning.metrics.scrape import is_plain
from toolkit.workflows.fleet.metrics import scraped, set_up

if TYPE_CHECKING:
    from toolkit.workflows.fleet.metrics import Scraped

_USUAL = UsualObjectives()


@click.group()
def metrics() -> None:
    """Give Prometheus its targets, rules and dashboards, and keep them current."""


@metrics.command()
@changing(at_once=True)
@click.argument("directory", type=click.Path(file_okay=False))
@click.option(
    "--availability",
    type=Decimal(0, 1),
    default=_USUAL.availability,
    show_default=True,
    help="The share of requests that must be answered, below 1, of models without an objective.",
)
@click.option(
    "--first-token",
    type=Decimal(0),
    default=_USUAL.first_token,
    show_default=True,
    help="Seconds in which all but one of twenty answers must begin, of models without an objective.",
)
@click.option(
    "--docs",
    default=MetricsSetup("").docs,
    show_default=True,
    metavar="URL",
    help="Where alerts find their runbooks: a copy of docs/observability.md.",
)
@click.option(
    "--alertmanager",
    "alertmanagers",
    type=HostAndPort(),
    multiple=True,
    metavar="HOST:PORT",
    help="An Alertmanager that Prometheus tells; may be given again.",
)
@click.option(
    "--schedule",
    "schedule_path",
    default=None,
    metavar="FILE",
    help="The schedule whose missed windows are told.",
)
@click.option(
    "--ops-exporter",
    type=HostAndPort(),
    default=None,
    metavar="HOST:PORT",
    help="A node exporter on this machine that reads DIRECTORY/textfile.",
)
@registry_option()
@site_options()
def setup(
    directory: str,
    availability: float,
    first_token: float,
    docs: str,
    alertmanagers: tuple[str, ...],
    fleet: str | None,
    home: str | None,
    as_json: bool,
    **ops: Any,
) -> None:
    """Write configuration, rules and targets for Prometheus into DIRECTORY; deployments keep its targets current."""
    if not 0 < availability < 1:
        raise InputError("--availability is between 0 and 1", hint="--availability 0.999")
    if not first_token > 0:
        raise InputError("--first-token is more than 0 s", hint="--first-token 2")
    schedule: str | None = ops["schedule_path"]
    if schedule is not None and not Path(schedule).is_file():
        raise InputError(
            f"there is no schedule {schedule!r}", hint="--schedule FILE, or leave it out"
        )
    if not is_plain(str(absolute(directory))):
        raise InputError(
            f'{directory!r}: Prometheus does not find files below a path with one of * ? [ ] \\ "',
            hint="toolkit metrics setup DIR, with another directory",
        )
    home_path = home_directory(home)
    # Prometheus reads the paths in its configuration from where it runs.
    wanted = MetricsSetup(
        str(absolute(directory)),
        UsualObjectives(availability, first_token),
        docs,
        str(absolute(schedule)) if schedule else "",
        str(absolute(ops["registry_path"])),
        ops["ops_exporter"] or "",
        tuple(alertmanagers),
    )
    done = set_up(home_path, wanted, open_hosts(fleet, home_path), _promised(wanted))
    keep_ops_current(home_path)
    if as_json:
        print_json(_document(done))
        return
    for name in done.changed:
        say(f"written: {name}")
    _show(done)
    say(f"start Prometheus: prometheus --config.file={wanted.directory}/prometheus.yml")


@metrics.command()
@site_options()
def show(fleet: str | None, home: str | None, as_json: bool) -> None:
    """Show what Prometheus reads, and which of its files are not current."""
    home_path = home_directory(home)
    found = scraped(home_path, open_hosts(fleet, home_path), _promised)
    if as_json:
        print_json(_document(found))
        return
    _show(found)
    for name in found.changed:
        say(f"not current: {name}")
    if found.changed:
        say(f"to write them: toolkit metrics setup {found.setup.directory}")


def _promised(setup: MetricsSetup) -> Promised:
    """Return the objectives of the models of the registry; raises InputError where it has a fault."""
    if not Path(setup.registry).exists():
        return Promised()
    models = read_registry(setup.registry).models.values()
    return Promised(
        {each.name: each.objectives for each in models if each.objectives},
        {
            adapter.name: each.name
            for each in models
            for version in each.versions
            for adapter in version.adapters
        },
    )


def _show(found: Scraped) -> None:
    table(
        ("JOB", "HOST", "WHAT", "READ AT"),
        [
            (job, each.labels["host"], _what(each.labels), f"{each.address}{each.path}")
            for job, targets in found.targets.items()
            for each in targets
        ],
    )
    for name in found.out_of_reach:
        note(
            f"{name}: nobody else can read its metrics; set router_metrics_bind and toolkit_metrics_from"
        )
    for name, why in found.unreachable.items():
        note(f"{name}: unreachable, {why}; its replicas are as they were")


def _what(labels: Any) -> str:
    if "model" not in labels:
        return "-"
    return f"{labels['model']} #{labels['release']} ({labels['version']}) in {labels['slot']}"


def _document(found: Scraped) -> dict[str, Any]:
    return {
        "directory": found.setup.directory,
        "availability": found.setup.objectives.availability,
        "first_token": found.setup.objectives.first_token,
        "targets": [
            {"job": job, "address": each.address, "path": each.path, "labels": dict(each.labels)}
            for job, targets in found.targets.items()
            for each in targets
        ],
        "out_of_reach": list(found.out_of_reach),
        "unreachable": dict(found.unreachable),
        "files": list(found.changed),
    }
