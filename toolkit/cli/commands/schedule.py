"""`toolkit schedule`: pin and upgrade models in declared windows, with nobody present."""

from __future__ import annotations

import os
import platform
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.adapters.schedule_record import ScheduleRecord
from toolkit.adapters.timers import Crontab, SystemdUnits, lingers, units_here
from toolkit.cli.arguments.numbers import Whole
from toolkit.cli.arguments.options import (
    Decorator,
    dry_run_option,
    home_option,
    json_option,
    registry_option,
    schedule_option,
    site_options,
)
from toolkit.cli.opening.context import home_directory, open_history, read_registry
from toolkit.cli.opening.ops_figures import keep_ops_current
from toolkit.cli.opening.trail import changing, trail_now
from toolkit.cli.terminal.output import note, print_json, say, say_whole, table
from toolkit.cli.views.schedule import (
    WIDTH,
    opening_json,
    rule_json,
    run_json,
    said_of,
    show_rules,
    show_runs,
    show_warm,
    show_windows,
    warm_json,
    window_json,
)
from toolkit.config.paths import absolute
from toolkit.errors import BusyError, ToolkitError
from toolkit.planning.upkeep.adapter_currency import adapters_to_schedule
from toolkit.planning.upkeep.timer_units import crontab, units
from toolkit.planning.upkeep.windows import (
    missed,
    next_opening,
    open_now,
    openings,
    utc_text,
    wall_text,
)
from toolkit.workflows.schedule.desk import RunReport, Site
from toolkit.workflows.schedule.run import preview, run_schedule
from toolkit.workflows.schedule.warm import plan_of

if TYPE_CHECKING:
    from toolkit.domain.deployment.schedule import Schedule
    from toolkit.workflows.schedule.install import Command

# Variables that a timer's environment keeps. No secrets: the Hub's token is in its official file, and
# passwords are in files that Ansible's variables name.
_KEPT = (
    "HF_ENDPOINT", "HF_HOME", "PATH", "SSL_CERT_FILE", "ANSIBLE_CONFIG",
    "ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_IDENTITY_LIST", "ANSIBLE_BECOME_PASSWORD_FILE",
)  # fmt: skip


def to_option() -> Decorator:
    """`--to DIR`: where units lie that systemd is not told about."""
    return click.option(
        "--to",
        "directory",
        default=None,
        metavar="DIR",
        help="Only the unit files, in this directory; systemd is not told.",
    )


@click.group()
def schedule() -> None:
    """Pin and upgrade models in declared windows, with nobody present."""


@schedule.command("list")
@schedule_option()
@registry_option()
@home_option()
@json_option()
def list_schedule(schedule_path: str, registry_path: str, home: str | None, as_json: bool) -> None:
    """Show windows, policies, the last runs and missed windows."""
    now = time.time()
    found = _read(schedule_path, registry_path, now)
    known = ScheduleRecord(home_directory(home)).read()
    opens = {
        name: next_opening(window, found.blackouts, now) for name, window in found.windows.items()
    }
    late = missed(found, known.since, now, known.known) if known.since else ()
    lost = [*known.missed, *((each.window, each.opens) for each in late)]
    if as_json:
        print_json(
            {
                "path": found.path,
                "windows": {
                    name: {**window_json(window), "next": opening_json(opens[name])}
                    for name, window in found.windows.items()
                },
                "models": {name: rule_json(rule) for name, rule in found.rules.items()},
                "warm": {
                    name: warm_json(each, found.alternates_of(name), known)
                    for name, each in found.warm.items()
                },
                "models_a_window": found.most,
                "unreachable_hosts": found.unreachable,
                "runs": [run_json(each) for each in known.runs],
                "missed": [{"window": window, "opens": at} for window, at in lost],
                "installed_for": _installed_for(),
            }
        )
        return
    show_windows(found, opens)
    show_rules(found)
    show_warm(found, known)
    show_runs(found, known)
    for window, at in lost[-5:]:
        if window in found.windows:
            say(f"missed: {window} of {wall_text(at, found.windows[window].zone)}")
    if _installed_for() != found.path:
        note("its timer is not installed here: toolkit schedule install")


@schedule.command("next")
@click.option("--count", type=Whole(1, 100), default=5, show_default=True, help="How many.")
@schedule_option()
@registry_option()
@json_option()
def next_openings(count: int, schedule_path: str, registry_path: str, as_json: bool) -> None:
    """Show when windows open next, and for which models."""
    from itertools import islice

    now = time.time()
    found = _read(schedule_path, registry_path, now)
    coming = sorted(
        (
            each
            for window in found.windows.values()
            for each in islice(openings(window, found.blackouts, now), count)
        ),
        key=lambda each: each.opens,
    )[:count]
    models = {name: [rule.model for rule in found.rules_of(name)] for name in found.windows}
    if as_json:
        rows = [{**each.as_json(), "models": models[each.window]} for each in coming]
        print_json({"openings": rows})
        return
    table(
        ("WINDOW", "OPENS", "UTC", "MODELS"),
        [
            (
                each.window,
                wall_text(each.opens, found.windows[each.window].zone),
                utc_text(each.opens),
                ", ".join(models[each.window]) or "-",
            )
            for each in coming
        ],
        WIDTH,
    )


