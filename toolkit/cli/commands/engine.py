"""`toolkit engine`: which engines there are, lock another, bring one to hosts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from toolkit.adapters.engines.packages import resolve
from toolkit.adapters.engines.wheel import read_sources
from toolkit.cli.arguments.options import (
    dry_run_option,
    home_option,
    host_option,
    json_option,
    site_options,
    yes_option,
)
from toolkit.cli.arguments.waiting import wait_option
from toolkit.cli.changing.members import open_members
from toolkit.cli.opening.context import home_directory, open_fleet, open_hosts
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.cli.terminal.silence import waiting_for
from toolkit.cli.views.dry_run import DryRun
from toolkit.cli.views.plan import go_ahead
from toolkit.config.engine_locks import is_shipped, read_locks
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import ENGINES, VERSION_PATTERN, EngineLock
from toolkit.domain.hosts.facts import FleetFacts
from toolkit.domain.hosts.failures import joined, own_words
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.errors import InputError
from toolkit.planning.release.engine_choice import PackageChange
from toolkit.workflows.change.engine import Installation, install_engine
from toolkit.workflows.change.engine_lock import Relocked, relock, unfit_of, with_extras
from toolkit.workflows.fleet.look import look


@click.group()
def engine() -> None:
    """List, lock and install engines (vLLM at a pinned version)."""


@engine.command(name="list")
@site_options()
def list_engines(fleet: str | None, home: str | None, as_json: bool) -> None:
    """List the engine locks and the hosts that have them installed."""
    home_path = home_directory(home)
    seen = look(open_hosts(fleet, home_path))
    locks = read_locks(home_path)
    on = {
        lock.id: [name for name, facts in seen.facts.items() if lock.id in facts.engines]
        for lock in locks
    }
    if as_json:
        engines = [_as_json(lock, on[lock.id]) for lock in locks]
        print_json({"engines": engines, "unreachable": seen.unreachable})
        return
    table(
        ("ENGINE", "VERSION", "FOR", "PYTHON", "PACKAGES", "LOCK", "INSTALLED ON"),
        [
            (
                lock.id,
                lock.version,
                lock.accelerator,
                lock.python,
                lock.packages,
                "shipped" if is_shipped(lock) else "local",
                ", ".join(on[lock.id]) or "-",
            )
            for lock in locks
        ],
    )
    _note_hosts_without_lock(seen, locks)
    for lock in locks:
        for words in unfit_of(lock):
            note(
                f"{lock.id}: {words}; lock it anew: toolkit engine lock {lock.version} "
                f"--accelerator {lock.accelerator} --python {lock.python}"
            )


@engine.command()
@changing(at_once=True)
@click.argument("version")
@click.option(
    "--accelerator",
    type=click.Choice([str(each) for each in Accelerator]),
    required=True,
    help="What the engine is to compute on.",
)
@click.option(
    "--python",
    "python",
    default="3.11",
    show_default=True,
    help="The hosts' Python, as in 3.12.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Lock a version as well that lacks what this toolkit uses, or whose packages do not fit together.",
)
@click.option(
    "--extra",
    "extras",
    type=click.Choice(["audio"]),
    multiple=True,
    help="Packages that the engine has as an extra: `audio` is needed to transcribe.",
)
@home_option()
@json_option()
def lock(
    version: str,
    accelerator: str,
    python: str,
    force: bool,
    extras: tuple[str, ...],
    home: str | None,
    as_json: bool,
) -> None:
    """Resolve a version of vLLM into a lock of this ops machine and show what changes.

    The version's package is read at the package index, without downloading all of it, and compared with what this
    toolkit uses of it.
    """
    if not re.fullmatch(VERSION_PATTERN, version):
        raise InputError(f"{version!r} is no full version of vLLM", hint="write it like 0.32.0")
    if not re.fullmatch(r"3\.[0-9]{1,2}", python):
        raise InputError(f"{python!r} is not a version of Python", hint="write it like 3.12")
    directory = home_directory(home)
    with waiting_for("the package index"):
        done = relock(
            EngineSpec(ENGINES[0], version),
            Accelerator(accelerator),
            python,
            locks=read_locks(directory),
            home=directory,
            resolve=with_extras(resolve, extras),
            read_sources=read_sources,
            force=force,
        )
    if as_json:
        print_json(done.as_json())
        return
    _show_lock(done)


@engine.command()
@changing()
@click.argument("wanted", metavar="ENGINE")
@host_option("Only on this host of the fleet; may be given again.")
@yes_option()
@wait_option()
@dry_run_option()
@site_options()
def install(
    wanted: str,
    named: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Install an engine, named by its id or version, so that a deployment need not wait for it."""

    def confirm(plan: Installation) -> bool:
        if dry_run:
            finish(plan)
            raise DryRun
        _show_plan(plan)
        return go_ahead(plan.as_json(), yes=yes)

    def finish(plan: Installation) -> None:
        failure = (
            joined(plan.failures, hint="toolkit status", alone=alone) if plan.failures else None
        )
        if as_json:
            print_json({**plan.as_json(), "dry_run": dry_run}, failure)
            return
        if dry_run:
            _show_plan(plan)
            say("dry run: nothing was changed")
        else:
            _show_done(plan)
        if failure:
            raise failure

    directory, hosts = home_directory(home), open_fleet(fleet).select(named)
    members, alone = open_members(directory, hosts, None, quiet=as_json), len(hosts) == 1
    finish(install_engine(members, read_locks(directory), wanted, confirm))


