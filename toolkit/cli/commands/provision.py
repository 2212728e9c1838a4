"""`toolkit provision`: make hosts ready to serve."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import click

from toolkit.adapters.ansible.certificate import provisioned_settings
from toolkit.adapters.ansible.playbooks import provision_digest
from toolkit.cli.arguments.options import dry_run_option, site_options, yes_option
from toolkit.cli.arguments.waiting import patience_now, wait_option
from toolkit.cli.opening.context import (
    connect,
    home_directory,
    lock_owner,
    open_converge,
    open_fleet,
    open_history,
    open_ports,
)
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.cli.views.changes import agreed_to, show_changes, turn_off_option
from toolkit.cli.views.dry_run import DryRun
from toolkit.cli.views.plan import go_ahead
from toolkit.domain.deployment.change import folded
from toolkit.domain.hosts.failures import joined
from toolkit.domain.quantity import format_seconds
from toolkit.errors import ToolkitError
from toolkit.planning.change.protections import PROTECTIONS
from toolkit.workflows.fleet.provision import (
    Intent,
    Provisioned,
    Provisioning,
    ProvisionTarget,
    Result,
)
from toolkit.workflows.fleet.provision import provision as provision_hosts

READY = "as this toolkit wants it"


@click.command()
@changing()
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("--check", is_flag=True, help="Say what would change and change nothing.")
@click.option("--force", is_flag=True, help="Converge hosts as well that need nothing.")
@yes_option()
@wait_option()
@turn_off_option()
@dry_run_option()
@site_options()
def provision(
    hosts: tuple[str, ...],
    check: bool,
    force: bool,
    fleet: str | None,
    home: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Make hosts ready to serve: packages, user, router, time, firewall, driver.

    Without a HOST it takes all of the fleet. Hosts that are ready already are left alone.
    """

    home_path, known = home_directory(home), open_fleet(fleet)
    chosen = known.select(hosts)
    clients = connect(chosen, home_path)
    ports = {port.name: port for port in open_ports(known.hosts, home_path, clients)}
    targets = [
        ProvisionTarget(ports[host.name], provision_digest(host), provisioned_settings(host))
        for host in chosen
    ]
    how = Provisioning(
        converge=open_converge(home_path, clients.stop, check=check),
        owner=lock_owner(),
        clock=time.time,
        say=note,
        fleet=tuple(ports.values()),
        check=check,
        force=force,
        interruption=clients.stop,
        patience=patience_now(note, clients.stop.sleep),
        deployed=lambda: open_history(home_path, needed=False).hosts(),
    )
    if check:
        # A check changes nothing, so that there is nothing to agree to.
        asked.update(yes=True, turn_off=PROTECTIONS)
    outcomes = provision_hosts(targets, how, _confirmation(as_json=as_json, **asked))
    _show(outcomes, as_json, _untold(how, outcomes))


def _untold(how: Provisioning, outcomes: Sequence[Provisioned]) -> ToolkitError | None:
    """Tell the routers of the fleet where converged hosts listen now; return why they do not all know."""
    if len(how.fleet) == 1 or all(each.result != Result.CONVERGED for each in outcomes):
        return None
    from toolkit.workflows.change.routers import tell_addresses

    try:
        tell_addresses(how.fleet, how.owner, how.patience)
    except ToolkitError as error:
        return error
    return None


def _confirmation(
    *, turn_off: Collection[str], yes: bool, dry_run: bool, as_json: bool
) -> Callable[[Sequence[Intent]], bool]:
    def confirm(intents: Sequence[Intent]) -> bool:
        if dry_run and as_json:
            hosts = {each.target.name: each.as_json() for each in intents}
            print_json({"hosts": hosts, "dry_run": True})
            raise DryRun
        for each in intents:
            words = each.fault.message.partition(": ")[2] if each.fault else each.reason
            what = "cannot: " if each.fault else "provision: " if words else "nothing to do"
            note(f"{each.target.name}: {what}{words}")
            for remark in each.remarks:
                note(f"  note: {remark}")
        changes = folded({each.target.name: each.changes for each in intents if each.reason})
        show_changes(changes, note)
        if dry_run:
            say("dry run: nothing was changed")
            raise DryRun
        if not agreed_to(changes, turn_off):
            return False
        return go_ahead({"hosts": {each.target.name: each.as_json() for each in intents}}, yes=yes)

    return confirm


def _show(outcomes: Sequence[Provisioned], as_json: bool, untold: ToolkitError | None) -> None:
    faults = {each.name: each.fault for each in outcomes if each.fault}
    hint = "toolkit provision HOST, once it is mended"
    failure = joined(faults, hint=hint, alone=len(outcomes) == 1) if faults else untold
    if as_json:
        print_json({"hosts": {each.name: each.as_json() for each in outcomes}}, failure)
        return
    table(
        ("HOST", "RESULT", "CHANGED", "TOOK", "WHY"),
        [
            (
                each.name,
                each.result,
                len(each.changed) or "-",
                format_seconds(each.seconds) if each.seconds else "-",
                "see below" if each.fault or each.differing else each.reason or READY,
            )
            for each in outcomes
        ],
    )
    for each in outcomes:
        for words in each.differing:
            say(f"{each.name}: {words}; toolkit verify says what makes it anew")
        for task in each.changed if each.result == "would change" else ():
            say(f"{each.name}: {task}")
    if failure:
        raise failure
