"""Units and crontabs: all of them appear together, or nothing is left."""

from __future__ import annotations

import errno
import shutil
import subprocess
from datetime import time
from pathlib import Path

import pytest

from toolkit.adapters.timers import Crontab, SystemdUnits
from toolkit.domain.deployment.schedule import Rule, Schedule, Upkeep, Window
from toolkit.errors import InputError, ToolkitError
from toolkit.planning.upkeep.timer_units import SERVICE, TIMER
from toolkit.workflows.schedule.install import Command, install_timer, installed_for, remove_timer

COMMAND = Command(("/opt/python", "-m", "toolkit.cli.main"), "/srv", {"HF_HOME": "/c"})


def schedule(path: str = "/srv/schedule.yaml", hour: int = 2) -> Schedule:
    window = Window("night", time(hour), 7200.0, "UTC", (1,))
    return Schedule({"night": window}, {"tiny": Rule("tiny", Upkeep.AUTO)}, path=path)


class Machine:
    """A systemd and a cron that do as told; `failing` is the first words of the command that fails."""

    def __init__(self) -> None:
        self.failing: tuple[str, ...] = ()
        self.cut_short = False
        self.missing: set[str] = set()
        self.called: list[str] = []
        self.active = False
        self.enabled = False
        self.stale = False
        self.crontab: str | None = None

    def __call__(self, words: list[str], stdin: str) -> tuple[int, str, str]:
        self.called.append(" ".join(words[:3]))
        if words[0] in self.missing:
            return 127, "", f"{words[0]} is not installed"
        if self.failing and tuple(words[: len(self.failing)]) == self.failing:
            if self.cut_short:
                # A person presses it once.
                self.failing = ()
                raise KeyboardInterrupt
            if words[:2] == ["systemctl", "restart"]:
                # Of a timer that it does not take, systemd has stopped the former one.
                self.active, self.failing = False, ()
            return 1, "", "it does not work\n"
        if words[0] == "systemctl":
            return self.systemctl(words[1])
        if words == ["crontab", "-l"]:
            return (
                (0, self.crontab, "") if self.crontab is not None else (1, "", "no crontab for a")
            )
        if words == ["crontab", "-"]:
            self.crontab = stdin
        return 0, "", ""

    def systemctl(self, verb: str) -> tuple[int, str, str]:
        """Do what systemd is told."""
        if verb == "is-active":
            return (0 if self.active else 3), "", ""
        if verb == "show":
            return 0, self.shown(), ""
        self.stale = self.stale and verb != "daemon-reload"
        self.active = verb == "restart" or (self.active and verb != "disable")
        self.enabled = verb == "enable" or (self.enabled and verb != "disable")
        return 0, "", ""

    def shown(self) -> str:
        """Return what systemd knows of the service and of the timer."""
        return (
            f"ActiveState=inactive\nUnitFileState=static\nNeedDaemonReload={'yes' if self.stale else 'no'}\n\n"
            f"ActiveState={'active' if self.active else 'inactive'}\n"
            f"UnitFileState={'enabled' if self.enabled else 'disabled'}\nNeedDaemonReload=no\n"
        )


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def units(tmp_path: Path, machine: Machine) -> SystemdUnits:
    return SystemdUnits(tmp_path / "units", run=machine)


def there(units: SystemdUnits) -> list[str]:
    return (
        sorted(each.name for each in units.directory.glob("*")) if units.directory.exists() else []
    )


def test_both_units_appear_and_the_timer_is_started_last(
    units: SystemdUnits, machine: Machine
) -> None:
    done = install_timer(schedule(), COMMAND, units)
    assert (done.changed, there(units)) == (True, [SERVICE, TIMER])
    assert machine.called[-3:] == [
        "systemctl daemon-reload",
        f"systemctl enable {TIMER}",
        f"systemctl restart {TIMER}",
    ]
    assert installed_for(units) == "/srv/schedule.yaml"


def test_the_same_again_changes_nothing(units: SystemdUnits, machine: Machine) -> None:
    install_timer(schedule(), COMMAND, units)
    machine.called.clear()
    assert not install_timer(schedule(), COMMAND, units).changed
    assert not any("restart" in each for each in machine.called)
    # A timer that somebody stopped is started again.
    machine.active = False
    assert install_timer(schedule(), COMMAND, units).changed


@pytest.mark.parametrize("lacks", ["active", "enabled", "stale"])
def test_what_a_killed_installation_left_counts_as_none_and_is_completed(
    units: SystemdUnits, machine: Machine, lacks: str
) -> None:
    """SIGKILL between the files and systemd leaves both files, and a timer that is not theirs."""
    install_timer(schedule(), COMMAND, units)
    setattr(machine, lacks, lacks == "stale")
    assert installed_for(units) == ""
    assert install_timer(schedule(), COMMAND, units).changed
    assert (machine.active, machine.enabled, machine.stale) == (True, True, False)
    assert installed_for(units) == "/srv/schedule.yaml"


