"""`toolkit deploy`, `upgrade`: make a version live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli.change import ChangeOptions, change_options, change_release, order_of_version
from toolkit.cli.context import Pins, home_directory, open_history, read_pins
from toolkit.cli.numbers import Whole
from toolkit.cli.options import fleet_option, home_option, json_option, registry_option
from toolkit.cli.output import note
from toolkit.cli.trail import changing
from toolkit.cli.update import accept_live
from toolkit.domain.model import Version
from toolkit.errors import InputError

# Deployments among which the last one of each host is looked for.
_LOOK_BACK = 500


@click.command()
@changing()
@click.argument("model", metavar="MODEL[@VERSION]")
@click.option(
    "--replicas",
    type=Whole(1),
    default=None,
    help="Hosts to have it on.  [default: those that have it, else all that can]",
)
@change_options
@registry_option()
@fleet_option()
@home_option()
@json_option()
def deploy(model: str, registry_path: str, replicas: int | None, **options: Any) -> None:
    """Make a version serve; does nothing where it already does."""
    _make_live("deploy", model, registry_path, ChangeOptions(**options), replicas)


@click.command()
@changing()
@click.argument("model")
@click.option("--to", "version", default=None, help="Version to upgrade to.  [default: the newest]")
@change_options
@registry_option()
@fleet_option()
@home_option()
@json_option()
def upgrade(model: str, version: str | None, registry_path: str, **options: Any) -> None:
    """Replace the serving version of a model by a newer one under traffic."""
    if "@" in model:
        raise InputError(
            f"upgrade takes a model, not {model!r}",
            hint="toolkit upgrade {} --to {}".format(*model.split("@", 1)),
        )
    spec = f"{model}@{version}" if version else model
    _make_live("upgrade", spec, registry_path, ChangeOptions(**options))


def _make_live(
    action: str,
    spec: str,
    registry_path: str,
    options: ChangeOptions,
    replicas: int | None = None,
) -> None:
    home = home_directory(options.home)
    pins = read_pins(registry_path, home)
    version = _left_candidate(spec, pins, home) or pins.registry.version(spec)
    order = order_of_version(action, version, pins, home, replicas=replicas, **options.of_order())
    change_release(options, pins, lambda _: order)
    if not options.dry_run:
        accept_live(registry_path, version, options.named)


def _left_candidate(spec: str, pins: Pins, home: Path) -> Version | None:
    """Return the version that `MODEL` means where a command made it live and ended before it was accepted."""
    model = pins.registry.models.get(spec)
    if model is None or not model.candidates:
        return None
    from toolkit.planning.upkeep.left_candidate import left_candidate

    history = open_history(home)
    releases = {each.number: each for each, _ in history.releases(model.name)}
    found = left_candidate(model, history.deployments(model.name, _LOOK_BACK), releases)
    if found is not None:
        note(f"{found.title} serves already, and its command ended before it was accepted")
    return found
