"""Install the timer of a schedule on this ops machine, and remove it: all of its files, or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.adapters.timers import Crontab, SystemdUnits
from toolkit.config.schedule import ScheduleFile, load_schedule
from toolkit.domain.deployment.schedule import Schedule
from toolkit.errors import InputError
from toolkit.planning.upkeep.timer_units import (
    SERVICE,
    TIMER,
    calendar,
    crontab,
    of_schedule,
    units,
    without_crontab,
)
from toolkit.planning.upkeep.turns import clashes
from toolkit.planning.upkeep.windows import never_opens
from toolkit.workflows.tools import Begin, unrecorded


@dataclass(frozen=True, slots=True)
class Command:
    """The command that the timer starts: its words, its directory and its environment, which holds no secret."""

    words: Sequence[str]
    directory: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Installed:
    """The place of the timer, and whether anything changed."""

    place: str
    files: tuple[str, ...]
    changed: bool


def read_schedule(
    path: Path,
    models: Iterable[str] | None,
    now: float,
    adapters: Mapping[str, str] | None = None,
) -> Schedule:
    """Return the schedule of a file; raises InputError with its place.

    That is also for windows that never open, and for models that take turns and are to be up at the same time. With
    `models`, a rule for any other name is a fault; `adapters` have the model of each LoRA adapter by its name.
    """
    return checked(load_schedule(path, models, adapters), now)


def checked(file: ScheduleFile, now: float) -> Schedule:
    """Return the schedule of a file that was read; raises InputError for a rule that can never apply from `now` on."""
    for window in file.schedule.windows.values():
        if never_opens(window, file.schedule.blackouts, now):
            raise _never(file, window.name)
    for clash in clashes(file.schedule, now):
        raise file.fault_of_turns(clash.model, clash.words, clash.hint)
    return file.schedule


def install_timer(
    schedule: Schedule,
    command: Command,
    target: SystemdUnits | Crontab,
    begin: Begin = unrecorded,
) -> Installed:
    """Install the timer; the same again changes nothing. `begin` is called before the first change.

    Raises InputError where another schedule's is there, and ToolkitError where nothing was installed.
    """
    if not schedule.warm and not any(schedule.rules_of(name) for name in schedule.windows):
        raise InputError(
            f"{schedule.path} has no model with the policy pin-only or auto, and none under `warm:`",
            hint="write one under `models:` or `warm:`; toolkit schedule list shows the schedule",
        )
    if isinstance(target, Crontab):
        before = target.read()
        _require_own(before, schedule, "the crontab")
        after = crontab(before, schedule, command.words, command.directory, command.environment)
        if after != before:
            begin()
            target.write(after)
        return Installed("the crontab", (), after != before)
    texts = units(schedule, command.words, command.directory, command.environment)
    _require_own(target.read(TIMER), schedule, str(target.directory / TIMER))
    lines = [line for window in schedule.windows.values() for line in calendar(window)]
    target.check(texts, tuple(lines))
    changed = target.write(texts, TIMER, begin)
    return Installed(str(target.directory), tuple(texts), changed)


def remove_timer(target: SystemdUnits | Crontab, begin: Begin = unrecorded) -> Installed:
    """Remove the timer, whichever schedule it was for; `begin` is called before the first change."""
    if isinstance(target, Crontab):
        before = target.read()
        after = without_crontab(before)
        if after != before:
            begin()
            target.write(after)
        return Installed("the crontab", (), after != before)
    names = (SERVICE, TIMER)
    there = tuple(name for name in names if of_schedule(target.read(name)))
    if there:
        begin()
    return Installed(str(target.directory), there, target.remove(there, TIMER))


def installed_for(target: SystemdUnits | Crontab) -> str:
    """Return the schedule file whose timer is installed; empty where none is, or where systemd does not go by it."""
    if isinstance(target, Crontab):
        return of_schedule(target.read())
    named = of_schedule(target.read(TIMER))
    return "" if named and target.in_force((SERVICE, TIMER)) is False else named


def _require_own(text: str, schedule: Schedule, place: str) -> None:
    other = of_schedule(text)
    if other and other != schedule.path:
        raise InputError(
            f"{place} is installed for another schedule, {other}",
            hint="one ops machine has one schedule: toolkit schedule remove",
        )
    if text and not other and not place.startswith("the crontab"):
        raise InputError(f"{place} was not written by this command", hint="move it away")


def _never(file: ScheduleFile, name: str) -> InputError:
    return file.fault(
        name,
        f"the window {name!r} never opens: all its days are in a blackout",
        "end the blackout, or remove the window",
    )
