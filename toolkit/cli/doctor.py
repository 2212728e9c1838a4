"""`toolkit doctor`: look at everything a deployment needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from toolkit.cli.options import fleet_option, home_option, json_option, registry_option
from toolkit.cli.output import print_json, say, table
from toolkit.errors import HostError, ToolkitError

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.domain.fleet import Host
    from toolkit.planning.upkeep.diagnosis import Finding


@click.command()
@registry_option()
@fleet_option()
@home_option()
@json_option()
def doctor(registry_path: str, fleet: str | None, home: str | None, as_json: bool) -> None:
    """Check this machine, the host and what runs on it."""
    from toolkit.cli.context import home_directory, open_fleet
    from toolkit.planning.upkeep.diagnosis import Level

    findings = _examine(registry_path, open_fleet(fleet).hosts, home_directory(home))
    if as_json:
        print_json(
            [
                {"level": str(f.level), "subject": f.subject, "words": f.words, "hint": f.hint}
                for f in findings
            ]
        )
    else:
        table(("", "SUBJECT", "FINDING"), [(f.level, f.subject, f.words) for f in findings])
        for each in findings:
            if each.hint:
                say(f"{each.subject}: {each.hint}")
    bad = [each for each in findings if each.level is Level.FAIL]
    if bad and not as_json:
        raise HostError(f"{len(bad)} of {len(findings)} checks failed")
    if bad:
        raise click.exceptions.Exit(HostError.exit_code)


def _examine(registry_path: str, hosts: Sequence[Host], home: Path) -> list[Finding]:
    from toolkit.adapters.ansible.playbooks import provision_digest
    from toolkit.cli.context import open_history, read_pins
    from toolkit.cli.host_view import open_host
    from toolkit.planning.upkeep.diagnosis import Finding, Level, diagnose_host, diagnose_ops
    from toolkit.workflows.fleet.look import look

    registry_error = ""
    try:
        read_pins(registry_path, home)
    except ToolkitError as error:
        registry_error = error.message
    name = ""
    unfinished: list[str] = []
    history_error: list[Finding] = []
    try:
        history = open_history(home)
        unfinished = [
            f"deployment {each.id}, {each.action} {each.model}" for each in history.unfinished()
        ]
        name = history.name
    except ToolkitError as error:
        history_error = [Finding(Level.FAIL, "history", error.message, error.hint)]
    ops = history_error + list(
        diagnose_ops(
            ansible=_ansible_version(),
            privileged=_privileged(),
            store_free=_disk_free(home),
            registry_error=registry_error,
            history=name,
            unfinished=unfinished,
        )
    )
    sight = look([open_host(host, home) for host in hosts])
    found = list(ops)
    for host in hosts:
        # "host" where there is only one: what it is called says nothing then
        prefix = f"{host.name}: " if len(hosts) > 1 else ""
        if host.name in sight.lost:
            words = f"{host.name}: {sight.lost[host.name]}"
            found.append(Finding(Level.FAIL, f"{prefix}host", words, "toolkit hosts"))
            continue
        found += [
            replace(each, subject=f"{prefix}{each.subject}")
            for each in diagnose_host(sight.facts[host.name], provision_digest(host))
        ]
    return found


def _disk_free(path: Path) -> int:
    there = next(each for each in (path, *path.parents) if each.exists())
    return shutil.disk_usage(there).free


def _ansible_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ansible-core")
    except PackageNotFoundError:
        return ""


def _privileged() -> bool:
    if os.geteuid() == 0:
        return True
    if shutil.which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
