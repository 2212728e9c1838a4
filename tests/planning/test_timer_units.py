"""The texts of a schedule's timer, as systemd and cron read them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import date, time
from pathlib import Path

import pytest

from toolkit.domain.deployment.schedule import Rule, Schedule, Upkeep, WarmHours, Window
from toolkit.planning.upkeep.timer_units import (
    SERVICE,
    TIMER,
    calendar,
    crontab,
    of_schedule,
    units,
    without_crontab,
)

NIGHT = Window("night", time(2, 30), 7200.0, "Europe/Berlin", (1, 3), (), 600.0)
LATE = Window("late", time(23, 30), 7200.0, "UTC", (6,))
ONCE = Window("once", time(23, 30), 7200.0, "UTC", (), (date(2026, 12, 31),))
IDLE = Window("idle", time(4), 7200.0, "UTC", (0,))
SCHEDULE = Schedule(
    {each.name: each for each in (NIGHT, LATE, ONCE, IDLE)},
    {"tiny": Rule("tiny", Upkeep.AUTO, ("night", "late", "once"))},
    path="/srv/my models/schedule.yaml",
)
COMMAND = ("/opt/tool kit/python", "-m", "toolkit.cli.main", "--home", "/a%b")

LINES = {
    NIGHT: ("Tue,Thu *-*-* 02:30:00 Europe/Berlin", "Tue,Thu *-*-* 03:30:00 Europe/Berlin"),
    LATE: ("Sun *-*-* 23:30:00 UTC", "Mon *-*-* 00:30:00 UTC"),
    ONCE: ("2026-12-31 23:30:00 UTC", "2027-01-01 00:30:00 UTC"),
}


def test_warm_hours_have_the_timer_look_often() -> None:
    hours = {"tiny": WarmHours("tiny", NIGHT)}
    with_hours = units(replace(SCHEDULE, warm=hours), COMMAND, "/srv", {})[TIMER]
    assert "OnCalendar=*:0/5\n" in with_hours
    assert "*:0/5" not in units(SCHEDULE, COMMAND, "/srv", {})[TIMER]


@pytest.mark.parametrize("window", LINES, ids=lambda each: each.name)
def test_a_window_is_tried_at_its_opening_and_an_hour_later(window: Window) -> None:
    assert calendar(window) == LINES[window]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("line", [line for lines in LINES.values() for line in lines])
def test_systemd_reads_the_lines(line: str) -> None:
    done = subprocess.run(["systemd-analyze", "calendar", line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_tries_a_window_within_the_missing_hour_once_it_is_over() -> None:
    """The window opens at 01:00 UTC; the first line is passed over that day, the second one fires in the window."""
    fired = []
    for line in calendar(Window("night", time(2, 30), 3600.0, "Europe/Berlin", (6,))):
        done = subprocess.run(
            ["systemd-analyze", "calendar", "--base-time=2027-03-27 12:00:00 UTC", line],
            capture_output=True, text=True, check=True, env={"TZ": "UTC"},
        )  # fmt: skip
        fired += [
            each.partition(": ")[2] for each in done.stdout.splitlines() if "Next elapse" in each
        ]
    assert fired == ["Sun 2027-04-04 00:30:00 UTC", "Sun 2027-03-28 01:30:00 UTC"]


def test_the_units_name_their_schedule_and_keep_no_missed_start() -> None:
    texts = units(SCHEDULE, COMMAND, "/srv/my models", {"HF_HOME": "/c d"})
    assert list(texts) == [SERVICE, TIMER]
    service, timer = texts.values()
    assert of_schedule(service) == of_schedule(timer) == "/srv/my models/schedule.yaml"
    assert 'ExecStart="/opt/tool kit/python" -m toolkit.cli.main --home /a%%b' in service
    assert 'Environment="HF_HOME=/c d"' in service
    assert "WorkingDirectory=/srv/my models\n" in service
    assert "Type=oneshot" in service
    assert "RemainAfterExit" not in service
    assert "Persistent=false" in timer
    assert [line for line in timer.splitlines() if line.startswith("OnCalendar=")] == [
        f"OnCalendar={line}" for lines in LINES.values() for line in lines
    ]


def test_a_dollar_is_doubled_where_systemd_reads_it_as_a_variable() -> None:
    """systemd expands variables in the arguments of `ExecStart=`, and neither in its program nor in `Environment=`."""
    command = ("/opt/a$b/python", "--home", "/c$d")
    service = units(SCHEDULE, command, "/srv", {"HF_HOME": '/e$f "g"\\h%'})[SERVICE]
    assert 'ExecStart="/opt/a$b/python" --home "/c$$d"\n' in service
    assert 'Environment="HF_HOME=/e$f \\"g\\"\\\\h%%"\n' in service


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_a_program_with_a_dollar_in_its_path(tmp_path: Path) -> None:
    program = tmp_path / "a$b"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    service = units(SCHEDULE, (str(program), "$HOME"), str(tmp_path), {})[SERVICE]
    (tmp_path / SERVICE).write_text(service)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / SERVICE)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    command = ("/bin/true", "a b", "100%", "$HOME", 'say "x"', "back\\slash")
    for name, text in units(SCHEDULE, command, str(tmp_path), {"A": "b c"}).items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / SERVICE), str(tmp_path / TIMER)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_crontab_keeps_every_other_line() -> None:
    before = "MAILTO=ops\n0 3 * * * backup"
    after = crontab(before, SCHEDULE, COMMAND, "/srv/my models")
    assert after.startswith(f"{before}\n# begin toolkit-schedule\n")
    assert (
        "*/10 * * * * cd '/srv/my models' && '/opt/tool kit/python' -m toolkit.cli.main --home '/a\\%b'"
        in after
    )
    assert of_schedule(after) == "/srv/my models/schedule.yaml"
    assert crontab(after, SCHEDULE, COMMAND, "/srv/my models") == after
    assert without_crontab(after) == f"{before}\n"
    assert without_crontab(before) == before
    assert without_crontab(crontab("", SCHEDULE, COMMAND, "/x")) == ""
