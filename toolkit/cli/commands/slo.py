"""`toolkit slo`: whether models keep their objectives, the rest of their budgets, and the releases that spent them."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress

import click

from toolkit.cli.arguments.numbers import Whole
from toolkit.cli.arguments.options import no_hosts_option, registry_option, site_options
from toolkit.cli.opening.context import (
    home_directory,
    open_fleet,
    open_history,
    open_hosts,
    open_prometheus,
    read_registry,
)
from toolkit.cli.terminal.output import note, print_json
from toolkit.cli.terminal.silence import waiting_for
from toolkit.cli.views.objectives import document, show
from toolkit.errors import InputError, ToolkitError
from toolkit.workflows.fleet.objectives import measure, measure_by
from toolkit.workflows.use.collect import Collected, collect


@click.command()
@click.argument("model", required=False, default="")
@click.option(
    "--days",
    type=Whole(1, 400),
    default=None,
    help="Over so many days, in place of the windows of the registry.",
)
@no_hosts_option()
@click.option(
    "--ledger",
    "by_ledger",
    is_flag=True,
    help="Take the figures from the hosts, also where a Prometheus is set.",
)
@registry_option()
@site_options()
def slo(
    model: str,
    days: int | None,
    no_hosts: bool,
    by_ledger: bool,
    registry_path: str,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Show whether models keep their objectives, what is left of their budgets, and what spent it.

    Objectives stand in the registry, in the field `objectives` of a model. The figures are those of the Prometheus that
    TOOLKIT_PROMETHEUS names, else those of the hosts. Hosts that do not answer are named; what they counted is
    collected when they are back. A missed objective changes no exit code.
    """
    registry = read_registry(registry_path)
    models = [registry.model(model)] if model else list(registry.models.values())
    promising = [each for each in models if each.objectives]
    if not promising:
        raise InputError(
            f"{model or 'no model'} {'has no' if model else 'has'} objectives in {registry.path}",
            hint="write below the model, for example: objectives: {availability: 99.5%}",
        )
    home_path = home_directory(home)
    history = open_history(home_path, whole=True)
    now = time.time()
    prometheus = None if by_ledger else open_prometheus()
    names = _names(fleet)
    with waiting_for(f"Prometheus at {prometheus.address}") if prometheus else nullcontext():
        found, source = measure_by(prometheus, promising, history, now, days, names)
    collected = Collected()
    if found is None:
        if not no_hosts:
            collected = collect(open_hosts(fleet, home_path), history)
        found = measure(promising, history, now, days, names)
    if as_json:
        print_json(document(found, collected.errors, source))
        return
    show(found, source)
    for remark in collected.remarks("what it counted last"):
        note(remark)


def _names(fleet: str | None) -> frozenset[str] | None:
    """Return the names of the fleet's hosts; None where its file cannot be read, which the figures do not need."""
    with suppress(ToolkitError):
        return frozenset(each.name for each in open_fleet(fleet).hosts)
    return None
