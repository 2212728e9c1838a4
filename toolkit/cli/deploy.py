"""`toolkit deploy`, `upgrade`, `rollback`: make a release live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.options import (
    change_options,
    fleet_option,
    fleet_options,
    home_option,
    json_option,
    registry_option,
)
from toolkit.cli.output import print_json, say
from toolkit.cli.rollout import roll
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.domain.fleet import Host
    from toolkit.domain.model import Version
    from toolkit.workflows.change.change import Ask, Result
    from toolkit.workflows.tools import Timing, Tools


@click.command()
@click.argument("model", metavar="MODEL[@VERSION]")
@click.option(
    "--replicas",
    type=click.IntRange(1),
    default=None,
    help="Hosts to have it on.  [default: those that have it, else all that can]",
)
@change_options
@fleet_options
@registry_option()
@fleet_option()
@home_option()
@json_option()
def deploy(model: str, registry_path: str, **options: Any) -> None:
    """Make a version serve; does nothing where it already does."""
    _deploy("deploy", model, registry_path, **options)


@click.command()
@click.argument("model")
@click.option("--to", "version", default=None, help="Version to upgrade to.  [default: the newest]")
@change_options
@fleet_options
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
    _deploy("upgrade", f"{model}@{version}" if version else model, registry_path, **options)


@click.command()
@click.argument("model")
@click.option(
    "--to",
    "number",
    type=int,
    default=None,
    help="Release to go back to.  [default: the one before]",
)
@change_options
@fleet_options
@fleet_option()
@home_option()
@json_option()
def rollback(
    model: str,
    number: int | None,
    fleet: str | None,
    home: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Go back to the release that was live before, or to any other."""
    from toolkit.cli.context import home_directory, open_fleet, open_tools
    from toolkit.workflows.change.change import change_release
    from toolkit.workflows.change.wanted import ask_rollback

    place, hosts, timing = home_directory(home), _hosts(fleet, options), _timing(options)

    def ask(tools: Tools) -> Ask:
        return ask_rollback(
            model, number, history=tools.history, timing=timing, keep_standby=options["standby"]
        )

    if len(open_fleet(fleet).hosts) > 1:
        roll(place, hosts, None, model, ask, version=None, timing=timing, extend=False,
             replicas=None, options=options, as_json=as_json)  # fmt: skip
        return
    tools = open_tools(place, hosts[0], None)
    result = _change(tools, ask(tools), None, timing, options, as_json, change_release)
    _tell(result, tools, as_json)


def _deploy(
    action: str,
    spec: str,
    registry_path: str,
    *,
    fleet: str | None,
    home: str | None,
    as_json: bool,
    replicas: int | None = None,
    **options: Any,
) -> None:
    from toolkit.cli.context import (
        home_directory,
        open_fleet,
        open_store,
        open_tools,
        read_pins,
    )
    from toolkit.workflows.change.change import change_release
    from toolkit.workflows.change.wanted import ask_version

    place = home_directory(home)
    pins = read_pins(registry_path, place)
    version = pins.registry.version(spec)
    hosts, timing = _hosts(fleet, options), _timing(options)

    def ask(tools: Tools) -> Ask:
        return ask_version(
            version,
            action=action,
            policy=pins.registry.policy,
            snapshot_of=pins.lock.snapshot_of,
            locks=pins.engines,
            store=open_store(place),
            history=tools.history,
            provision_digest=tools.provision_digest,
            timing=timing,
            keep_standby=options["standby"],
        )

    if len(open_fleet(fleet).hosts) > 1:
        roll(place, hosts, pins, version.model, ask, version=version, timing=timing,
             extend=action == "deploy", replicas=replicas, options=options, as_json=as_json)  # fmt: skip
        return
    tools = open_tools(place, hosts[0], pins)
    if action == "upgrade":
        _require_deployed(tools, version)
    result = _change(tools, ask(tools), version, timing, options, as_json, change_release)
    _tell(result, tools, as_json)


def _hosts(fleet: str | None, options: dict[str, Any]) -> tuple[Host, ...]:
    """Return all hosts of the fleet: routes are those of all, also where only some change."""
    from toolkit.cli.context import open_fleet

    found = open_fleet(fleet)
    found.select(options["named"])
    return found.hosts


def _require_deployed(tools: Tools, version: Version) -> None:
    if tools.host.observe().serving_slot(version.model) is None:
        raise InputError(
            f"{version.model} is not deployed, so there is nothing to upgrade",
            hint=f"toolkit deploy {version.title}",
        )


def _timing(options: dict[str, Any]) -> Timing:
    from toolkit.workflows.tools import Timing

    return Timing(
        ready=options["ready_timeout"], drain=options["drain_timeout"], bake=options["bake"]
    )


def _change(
    tools: Tools,
    ask: Any,
    version: Version | None,
    timing: Timing,
    options: dict[str, Any],
    as_json: bool,
    change_release: Any,
) -> Result:
    from toolkit.cli.plan_view import confirmation

    confirm = confirmation(yes=options["yes"], dry_run=options["dry_run"], as_json=as_json)
    result: Result = change_release(tools, ask, confirm, version=version, timing=timing)
    return result


def _tell(result: Result, tools: Tools, as_json: bool) -> None:
    from toolkit.domain.quantity import format_seconds

    release, endpoint = result.plan.release, tools.host.host.endpoint
    assert release is not None
    if as_json:
        print_json(
            {
                "plan": result.plan.as_json(),
                "deployment": result.deployment,
                "changed": result.deployment is not None,
                "seconds": round(result.seconds, 3),
                "endpoint": endpoint,
            }
        )
        return
    if result.deployment is None:
        say(f"{release.title} is live already; nothing to do")
    else:
        say(f"{release.title} is live, after {format_seconds(result.seconds)}")
    say(f"endpoint: {endpoint}  (model {release.model!r})")
