"""`toolkit hosts`: show the hosts of the fleet, and let one leave it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from toolkit.adapters.ansible.playbooks import provision_digest
from toolkit.cli.arguments.options import drain_option, dry_run_option, site_options, yes_option
from toolkit.cli.arguments.waiting import wait_option
from toolkit.cli.changing.members import open_members
from toolkit.cli.opening.context import home_directory, open_fleet, open_hosts
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.cli.views.plan import confirmation
from toolkit.domain.hosts.facts import FleetFacts, HostFacts
from toolkit.domain.quantity import format_size
from toolkit.errors import HostError
from toolkit.workflows.fleet.hosts import HostLook, look_at_hosts

if TYPE_CHECKING:
    from toolkit.workflows.change.leave import Leaving


@click.group(invoke_without_command=True)
@site_options()
@click.pass_context
def hosts(context: click.Context, fleet: str | None, home: str | None, as_json: bool) -> None:
    """Show the fleet's hosts: devices, driver, disk, engines, replicas, drift; drain or forget one."""
    if context.invoked_subcommand is None:
        _show_hosts(fleet, home, as_json)


@hosts.command()
@changing()
@click.argument("host")
@yes_option()
@wait_option()
@dry_run_option("Show what would be done and stop.")
@drain_option()
@site_options()
def drain(
    host: str,
    yes: bool,
    dry_run: bool,
    drain_timeout: float,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Stop all models on a host that other hosts serve too, before it leaves the fleet."""
    from toolkit.workflows.change.leave import drain_host
    from toolkit.workflows.tools import Timing

    found = open_fleet(fleet)
    found.select([host])
    members = open_members(home_directory(home), found.hosts, None, history_needed=False)
    confirm = confirmation(_show_leaving, yes=yes, dry_run=dry_run, as_json=as_json)
    done = drain_host(members, host, confirm, Timing(drain=drain_timeout))
    if as_json:
        print_json({"plan": done.as_json(), "changed": bool(done.models)})
        return
    say(f"{host} serves nothing; take it out of the fleet file, then: toolkit provision")


@hosts.command()
@changing()
@click.argument("host")
@yes_option()
@wait_option()
@dry_run_option("Show what would be done and stop.")
@site_options()
def forget(
    host: str, yes: bool, dry_run: bool, fleet: str | None, home: str | None, as_json: bool
) -> None:
    """Remove a host that left the fleet, or is gone, from the routes and from the history."""
    from toolkit.workflows.change.leave import forget_host

    members = open_members(home_directory(home), open_fleet(fleet).hosts, None)
    confirm = confirmation(_show_leaving, yes=yes, dry_run=dry_run, as_json=as_json)
    done = forget_host(members, host, confirm)
    if as_json:
        print_json({"plan": done.as_json(), "changed": True})
        return
    say(f"{host} is forgotten: no router of this fleet leads to it")


def _show_leaving(leaving: Leaving) -> None:
    models = ", ".join(leaving.models) or "no model"
    note(f"{leaving.action} {leaving.host}, which has {models}")


def _show_hosts(fleet: str | None, home: str | None, as_json: bool) -> None:
    ports = open_hosts(fleet, home_directory(home))
    looks = look_at_hosts(ports, provision_digest, time.time)
    errors = {each.name: each.unreachable for each in looks if each.unreachable}
    failure = None
    if errors:
        failure = HostError(f"{len(errors)} of {len(looks)} hosts cannot be reached or observed")
        failure.hosts = errors
    if as_json:
        found = {each.name: each.as_json() for each in looks if each.facts}
        unreachable = FleetFacts({}, errors).unreachable
        print_json({"hosts": found, "unreachable": unreachable}, failure)
        return
    table(_COLUMNS, [_row(each) for each in looks])
    _tell_more(looks)
    if failure:
        raise failure


_COLUMNS = (
    "HOST", "STATE", "OS", "DEVICES", "MEMORY", "DRIVER", "DISK FREE", "ENGINES", "SNAPSHOTS", "REPLICAS", "ROUTER",
)  # fmt: skip


def _row(look: HostLook) -> tuple[object, ...]:
    facts = look.facts
    if facts is None:
        return (look.name, "unreachable", *["-"] * (len(_COLUMNS) - 2))
    serving = sum(slot.serving for slot in facts.slots)
    return (
        look.name,
        _state(look),
        f"{facts.os_id} {facts.os_version}".strip() or facts.os,
        _devices(facts),
        format_size(sum(each.memory for each in facts.devices) or facts.memory),
        ", ".join(sorted({each.driver for each in facts.devices})) or "-",
        f"{format_size(facts.disk_free)} of {format_size(facts.disk_total)}",
        ", ".join(facts.engines) or "-",
        len(facts.snapshots) or "-",
        f"{serving} of {len(facts.slots)} serve" if facts.slots else "-",
        facts.router.fault or f"HAProxy {facts.router.version}",
    )


def _state(look: HostLook) -> str:
    if look.faults:
        return "unfit"
    if not look.drift:
        return "converged"
    return "drift" if look.facts is not None and look.facts.converged else "bare"


def _devices(facts: HostFacts) -> str:
    counted = Counter(each.name for each in facts.devices)
    return ", ".join(f"{count} x {name}" for name, count in counted.items()) or f"{facts.cpus} CPUs"


def _tell_more(looks: Sequence[HostLook]) -> None:
    for each in looks:
        if each.unreachable is not None:
            say(each.unreachable.message)
            if each.unreachable.hint:
                say(f"  {each.unreachable.hint}")
            continue
        for fault in each.faults:
            say(f"{each.name}: {fault.words}")
            say(f"  {fault.hint}")
        for remark in each.remarks:
            say(f"{each.name}: {remark}")
        if each.drift and not each.faults:
            say(f"{each.name}: {each.drift}")
            say(f"  toolkit provision {each.name}")
