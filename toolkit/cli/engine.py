"""`toolkit engine`: which vLLM there is, lock another, bring one to a host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.options import fleet_option, home_option, json_option
from toolkit.cli.output import note, print_json, say, table
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.domain.engine import EngineLock
    from toolkit.planning.engine_choice import PackageChange
    from toolkit.workflows.engine import InstallPlan


@click.group()
def engine() -> None:
    """List, lock and install engines (vLLM at a pinned version)."""


@engine.command(name="list")
@fleet_option()
@home_option()
@json_option()
def list_engines(fleet: str | None, home: str | None, as_json: bool) -> None:
    """List the engine locks and the hosts that have them installed."""
    from toolkit.cli.context import home_directory, only_host
    from toolkit.cli.host_view import open_host
    from toolkit.config.engine_locks import is_shipped, read_locks

    place = home_directory(home)
    facts = open_host(only_host(fleet), place).observe()
    locks = read_locks(place)
    if as_json:
        print_json([_as_json(lock, lock.id in facts.engines, facts.name) for lock in locks])
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
                facts.name if lock.id in facts.engines else "-",
            )
            for lock in locks
        ],
    )
    usable = [x for x in locks if (x.accelerator, x.python) == (facts.accelerator, facts.python)]
    if not usable:
        note(
            f"no lock for {facts.name} ({facts.accelerator}, Python {facts.python}); make one: "
            f"toolkit engine lock VERSION --accelerator {facts.accelerator} --python {facts.python}"
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

    from toolkit.adapters.engine_packages import resolve
    from toolkit.cli.context import home_directory
    from toolkit.config.engine_locks import read_locks
    from toolkit.domain.model import Accelerator
    from toolkit.workflows.engine import relock

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
@click.option("--yes", "-y", is_flag=True, help="Go ahead without asking.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@fleet_option()
@home_option()
@json_option()
def install(
    wanted: str, yes: bool, dry_run: bool, fleet: str | None, home: str | None, as_json: bool
) -> None:
    """Install an engine, named by its id or version, so that a deployment need not wait for it."""
    from toolkit.cli.context import home_directory, only_host, open_tools
    from toolkit.cli.plan_view import DryRun, ask
    from toolkit.config.engine_locks import read_locks
    from toolkit.domain.model import EngineSpec
    from toolkit.planning.engine_choice import choose_lock, find_locks
    from toolkit.workflows.engine import install_engine

    directory, host = home_directory(home), only_host(fleet)
    tools = open_tools(directory, host, None, quiet=as_json)
    found = find_locks(read_locks(directory), wanted)
    chosen = found[0]
    if chosen.id != wanted:
        facts = tools.host.observe()
        spec = EngineSpec(chosen.name, chosen.version)
        chosen = choose_lock(found, spec, facts.accelerator, facts.python)

    def confirm(plan: InstallPlan) -> bool:
        note(f"install {plan.lock.id} on {plan.host}")
        for reason in plan.reasons:
            note(f"  {reason}")
        if dry_run:
            if as_json:
                print_json({"id": plan.lock.id, "host": plan.host, "dry_run": True})
            else:
                say("dry run: nothing was changed")
            raise DryRun
        return yes or ask("go ahead?")

    plan = install_engine(chosen, tools, confirm)
    if as_json:
        print_json({"id": chosen.id, "host": host.name, "changed": not plan.empty})
    elif plan.empty:
        say(f"nothing to do: {chosen.id} is on {host.name}")
    else:
        say(f"{chosen.id} is on {host.name}")


def _as_json(lock: EngineLock, installed: bool, host: str) -> dict[str, Any]:
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
        "hosts": [host] if installed else [],
    }


def _change_json(change: PackageChange) -> dict[str, str]:
    return {"name": change.name, "before": change.before, "after": change.after}


def _after(change: PackageChange) -> str:
    if change.before == change.after:
        return f"{change.after} (other files)"
    return change.after or "gone"
