"""`toolkit deploy`, `upgrade`: make a version live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.arguments.numbers import Whole
from toolkit.cli.arguments.options import registry_option, site_options
from toolkit.cli.changing.change import (
    ChangeOptions,
    change_options,
    change_release,
    connecting,
    order_of_version,
)
from toolkit.cli.opening.context import Pins, home_directory, open_history, open_hosts, read_pins
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note
from toolkit.errors import InputError

# Modules that a candidate needs are imported where they are used: the command connects to its hosts before it loads
# more code, see `connecting`.
if TYPE_CHECKING:
    from toolkit.adapters.history.history import History
    from toolkit.domain.deployment.release import Deployment
    from toolkit.domain.registry.model import Model, Version


@click.command()
@connecting
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
@site_options()
def deploy(model: str, registry_path: str, replicas: int | None, **options: Any) -> None:
    """Make a version serve; does nothing where it already does."""
    _make_live("deploy", model, registry_path, ChangeOptions(**options), replicas)


@click.command()
@connecting
@changing()
@click.argument("model")
@click.option("--to", "version", default=None, help="Version to upgrade to.  [default: the newest]")
@change_options
@registry_option()
@site_options()
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
    version = _left_candidate(spec, pins, options, home) or pins.registry.version(spec)
    order = order_of_version(action, version, pins, home, replicas=replicas, **options.of_order())
    change_release(options, pins, lambda _: order)
    if not options.dry_run and (not options.named or _is_everywhere(version, pins, home)):
        _accept(registry_path, version)


def _left_candidate(spec: str, pins: Pins, options: ChangeOptions, home: Path) -> Version | None:
    """Return the version that `MODEL` means where a command made it live and ended before it was accepted."""
    model = pins.registry.models.get(spec)
    if model is None or not model.candidates:
        return None
    from toolkit.domain.deployment.release import Outcome

    history = open_history(home)
    deployments = history.deployments(model.name, steps=False)
    if any(each.outcome is Outcome.RUNNING for each in deployments):
        deployments = _outcomes(model.name, deployments, options, home)
    found = _live_candidate(model, deployments, history)
    if found is not None:
        note(f"{found.title} serves already, and its command ended before it was accepted")
    return found


def _outcomes(
    model: str, deployments: list[Deployment], options: ChangeOptions, home: Path
) -> list[Deployment]:
    """Return the deployments with what became of those whose command ended in their bake."""
    from toolkit.planning.upkeep.left_candidate import with_outcomes
    from toolkit.workflows.change.bake import await_guards
    from toolkit.workflows.fleet.look import look

    hosts = open_hosts(options.fleet, home)
    return with_outcomes(deployments, await_guards(hosts, model, look(hosts), note))


def _accept(registry_path: str, version: Version) -> None:
    """Make a candidate that has just gone live on all hosts a version like any other."""
    if not version.candidate:
        return
    from toolkit.workflows.registry.update import accept_version

    try:
        accept_version(Path(registry_path), version.title)
        note(f"{version.title} is no candidate any more")
    except InputError as error:
        note(f"{version.title} stays a candidate: {error.message}")
        note(f"hint: toolkit registry accept {version.title}")


def _is_everywhere(version: Version, pins: Pins, home: Path) -> bool:
    """Whether the named hosts were the last ones without the candidate: then it is on trial no more."""
    if not version.candidate:
        return False
    history = open_history(home)
    deployments = history.deployments(version.model, steps=False)
    return _live_candidate(pins.registry.models[version.model], deployments, history) == version


def _live_candidate(
    model: Model, deployments: Sequence[Deployment], history: History
) -> Version | None:
    from toolkit.planning.upkeep.left_candidate import left_candidate

    releases = {each.number: each for each, _ in history.releases(model.name)}
    return left_candidate(model, deployments, releases)