@schedule.command()
@changing()
@click.option(
    "--timer",
    "by_timer",
    is_flag=True,
    help="As the installed timer calls it: wait for the jitter, do nothing where no window is open.",
)
@dry_run_option("Say what a run would decide now, also outside of windows.")
@schedule_option()
@registry_option()
@site_options()
def run(
    by_timer: bool,
    dry_run: bool,
    schedule_path: str,
    registry_path: str,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Pin and upgrade what the rules of the open windows ask for, once in each opening."""
    from toolkit.cli.opening.schedule_desk import told_once

    home_path = home_directory(home)
    with told_once(ScheduleRecord(home_path)) if by_timer and not dry_run else nullcontext():
        _run(
            _read(schedule_path, registry_path, time.time()),
            registry_path,
            fleet,
            home_path,
            by_timer=by_timer,
            dry_run=dry_run,
            as_json=as_json,
        )


def _run(
    found: Schedule,
    registry_path: str,
    fleet: str | None,
    home_path: Path,
    *,
    by_timer: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from toolkit.cli.opening.schedule_desk import CommandDesk

    desk = CommandDesk(registry_path, fleet, home_path, open_history(home_path), found.path)
    tell = note if as_json else say
    site = Site(desk, ScheduleRecord(home_path), machine(), time.time, time.sleep, tell)
    if dry_run:
        holding = [each.window for each in open_now(found, time.time())]
        report = RunReport()
        for window in holding or found.windows:
            for name, decision in preview(found, window, site).items():
                report.decisions[name] = decision
        for name, hours in found.warm.items():
            report.warm[name] = said_of(hours, plan_of(hours, site))
        if as_json:
            print_json({**report.as_json(), "dry_run": True})
            return
        for decision in report.decisions.values():
            say(f"{decision.model}: {decision.action}: {decision.words}")
        for name, words in report.warm.items():
            say(f"{name}: {words}")
        say("dry run: nothing was changed")
        return
    report = run_schedule(found, site, by_timer=by_timer)
    keep_ops_current(home_path)
    if as_json:
        print_json({**report.as_json(), "dry_run": False}, report.failure)
        return
    if report.failure:
        raise report.failure


@schedule.command()
@changing()
@to_option()
@dry_run_option("Print the files; write nothing.")
@schedule_option()
@registry_option()
@site_options()
def install(
    directory: str | None,
    dry_run: bool,
    schedule_path: str,
    registry_path: str,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Install the timer of the schedule on this machine: systemd units, or a crontab's lines."""
    from toolkit.workflows.schedule.install import install_timer

    found = _read(schedule_path, registry_path, time.time())
    home_path = home_directory(home)
    command = _command(found.path, registry_path, fleet, home_path)
    target = _target(directory)
    if dry_run:
        texts = (
            units(found, command.words, command.directory, command.environment)
            if isinstance(target, SystemdUnits)
            else {
                "crontab": crontab(
                    target.read(), found, command.words, command.directory, command.environment
                )
            }
        )
        if as_json:
            print_json({"place": _place(target), "files": texts, "changed": False, "dry_run": True})
            return
        for name, text in texts.items():
            say_whole(f"# {name}\n{text}")
        return
    done = install_timer(found, command, target, trail_now().begin_once)
    record = ScheduleRecord(home_path)
    # A run that is at work counts from its own beginning.
    with suppress(BusyError), record.locked():
        record.since(time.time())
    if as_json:
        files = dict.fromkeys(done.files, "")
        print_json({"place": done.place, "files": files, "changed": done.changed, "dry_run": False})
        return
    say(f"{'installed in' if done.changed else 'is installed already in'} {done.place}")
    if isinstance(target, SystemdUnits) and target.user and not target.passive and not lingers():
        note("timers of a user stop with the last session: sudo loginctl enable-linger")


@schedule.command()
@changing()
@to_option()
@home_option()
@json_option()
def remove(directory: str | None, as_json: bool, **_: Any) -> None:
    """Remove the timer from this machine; schedule and record stay."""
    from toolkit.workflows.schedule.install import remove_timer

    done = remove_timer(_target(directory), trail_now().begin_once)
    if as_json:
        print_json({"place": done.place, "files": list(done.files), "changed": done.changed})
        return
    say(f"removed from {done.place}" if done.changed else "no timer is installed; nothing to do")


def machine() -> str:
    """Return the id of this ops machine, else its name; the jitter is drawn from it."""
    try:
        return Path("/etc/machine-id").read_text().strip() or platform.node()
    except OSError:
        return platform.node()


def _read(schedule_path: str, registry_path: str, now: float) -> Schedule:
    from toolkit.workflows.schedule.install import read_schedule

    # The timer's files and the record name it, so its name must not depend on the directory.
    path = absolute(schedule_path)
    registry = read_registry(registry_path)
    return read_schedule(
        path, [*registry.models, *registry.waiting], now, adapters_to_schedule(registry)
    )


def _command(path: str, registry_path: str, fleet: str | None, home: Path) -> Command:
    from toolkit.workflows.schedule.install import Command

    registry = absolute(registry_path)
    words = [
        *(sys.executable, "-P", "-m", "toolkit.cli.main", "schedule", "run", "--timer"),
        *("--schedule", path, "--registry", str(registry), "--home", str(home)),
        *(("--fleet", str(absolute(fleet))) if fleet else ()),
    ]
    kept = {name: os.environ[name] for name in _KEPT if os.environ.get(name)}
    return Command(words, str(registry.parent), kept)


def _target(directory: str | None) -> SystemdUnits | Crontab:
    if directory is not None:
        return SystemdUnits(Path(directory), passive=True)
    return units_here() or Crontab()


def _place(target: SystemdUnits | Crontab) -> str:
    return str(getattr(target, "directory", "the crontab"))


def _installed_for() -> str:
    from toolkit.workflows.schedule.install import installed_for

    try:
        return installed_for(_target(None))
    except ToolkitError:
        return ""
