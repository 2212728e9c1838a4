"""`toolkit report`: the fleet and a period of its history as one page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.adapters.engines.packages import newest
from toolkit.adapters.sightings import Sightings
from toolkit.cli.arguments import times
from toolkit.cli.arguments.options import (
    costs_option,
    readings_option,
    registry_option,
    since_option,
    site_options,
    without_costs,
)
from toolkit.cli.opening.context import (
    home_directory,
    open_history,
    open_hosts,
    open_hub,
    open_prometheus,
    read_pins,
    read_registry,
)
from toolkit.cli.terminal.output import note, print_json, say
from toolkit.cli.terminal.result_file import STANDARD_OUTPUT, require_place, write_result
from toolkit.cli.views.report.page import page
from toolkit.config.costs.price_table import load_price_table
from toolkit.domain.quantity import format_size
from toolkit.domain.registry.model import Model, Registry
from toolkit.errors import InputError, ToolkitError
from toolkit.planning.report.findings import Cost, UpstreamFindings
from toolkit.workflows.fleet.report import cost_of, gather
from toolkit.workflows.fleet.status import observe_fleet
from toolkit.workflows.registry.deadline import within
from toolkit.workflows.registry.outdated import Sources, look_engines, look_upstream, with_adapters
from toolkit.workflows.use.collect import collect

if TYPE_CHECKING:
    from toolkit.adapters.history.history import History

# Seconds after which a source that has not answered counts as unknown.
_SOURCES = 15.0


@click.command()
@since_option("The begin of the period, as in 12h, 30d, 52w or 2026-11-01 (UTC).", metavar="TIME")
@click.option(
    "--output",
    default="report.html",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file of the page; - is standard output.",
)
@click.option("--no-outdated", is_flag=True, help="Do not ask sources and the package index.")
@costs_option()
@readings_option()
@registry_option()
@site_options()
def report(
    since: str,
    output: Path,
    no_outdated: bool,
    registry_path: str,
    fleet: str | None,
    home: str | None,
    as_json: bool,
    **paid: Any,
) -> None:
    """Write the fleet, its changes, latency, use and cost of a period as one HTML page.

    The page holds no script and loads nothing. Hosts that do not answer are named in it and change no exit code.
    """
    until = time.time()
    begin = max(0.0, times.since(since, until))
    if begin >= until:
        raise InputError(f"--since {since!r} is not in the past", hint="--since 30d")
    require_place(output, as_json=as_json)
    home_path = home_directory(home)
    hosts = open_hosts(fleet, home_path)
    history = open_history(home_path, needed=False)
    if not history.fault:
        # Hosts that do not answer are among those of the status.
        collect(hosts, history)
    # Read once, for the page must not show two states of it.
    registry = cache(partial(read_registry, registry_path))
    status = observe_fleet(hosts, history, registry)
    # A fault of the file is told before sources are waited for.
    cost = _cost(paid["costs_path"], paid["readings"], history, begin, until)
    upstream = UpstreamFindings() if no_outdated else _upstream(registry, registry_path, home_path)
    # A registry that cannot be read is told elsewhere on the page.
    models: Sequence[Model] = ()
    with suppress(ToolkitError):
        models = tuple(registry().models.values())
    found = gather(status, history, begin, until, upstream, cost, models, open_prometheus())
    text = page(found)
    write_result(output, text)
    for name, why in found.fleet.unreachable.items():
        note(f"{name}: {why}")
    size = len(text.encode())
    if as_json:
        print_json({"path": str(output), "bytes": size, **found.as_json()})
        return
    if output != STANDARD_OUTPUT:
        say(f"{output}: {format_size(size)}")


def _upstream(registry: Callable[[], Registry], registry_path: str, home: Path) -> UpstreamFindings:
    """Return the content of sources and package indexes, or the reason where the registry cannot be read."""
    try:
        pins = read_pins(registry_path, home, registry())
    except ToolkitError as error:
        return UpstreamFindings(asked=True, fault=error.message)
    chosen = list(pins.registry.models.values())
    sources = Sources(open_hub, Sightings(home), pins.lock, time.time)
    asked: dict[str, Any] = within(
        _SOURCES + 5,
        {
            "models": lambda: look_upstream(
                pins.registry, with_adapters(chosen), sources, seconds=_SOURCES
            ),
            "engines": lambda: look_engines(chosen, pins.engines, newest, seconds=_SOURCES),
        },
        note,
    )
    fault = next((each for each in asked.values() if isinstance(each, ToolkitError)), None)
    if fault is not None:
        return UpstreamFindings(asked=True, fault=fault.message)
    return UpstreamFindings(asked["models"], asked["engines"], asked=True)


def _cost(
    costs_path: str, readings: str | None, history: History, since: float, until: float
) -> Cost:
    """Return the cost of the period, an empty one without a file of costs."""
    if without_costs(costs_path):
        if readings is not None:
            raise InputError(
                "--readings counts for nothing without a file of costs", hint="--costs FILE"
            )
        return Cost()
    from toolkit.config.costs.meter import Readings, load_readings
    from toolkit.config.costs.reading import load_costs
    from toolkit.domain.costs.economics import day_of

    costs = load_costs(Path(costs_path), day_of(until))
    metered = Readings() if readings is None else load_readings(Path(readings), until)
    return cost_of(history, costs, load_price_table().models, since, until, metered)
