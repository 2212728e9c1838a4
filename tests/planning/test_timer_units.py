"""The texts of a schedule's timer, as systemd and cron read them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from toolkit.domain.deployment.schedule import Rule, Schedule, Upkeep, WarmHours, Window
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
from toolkit.planning.upkeep.windows import openings

NIGHT = Window("night", time(2, 30), 7200.0, "Europe/Berlin", (1, 3), (), 600.0)
LATE = Window("late", time(23, 35), 7200.0, "UTC", (6,))
ONCE = Window("once", time(23, 30), 7200.0, "UTC", (), (date(2026, 12, 31), date(2027, 2, 3)))
DAY = Window("day", time(23, 55), 86_400.0, "UTC", (0,))
IDLE = Window("idle", time(4), 7200.0, "UTC", (0,))
SCHEDULE = Schedule(
    {each.name: each for each in (NIGHT, LATE, ONCE, DAY, IDLE)},
    {"tiny": Rule("tiny", Upkeep.AUTO, ("night", "late", "once", "day"))},
    path="/srv/my models/schedule.yaml",
)
COMMAND = ("/opt/tool kit/python", "-m", "toolkit.cli.main", "--home", "/a%b")

LINES = {
    NIGHT: (
        "Tue,Thu *-*-* 02:30/10:00 Europe/Berlin",
        "Tue,Thu *-*-* 03..05:00/10:00 Europe/Berlin",
    ),
    LATE: ("Sun *-*-* 23:35/10:00 UTC", "Mon *-*-* 00..02:05/10:00 UTC"),
    ONCE: (
        "2026-12-31 23:30/10:00 UTC",
        "2027-02-03 23:30/10:00 UTC",
        "2027-01-01 00..02:00/10:00 UTC",
        "2027-02-04 00..02:00/10:00 UTC",
    ),
    DAY: (
        "Mon *-*-* 23:55:00 UTC",
        "Tue *-*-* 00..23:05/10:00 UTC",
        "Wed *-*-* 00:05/10:00 UTC",
    ),
}

# Days on which clocks go forward, go back, and do neither, and by how many seconds they go back.
DAYS = (
    ("Europe/Berlin", date(2027, 3, 28), 0),
    ("Europe/Berlin", date(2027, 10, 31), 3600),
    ("Europe/Berlin", date(2027, 6, 1), 0),
    ("Australia/Lord_Howe", date(2027, 10, 3), 0),
    ("Australia/Lord_Howe", date(2027, 4, 4), 1800),
    # At midnight.
    ("America/Santiago", date(2027, 9, 5), 0),
    ("America/Santiago", date(2027, 4, 3), 3600),
)


def test_warm_hours_have_the_timer_look_often() -> None:
    hours = {"tiny": WarmHours("tiny", NIGHT)}
    with_hours = units(replace(SCHEDULE, warm=hours), COMMAND, "/srv", {})[TIMER]
    assert "OnCalendar=*:0/5\n" in with_hours
    assert "*:0/5" not in units(SCHEDULE, COMMAND, "/srv", {})[TIMER]


@pytest.mark.parametrize("window", LINES, ids=lambda each: each.name)
def test_a_window_is_tried_at_its_opening_and_every_ten_minutes(window: Window) -> None:
    assert calendar(window) == LINES[window]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("line", [line for lines in LINES.values() for line in lines])
def test_systemd_reads_the_lines(line: str) -> None:
    done = subprocess.run(["systemd-analyze", "calendar", line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("hours", [0.25, 24])
@pytest.mark.parametrize("at", [time(0, 10), time(2, 35), time(23, 30)])
@pytest.mark.parametrize(("zone", "day", "back"), DAYS)
def test_systemd_tries_an_opening_every_ten_minutes_until_its_end(
    zone: str, day: date, back: float, at: time, hours: float
) -> None:
    window = Window("night", at, hours * 3600, zone, dates=(day,))
    (opening,) = openings(window, (), _moment(day) - 86_400)
    fired = sorted({each for line in calendar(window) for each in _fired(line, day)})
    within = [each for each in fired if opening.holds(each)]
    gaps = [b - a for a, b in pairwise([opening.opens, *within, opening.closes])]
    # Of two equal times systemd takes the first alone, so it pauses once where clocks go back.
    assert sum(gap > 600 for gap in gaps) <= (1 if back else 0)
    assert max(gaps) <= 600 + back
    assert len(fired) <= len(within) + 18


def _moment(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _fired(line: str, day: date) -> list[float]:
    """Return when a line fires, as systemd itself says it."""
    done = subprocess.run(
        ["systemd-analyze", "calendar", f"--base-time={day - timedelta(days=3)} 12:00:00 UTC",
         "--iterations=200", line],
        capture_output=True, text=True, check=True, env={"TZ": "UTC"},
    )  # fmt: skip
    found = re.findall(r"(?:elapse|#\d+): \w+ (\S+ \S+) UTC", done.stdout)
    return [datetime.fromisoformat(f"{each}+00:00").timestamp() for each in found]


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
    after = crontab(before, SCHEDULE, COMMAND, "/srv/my models", {})
    assert after.startswith(f"{before}\n# begin toolkit-schedule\n")
    assert (
        "*/10 * * * * cd '/srv/my models' && '/opt/tool kit/python' -m toolkit.cli.main --home '/a\\%b'"
        in after
    )
    assert of_schedule(after) == "/srv/my models/schedule.yaml"
    assert crontab(after, SCHEDULE, COMMAND, "/srv/my models", {}) == after
    assert without_crontab(after) == f"{before}\n"
    assert without_crontab(before) == before
    assert without_crontab(crontab("", SCHEDULE, COMMAND, "/x", {})) == ""


def test_a_crontab_gives_the_command_its_environment_and_no_other_line() -> None:
    kept = {"HF_ENDPOINT": "http://mirror:8090", "PATH": "/opt/a b/bin:/usr/bin"}
    after = crontab("", SCHEDULE, ("/opt/python", "-m", "toolkit"), "/srv", kept)
    command = (
        "env HF_ENDPOINT=http://mirror:8090 'PATH=/opt/a b/bin:/usr/bin' /opt/python -m toolkit"
    )
    assert after.splitlines()[2:] == [
        f"*/10 * * * * cd /srv && {command}",
        "# end toolkit-schedule",
    ]


def test_a_crontab_without_room_for_the_path_leaves_it_out() -> None:
    kept = {"HF_ENDPOINT": "http://mirror:8090", "PATH": ":".join(["/opt/bin"] * 120)}
    line = crontab("", SCHEDULE, ("/opt/python",), "/srv", kept).splitlines()[2]
    assert line == "*/10 * * * * cd /srv && env HF_ENDPOINT=http://mirror:8090 /opt/python"


@pytest.mark.parametrize("place", ["schedule", "directory", "command", "environment"])
def test_no_path_begins_a_line_of_its_own(place: str) -> None:
    """A directory of a repository may have such a name, and a unit or a crontab would run its second line."""
    odd = "/srv/a\nExecStartPre=/tmp/b"
    schedule = replace(SCHEDULE, path=odd) if place == "schedule" else SCHEDULE
    command = (*COMMAND, odd) if place == "command" else COMMAND
    given = (
        schedule,
        command,
        odd if place == "directory" else "/srv",
        {"HOME": odd} if place == "environment" else {},
    )
    for write in (lambda: units(*given), lambda: crontab("", *given)):
        with pytest.raises(InputError, match="a line end"):
            write()
