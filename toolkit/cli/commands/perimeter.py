"""`toolkit perimeter`: whether replicas can reach anything outside, and who listens on the hosts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from toolkit.cli.arguments.options import host_option, site_options
from toolkit.cli.opening.context import home_directory, open_fleet, open_ports
from toolkit.cli.opening.trail import changing, trail_now
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.domain.hosts.failures import with_unchecked
from toolkit.domain.hosts.perimeter import OUTCOMES, ReplicaTries
from toolkit.domain.trail.audit import plan_digest
from toolkit.errors import HostError, IntegrityError, ToolkitError
from toolkit.workflows.fleet.perimeter import check_perimeter

if TYPE_CHECKING:
    from toolkit.workflows.fleet.perimeter import FleetPerimeter


@click.group()
def perimeter() -> None:
    """Try to leave the hosts from where their replicas are, and list who listens on them."""


@perimeter.command()
@changing()
@host_option("Only this host of the fleet.")
@site_options()
def check(named: tuple[str, ...], fleet: str | None, home: str | None, as_json: bool) -> None:
    """Check all hosts' perimeters, and record the result in the audit log.

    From each replica's own sandbox it tries to connect, to send and to look up a name. A finding is exit code 6.
    """
    hosts = open_ports(open_fleet(fleet).select(named), home_directory(home))
    found = check_perimeter(hosts)
    document, trail = found.as_json(), trail_now()
    trail.begin(document)
    for host in hosts:
        if host.name in found.hosts:
            trail.witness(host)
            findings = found.hosts[host.name].findings
            trail.ended(host.name, "open" if findings else "shut", "; ".join(findings))
        else:
            trail.ended(host.name, "unreachable", found.errors[host.name].message)
    failure = _failure(found)
    if as_json:
        sequence = trail.head.sequence if trail.head else None
        print_json({**document, "digest": plan_digest(document), "sequence": sequence}, failure)
        return
    _show(found)
    note(f"the audit log has this result, by its digest {plan_digest(document)}")
    if failure:
        raise failure


def _failure(found: FleetPerimeter) -> ToolkitError | None:
    if found.findings:
        failure = IntegrityError(
            "the perimeter is open:\n  " + "\n  ".join(found.findings),
            hint="docs/evidence.md says what to do about each; toolkit status shows missing fences",
        )
        return with_unchecked(failure, found.errors)
    if not found.errors:
        return None
    away = HostError(
        "these hosts were not checked:\n  "
        + "\n  ".join(each.message for each in found.errors.values()),
        hint="toolkit perimeter check, once they answer",
    )
    away.hosts = dict(found.errors)
    return away


def _show(found: FleetPerimeter) -> None:
    replicas = [
        (name, each) for name, host in found.hosts.items() for each in host.perimeter.replicas
    ]
    if replicas:
        table(
            ("HOST", "REPLICA", "USER", "TRIES"),
            [(name, each.program, each.user, _tries(each)) for name, each in replicas],
        )
    else:
        say("no replica runs, so nothing was tried")
    say()
    table(
        ("HOST", "LISTENS AT", "USER", "PROGRAM", "IS"),
        [
            (
                name,
                each.listener.place,
                each.listener.user,
                each.listener.program or "-",
                ("WRONG: " if each.wrong else "") + each.is_what,
            )
            for name, host in found.hosts.items()
            for each in host.listeners
        ],
    )


def _tries(replica: ReplicaTries) -> str:
    """Return how many tries ended in each way."""
    if replica.fault:
        return replica.fault
    counted = Counter(each.outcome for each in replica.tries)
    return ", ".join(f"{counted[each]} {each}" for each in OUTCOMES if counted[each])
