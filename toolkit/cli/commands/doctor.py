"""`toolkit doctor`: check everything that a deployment needs."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from toolkit.adapters.ansible.playbooks import provision_digest
from toolkit.cli.arguments.options import registry_option, site_options
from toolkit.cli.opening.context import (
    home_directory,
    open_history,
    open_hosts,
    open_store,
    read_pins,
)
from toolkit.cli.terminal.output import print_json, say, table
from toolkit.errors import HostError
from toolkit.planning.upkeep.diagnosis import Finding, Level
from toolkit.workflows.fleet.doctor import examine


@click.command()
@registry_option()
@site_options()
def doctor(registry_path: str, fleet: str | None, home: str | None, as_json: bool) -> None:
    """Check this machine, the host and what runs on it."""
    home_path = home_directory(home)
    findings = examine(
        open_hosts(fleet, home_path),
        provision_digest,
        open_store(home_path),
        lambda: read_pins(registry_path, home_path).registry,
        partial(_registry_faults, Path(registry_path)),
        partial(open_history, home_path),
        time.time,
    )
    bad = sum(each.level is Level.FAIL for each in findings)
    failure = HostError(f"{bad} of {len(findings)} checks failed") if bad else None
    if as_json:
        print_json({"findings": [asdict(each) for each in findings]}, failure)
        return
    table(("", "SUBJECT", "FINDING"), [(f.level, f.subject, f.words) for f in findings])
    for each in findings:
        if each.hint:
            say(f"{each.subject}: {each.hint}")
    if failure:
        raise failure


def _registry_faults(path: Path) -> list[Finding]:
    """Return the faults that `registry check` finds, in its words."""
    from toolkit.workflows.registry.check import check_registry

    return [
        Finding(Level.FAIL, "registry", each.words, each.hint or "toolkit registry check")
        for each in check_registry(path).faults
    ]