def test_where_systemd_does_not_answer_the_files_say_what_is_installed(
    units: SystemdUnits, machine: Machine
) -> None:
    install_timer(schedule(), COMMAND, units)
    machine.failing = ("systemctl", "show")
    assert installed_for(units) == "/srv/schedule.yaml"


FAILING = [
    ("systemctl", "daemon-reload"), ("systemctl", "enable"), ("systemctl", "restart"),
    ("systemd-analyze", "calendar"), ("systemd-analyze", "verify"),
]  # fmt: skip


@pytest.mark.parametrize("failing", FAILING, ids=[each[1] for each in FAILING])
def test_where_systemd_refuses_nothing_is_left(
    units: SystemdUnits, machine: Machine, failing: tuple[str, ...]
) -> None:
    machine.failing = failing
    with pytest.raises(ToolkitError):
        install_timer(schedule(), COMMAND, units)
    assert there(units) == []


@pytest.mark.parametrize("failing", FAILING, ids=[each[1] for each in FAILING])
def test_where_a_change_is_refused_the_former_units_stay(
    units: SystemdUnits, machine: Machine, failing: tuple[str, ...]
) -> None:
    install_timer(schedule(), COMMAND, units)
    before = [units.read(name) for name in (SERVICE, TIMER)]
    machine.failing = failing
    with pytest.raises(ToolkitError):
        install_timer(schedule(hour=3), COMMAND, units)
    assert [units.read(name) for name in (SERVICE, TIMER)] == before
    assert machine.active


@pytest.mark.parametrize("former", [True, False])
@pytest.mark.parametrize("failing", FAILING[:3], ids=[each[1] for each in FAILING[:3]])
def test_ctrl_c_amid_an_installation_leaves_what_was_there(
    units: SystemdUnits, machine: Machine, failing: tuple[str, ...], *, former: bool
) -> None:
    """Else a service stays whose timer nobody has started, or a timer of another schedule than was agreed to."""
    if former:
        install_timer(schedule(), COMMAND, units)
    before = [units.read(name) for name in (SERVICE, TIMER)]
    machine.cut_short, machine.failing = True, failing
    with pytest.raises(KeyboardInterrupt):
        install_timer(schedule(hour=3), COMMAND, units)
    assert [units.read(name) for name in (SERVICE, TIMER)] == before
    assert machine.active == former
    assert f"systemctl {'restart ' + TIMER if former else 'daemon-reload'}" == machine.called[-1]


def test_where_the_second_file_cannot_be_written_the_first_is_taken_back(
    units: SystemdUnits,
) -> None:
    # A directory in the place of the timer takes no file.
    (units.directory / TIMER).mkdir(parents=True)
    with pytest.raises(ToolkitError, match="nothing is installed"):
        install_timer(schedule(), COMMAND, units)
    assert there(units) == [TIMER]


def test_anothers_timer_and_a_foreign_file_are_left_alone(units: SystemdUnits) -> None:
    install_timer(schedule(), COMMAND, units)
    with pytest.raises(InputError, match="is installed for another schedule"):
        install_timer(schedule("/other/schedule.yaml"), COMMAND, units)
    remove_timer(units)
    (units.directory / TIMER).write_text("[Timer]\nOnCalendar=daily\n")
    with pytest.raises(InputError, match="was not written by this command"):
        install_timer(schedule(), COMMAND, units)
    assert not remove_timer(units).changed
    assert there(units) == [TIMER]


def test_a_removal_stops_the_timer_first_and_takes_both(
    units: SystemdUnits, machine: Machine
) -> None:
    install_timer(schedule(), COMMAND, units)
    machine.called.clear()
    done = remove_timer(units)
    assert (done.changed, there(units)) == (True, [])
    assert machine.called == [
        "systemctl is-active --quiet", "systemctl disable --now", "systemctl daemon-reload",
    ]  # fmt: skip
    assert not remove_timer(units).changed


