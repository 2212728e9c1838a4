"""The texts of the timer of a schedule: a service and a timer of systemd, or lines of a crontab.

The timer only starts the command. The command itself decides whether a window is open, so a timer that fires at the
wrong time does no harm. `Persistent=` is off: a window that went by is told and not made up for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from toolkit.domain.deployment.schedule import WEEKDAYS, Schedule, Window
from toolkit.domain.excerpt import brief
from toolkit.errors import InputError
from toolkit.planning.upkeep.warm_hours import EACH

NAME = "toolkit-schedule"
SERVICE, TIMER = f"{NAME}.service", f"{NAME}.timer"
_BEGIN, _END = f"# begin {NAME}", f"# end {NAME}"
# The minutes between two calls within a window. Another run may be at work at a call, the machine may be off at
# the opening, and systemd passes over times that do not exist. The record has a run work once in each opening.
_EACH = int(EACH // 60)
# Where clocks go forward, a window's end is an hour later by the wall clock.
_FORWARD = timedelta(hours=1)
# A cron of any kind, in any zone, on both changes of the clock: the command knows when a window is open.
# Models with warm hours are looked after more often, in any zone; see `warm_hours.EACH`.
OFTEN = "*:0/5"
_CRON = f"*/{_EACH} * * * *"
# Cron refuses a whole crontab for a command of 1000 characters.
_MOST_OF_CRON = 990


def units(
    schedule: Schedule, command: Sequence[str], directory: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return file name -> text of the service, which runs `command` in `directory`, and of its timer.

    A service without its timer never starts by itself: it is written first and removed last.
    Raises InputError where a path or a word has a line end, which would begin a line of the unit.
    """
    _require_one_line(schedule.path, directory, *command, *environment.values())
    return {
        SERVICE: _service(schedule, command, directory, environment),
        TIMER: _timer(schedule),
    }


def of_schedule(text: str) -> str:
    """Return the schedule file for which a unit or a crontab was written; empty where it is none of ours."""
    found = re.search(r"^# Written by `toolkit schedule install` for (.+)\.$", text, re.MULTILINE)
    return found[1] if found else ""


def calendar(window: Window) -> tuple[str, ...]:
    """Return the lines of `OnCalendar=` of a window: from its opening on, every ten minutes until it has ended."""
    return tuple(_calendar(window))


def crontab(
    before: str,
    schedule: Schedule,
    command: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
) -> str:
    """Return a crontab with the schedule's lines in the place of former ones; every other line stays.

    The command gets the `environment` by `env`: a line of a variable would hold for the operator's own lines, too.
    Raises InputError where a path or a word has a line end, which would begin a line of the crontab.
    """
    _require_one_line(schedule.path, directory, *command, *environment.values())
    lines = [
        _BEGIN,
        _head(schedule.path),
        f"{_CRON} {_for_cron(command, directory, environment)}",
        _END,
    ]
    rest = without_crontab(before)
    return (
        f"{rest}{'' if rest.endswith(chr(10)) or not rest else chr(10)}" + "\n".join(lines) + "\n"
    )


def without_crontab(before: str) -> str:
    """Return a crontab without the schedule's lines."""
    pattern = rf"^{re.escape(_BEGIN)}\n.*?^{re.escape(_END)}\n?"
    return re.sub(pattern, "", before, flags=re.MULTILINE | re.DOTALL)


def _require_one_line(*words: str) -> None:
    if odd := next((each for each in words if re.search(r"[\x00-\x1f\x7f]", each)), None):
        raise InputError(
            f"neither systemd nor cron can be given {brief(repr(odd), 200)}: "
            "it has a line end or another control character",
            hint="rename that directory, or set the variable anew",
        )


