"""`toolkit engine`: which vLLM there is, lock another, bring one to a host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.options import fleet_option, home_option, json_option
from toolkit.cli.output import note, print_json, say, table
from toolkit.errors import HostError, InputError, RefusedError, ToolkitError, joined

if TYPE_CHECKING:
    from toolkit.domain.engine import EngineLock
    from toolkit.planning.release.engine_choice import PackageChange
    from toolkit.workflows.change.engine import InstallPlan
    from toolkit.workflows.tools import Tools


@click.group()
def engine() -> None:
    """List, lock and install engines (vLLM at a pinned version)."""


@engine.command(name="list")
@fleet_option()
@home_option()
@json_option()
def list_engines(fleet: str | None, home: str | None, as_json: bool) -> None:
    """List the engine locks and the hosts that have them installed."""
    from toolkit.cli.context import home_directory, open_fleet
    from toolkit.cli.host_view import open_host
    from toolkit.config.engine_locks import is_shipped, read_locks
    from toolkit.workflows.fleet.look import look

    place = home_directory(home)
    sight = look([open_host(host, place) for host in open_fleet(fleet).hosts])
    locks = read_locks(place)
    on = {
        lock.id: [name for name, facts in sight.facts.items() if lock.id in facts.engines]
        for lock in locks
    }
    if as_json:
        engines = [_as_json(lock, on[lock.id]) for lock in locks]
        print_json({"engines": engines, "unreachable": sight.unreachable})
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
    for name, why in sight.unreachable.items():
        note(f"{name}: unreachable, {why}")
    have = {(lock.accelerator, lock.python) for lock in locks}
    for facts in sight.facts.values():
        if (facts.accelerator, facts.python) not in have:
            note(
                f"no lock for {facts.name} ({facts.accelerator}, Python {facts.python}); make one: toolkit engine "
                f"lock VERSION --accelerator {facts.accelerator} --python {facts.python}"
            )


@engine.command()
@click.argument("version")
@click.option(
    "--accelerator",
    type=click.Choice(["cpu", "cuda"]),
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
@home_option()
@json_option()
def lock(version: str, accelerator: str, python: str, home: str | None, as_json: bool) -> None:
    """Resolve a version of vLLM into a lock of this ops machine and show what changes."""
    import re

    from toolkit.adapters.engines.packages import resolve
    from toolkit.cli.context import home_directory
    from toolkit.config.engine_locks import read_locks
    from toolkit.domain.accelerator import Accelerator
    from toolkit.workflows.change.engine import relock

    if not re.fullmatch(r"\d+(\.\d+)+(\.?(rc|post)\d+)?", version):
        raise InputError(f"{version!r} is not a version of vLLM", hint="write it like 0.32.0")
    if not re.fullmatch(r"3\.\d+", python):
        raise InputError(f"{python!r} is not a version of Python", hint="write it like 3.12")
    directory = home_directory(home)
    done = relock(
        version,
        Accelerator(accelerator),
        python,
        locks=read_locks(directory),
        home=directory,
        resolve=resolve,
    )
    if as_json:
        changes = [_change_json(change) for change in done.changes]
        print_json(
            {
                "id": done.lock.id,
                "path": done.lock.path,
                "written": done.written,
                "changes": changes,
            }
        )
        return
    if not done.written:
        say(f"nothing changed: {done.lock.id} is what {version} resolves to today")
        return
    if done.before is not None:
        table(
            ("PACKAGE", "BEFORE", "NOW"),
            [(change.name, change.before or "-", _after(change)) for change in done.changes],
        )
    say(f"locked {done.lock.packages} packages as {done.lock.id} in {done.lock.path}")


@engine.command()
@click.argument("wanted", metavar="ENGINE")
@click.option(
    "--host",
    "named",
    multiple=True,
    metavar="HOST",
    help="Only on this host of the fleet; may be given again.",
)
@click.option("--yes", "-y", is_flag=True, help="Go ahead without asking.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@fleet_option()
@home_option()
@json_option()
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
    from toolkit.cli.context import home_directory, open_fleet, open_members
    from toolkit.cli.plan_view import confirmed
    from toolkit.config.engine_locks import read_locks
    from toolkit.workflows.change.engine import install_engine

    def confirm(plan: InstallPlan) -> bool:
        note(f"install {plan.lock.id} on {plan.host}")
        for reason in plan.reasons:
            note(f"  {reason}")
        return not dry_run and (yes or confirmed("go ahead?"))

    directory, hosts = home_directory(home), open_fleet(fleet).select(named)
    locks = read_locks(directory)
    done: dict[str, dict[str, Any]] = {}
    failed: dict[str, ToolkitError] = {}
    for tools in open_members(directory, hosts, None, quiet=as_json):
        name = tools.host.name
        try:
            chosen = _chosen(locks, wanted, tools)
            plan = install_engine(chosen, tools, confirm)
        except RefusedError:
            if not dry_run:
                raise
            done[name] = {"id": chosen.id, "changed": True}
            continue
        except HostError as error:
            if len(hosts) == 1:
                raise
            failed[name] = error
            continue
        done[name] = {"id": chosen.id, "changed": not plan.empty}
        if not as_json:
            say(f"{'nothing to do: ' if plan.empty else ''}{chosen.id} is on {name}")
    failure = joined(failed, hint="toolkit status") if failed else None
    if as_json:
        print_json({"engine": wanted, "hosts": done, "dry_run": dry_run}, failure)
        return
    if dry_run:
        say("dry run: nothing was changed")
    if failure:
        raise failure


def _chosen(locks: Sequence[EngineLock], wanted: str, tools: Tools) -> EngineLock:
    """Return the lock that `wanted` means on a host: by its id, or by its version for what the host is."""
    from toolkit.domain.model import EngineSpec
    from toolkit.planning.release.engine_choice import choose_lock, find_locks

    found = find_locks(locks, wanted)
    if found[0].id == wanted:
        return found[0]
    facts = tools.host.observe()
    spec = EngineSpec(found[0].name, found[0].version)
    return choose_lock(found, spec, facts.accelerator, facts.python)


def _as_json(lock: EngineLock, hosts: Sequence[str]) -> dict[str, Any]:
    from toolkit.config.engine_locks import is_shipped

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


def _change_json(change: PackageChange) -> dict[str, str]:
    return {"name": change.name, "before": change.before, "after": change.after}


def _after(change: PackageChange) -> str:
    if change.before == change.after:
        return f"{change.after} (other files)"
    return change.after or "gone"