@pytest.mark.parametrize("cut_short", [True, False])
@pytest.mark.parametrize(
    ("failing", "words"),
    [
        (("systemctl", "disable"), f"disable --now {TIMER}"),
        (("systemctl", "daemon-reload"), "daemon-reload"),
    ],
    ids=["disable", "daemon-reload"],
)
def test_where_a_removal_fails_the_timer_is_as_before(
    units: SystemdUnits,
    machine: Machine,
    failing: tuple[str, ...],
    words: str,
    *,
    cut_short: bool,
) -> None:
    """Else a timer goes on whose files are gone, and this command no longer knows it."""
    install_timer(schedule(), COMMAND, units)
    before = [units.read(name) for name in (SERVICE, TIMER)]
    machine.failing, machine.cut_short = failing, cut_short
    with pytest.raises(KeyboardInterrupt if cut_short else ToolkitError) as raised:
        remove_timer(units)
    assert [units.read(name) for name in (SERVICE, TIMER)] == before
    assert machine.active
    if not cut_short:
        assert str(raised.value) == (
            f"the timer cannot be removed: {words}: it does not work; it is as before"
        )
    machine.failing = ()
    assert remove_timer(units).changed
    assert (there(units), machine.active) == ([], False)


def test_where_a_unit_cannot_be_removed_the_timer_goes_on(
    units: SystemdUnits, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_timer(schedule(), COMMAND, units)
    unlink = Path.unlink

    def kept(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == SERVICE:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", kept)
    with pytest.raises(ToolkitError, match="Read-only file system; it is as before"):
        remove_timer(units)
    monkeypatch.undo()
    assert there(units) == [SERVICE, TIMER]
    assert machine.active


def test_a_schedule_without_work_installs_nothing(units: SystemdUnits) -> None:
    idle = Schedule(schedule().windows, {"tiny": Rule("tiny")}, path="/srv/schedule.yaml")
    with pytest.raises(InputError, match="no model with the policy pin-only or auto"):
        install_timer(idle, COMMAND, units)
    assert there(units) == []


def test_a_machine_without_systemds_checks_is_no_obstacle(
    units: SystemdUnits, machine: Machine
) -> None:
    machine.missing = {"systemd-analyze"}
    assert install_timer(schedule(), COMMAND, units).changed


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_real_systemd_takes_what_is_written_elsewhere(tmp_path: Path) -> None:
    units = SystemdUnits(tmp_path / "units", passive=True)
    command = Command(("/bin/true", "a b"), str(tmp_path), {})
    assert install_timer(schedule(), command, units).changed
    assert not install_timer(schedule(), command, units).changed
    files = [str(units.directory / name) for name in (SERVICE, TIMER)]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *files], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_a_crontab_gets_its_lines_and_gives_them_back(machine: Machine) -> None:
    cron = Crontab(machine)
    machine.crontab = "0 3 * * * backup\n"
    assert install_timer(schedule(), COMMAND, cron).changed
    assert not install_timer(schedule(), COMMAND, cron).changed
    assert installed_for(cron) == "/srv/schedule.yaml"
    assert remove_timer(cron).changed
    assert machine.crontab == "0 3 * * * backup\n"
    assert not remove_timer(cron).changed


CRON = """\
#!/bin/sh
case "$1" in
  -l) [ -e {0} ] && cat {0} && exit; echo "crontab: can't open 'root': No such file or directory" >&2; exit 1 ;;
  -) cat > {0}.new && mv {0}.new {0} ;;
esac
"""


@pytest.mark.parametrize("installed", [False, True], ids=["install", "remove"])
def test_a_crontab_that_is_refused_stays_as_it_was(machine: Machine, *, installed: bool) -> None:
    tab = Crontab(machine)
    machine.crontab = "# mine\n"
    if installed:
        install_timer(schedule(), COMMAND, tab)
    before, machine.failing = machine.crontab, ("crontab", "-")
    with pytest.raises(ToolkitError, match="it does not work; the crontab is as it was"):
        if installed:
            remove_timer(tab)
        else:
            install_timer(schedule(), COMMAND, tab)
    assert machine.crontab == before


def test_a_crontab_of_another_encoding_keeps_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    (tmp_path / "crontab").write_text(CRON.format(kept))
    (tmp_path / "crontab").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    # BusyBox has other words for a crontab that is not there.
    assert install_timer(schedule(), COMMAND, Crontab()).changed
    before = b"# gr\xf6\xdfe\n0 3 * * * backup\n"
    kept.write_bytes(before)
    assert install_timer(schedule(), COMMAND, Crontab()).changed
    assert kept.read_bytes().startswith(before + b"# begin toolkit-schedule\n")
    assert remove_timer(Crontab()).changed
    assert kept.read_bytes() == before


def test_a_crontab_that_cannot_be_read_is_not_written_over(machine: Machine) -> None:
    machine.failing = ("crontab", "-l")
    with pytest.raises(ToolkitError, match="the crontab cannot be read"):
        install_timer(schedule(), COMMAND, Crontab(machine))
    machine.failing, machine.missing = (), {"crontab"}
    with pytest.raises(InputError, match="neither systemd nor a crontab"):
        install_timer(schedule(), COMMAND, Crontab(machine))
    assert machine.crontab is None