def _service(
    schedule: Schedule, command: Sequence[str], directory: str, environment: Mapping[str, str]
) -> str:
    return "\n".join(
        [
            _head(schedule.path),
            "[Unit]",
            "Description=Unattended upgrades of models",
            "Wants=network-online.target",
            "After=network-online.target",
            "",
            "[Service]",
            "Type=oneshot",
            f"WorkingDirectory={_escaped(directory)}",
            *(f"Environment={_quoted(f'{name}={value}')}" for name, value in environment.items()),
            f"ExecStart={' '.join([_quoted(command[0]), *map(_argument, command[1:])])}",
            # Stopping the unit interrupts the command alone, which ends the upgrade and undoes it.
            "KillMode=mixed",
            "TimeoutStopSec=30min",
            "",
        ]
    )


def _timer(schedule: Schedule) -> str:
    windows = [window for window in schedule.windows.values() if schedule.rules_of(window.name)]
    return "\n".join(
        [
            _head(schedule.path),
            "[Unit]",
            "Description=Windows of unattended upgrades of models",
            "",
            "[Timer]",
            *(f"OnCalendar={line}" for window in windows for line in calendar(window)),
            *([f"OnCalendar={OFTEN}"] if schedule.warm else []),
            "AccuracySec=1s",
            "Persistent=false",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def _head(path: str) -> str:
    return f"# Written by `toolkit schedule install` for {path}."


def _calendar(window: Window) -> Iterator[str]:
    for later, clock in _clocks(window):
        for days in _days(window, later):
            yield f"{days} {clock}:00 {window.zone}"


def _clocks(window: Window) -> Iterator[tuple[int, str]]:
    """Yield the days that lie between the opening and calls of the timer, with the hours and minutes of these."""
    hour, minute = window.at.hour, window.at.minute
    # systemd refuses a repetition that does not come within the hour.
    yield 0, f"{hour:02}:{minute:02}" + (f"/{_EACH}" if minute + _EACH < 60 else "")
    # Counted from the midnight before the opening, so that 24 is the first hour of the next day.
    closes = timedelta(hours=hour, minutes=minute, seconds=window.seconds) + _FORWARD
    end = math.ceil(closes / timedelta(hours=1))
    for day in range(end // 24 + 1):
        first, last = max(hour + 1, day * 24), min(end, day * 24 + 24) - 1
        if first <= last:
            hours = f"{first % 24:02}" + (f"..{last % 24:02}" if first < last else "")
            yield day, f"{hours}:{minute % _EACH:02}/{_EACH}"


def _days(window: Window, later: int) -> list[str]:
    """Return the days that come `later` days after those of a window."""
    if window.dates:
        return [str(day + timedelta(days=later)) for day in window.dates]
    days = sorted((day + later) % 7 for day in window.weekdays)
    return [f"{','.join(WEEKDAYS[day].capitalize() for day in days)} *-*-*"]


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """Return a word as systemd reads it: see "Quoting" and "Specifiers" in systemd.syntax(7) and systemd.unit(5)."""
    word = _escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return word if re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", word) else f'"{word}"'


def _argument(word: str) -> str:
    """Return an argument of `ExecStart=`. There alone, and not in the program's path, `$` begins a variable."""
    return _quoted(word.replace("$", "$$"))


def _for_cron(command: Sequence[str], directory: str, environment: Mapping[str, str]) -> str:
    kept = [f"{name}={value}" for name, value in environment.items()]
    line = f"cd {_for_shell(directory)} && " + " ".join(
        map(_for_shell, ["env", *kept, *command] if kept else command)
    )
    if len(line) > _MOST_OF_CRON and "PATH" in environment:
        rest = {name: value for name, value in environment.items() if name != "PATH"}
        return _for_cron(command, directory, rest)
    return line


def _for_shell(word: str) -> str:
    """Return a word for the shell of cron, in which `%` means a line end; see crontab(5)."""
    if re.fullmatch(r"[A-Za-z0-9_@+=:,./-]+", word):
        return word
    inner = word.replace("'", "'\\''").replace("%", "\\%")
    return f"'{inner}'"