def _note_hosts_without_lock(seen: FleetFacts, locks: Sequence[EngineLock]) -> None:
    for name, why in seen.unreachable.items():
        note(f"{name}: unreachable, {why}")
    have = {(lock.accelerator, lock.python) for lock in locks}
    for facts in seen.facts.values():
        if (facts.accelerator, facts.python) not in have:
            note(
                f"no lock for {facts.name} ({facts.accelerator}, Python {facts.python}); make one: toolkit engine "
                f"lock VERSION --accelerator {facts.accelerator} --python {facts.python}"
            )


def _show_lock(done: Relocked) -> None:
    for each in done.missing:
        note(f"missing in this version: {each.words}")
    for words in done.unfit:
        note(f"does not fit: {words}")
    if done.unchecked:
        note(f"flags and metrics of this version were not checked: {done.unchecked}")
    if not done.written:
        say(f"nothing changed: {done.lock.id} is what {done.lock.version} resolves to today")
        return
    if done.before is not None:
        table(
            ("PACKAGE", "BEFORE", "NOW"),
            [(change.name, change.before or "-", _after(change)) for change in done.changes],
        )
    say(f"locked {done.lock.packages} packages as {done.lock.id} in {done.lock.path}")


def _show_plan(plan: Installation) -> None:
    for name, each in plan.hosts.items():
        if each.error:
            note(f"{name}: {own_words(name, each.error.message)}")
        elif each.pending:
            note(f"install {each.engine} on {name}")
        for reason in each.reasons:
            note(f"  {reason}")


def _show_done(done: Installation) -> None:
    for name, each in done.hosts.items():
        if not each.error:
            say(f"{'' if each.pending else 'nothing to do: '}{each.engine} is on {name}")


def _as_json(lock: EngineLock, hosts: Sequence[str]) -> dict[str, Any]:
    return {
        "id": lock.id,
        "name": lock.name,
        "version": lock.version,
        "accelerator": str(lock.accelerator),
        "python": lock.python,
        "packages": lock.packages,
        "shipped": is_shipped(lock),
        "path": lock.path,
        "hosts": list(hosts),
    }


def _after(change: PackageChange) -> str:
    if change.before == change.after:
        return f"{change.after} (other files)"
    return change.after or "gone"
