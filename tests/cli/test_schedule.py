"""`toolkit schedule` as an operator types it, down to the upgrade that it starts."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from tests.cli.shell import Shell
from tests.cli.test_outdated import Site
from tests.system.waiting import until
from tests.workflows.world import release
from toolkit.adapters.history.history import History
from toolkit.adapters.schedule_record import ScheduleRecord, WindowRun
from toolkit.cli.commands.deploy import upgrade
from toolkit.cli.opening import schedule_desk
from toolkit.cli.opening.schedule_desk import CommandDesk
from toolkit.domain.deployment.release import ReleaseAdapter
from toolkit.domain.gates.verdict import GateRecord, GateResult, Verdict

ALWAYS = "[mon, tue, wed, thu, fri, sat, sun]"
TEXT = f"""\
time_zone: UTC
windows:
  all-day: {{days: {ALWAYS}, from: 00:00, for: 24h}}
models:
  tiny: {{policy: auto}}
"""


@pytest.fixture
def site(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(shell, monkeypatch)
    monkeypatch.setattr(schedule_desk, "open_hub", lambda: made.hub)
    (shell.place / "schedule.yaml").write_text(TEXT)
    return made


def test_the_schedule_is_shown_within_80_columns(site: Site) -> None:
    record = ScheduleRecord(site.shell.place / "home")
    record.begin(WindowRun("all-day", 0.0, 10.0))
    record.end(WindowRun("all-day", 0.0, 10.0, 20.0, 10, ("tiny: drift: " + "x" * 90,)))
    said = site.shell("schedule", "list")
    assert said.code == 0, said.err
    assert max(map(len, said.out.splitlines())) == 80
    assert "daily 00:00 UTC" in said.out
    assert "tiny" in said.out
    document = site.shell("schedule", "list", "--json").json()
    assert document["models"]["tiny"] == {"policy": "auto", "windows": [], "soak": 0.0}
    assert document["runs"][0]["code"] == 10
    assert document["windows"]["all-day"]["next"]["window"] == "all-day"


def test_the_next_openings_name_their_models(site: Site) -> None:
    said = site.shell("schedule", "next", "--count", "3")
    rows = said.out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["all-day"] * 3
    assert all(row.endswith("tiny") for row in rows)
    document = site.shell("schedule", "next", "--json").json()
    assert [each["models"] for each in document["openings"]] == [["tiny"]] * 5


def test_a_run_pins_and_finds_nothing_to_upgrade_on_an_empty_host(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both runs fall into the window of one day.
    noon = time.time() // 86400 * 86400 + 43200
    monkeypatch.setattr(time, "time", lambda: noon)
    site.publish()
    said = site.shell("schedule", "run")
    assert said.code == 10, said.err
    assert "tiny: pinned" in said.out
    assert "tiny serves on no host, so there is nothing to upgrade" in said.err
    assert "candidate: true" in site.shell.registry.read_text()
    again = site.shell("schedule", "run", "--json")
    assert again.code == 0
    assert "had its run at" in again.err
    assert site.shell.untouched()


def test_a_dry_run_says_what_it_would_decide(site: Site) -> None:
    site.publish()
    before = site.shell.registry.read_text()
    said = site.shell("schedule", "run", "--dry-run")
    assert said.code == 0
    assert "tiny: pin: " in said.out
    document = site.shell("schedule", "run", "--dry-run", "--json").json()
    assert document["models"]["tiny"]["action"] == "pin"
    assert site.shell.registry.read_text() == before


def test_an_idle_model_is_shown_and_a_host_without_it_puts_nothing_to_sleep(site: Site) -> None:
    (site.shell.place / "schedule.yaml").write_text("warm:\n  tiny: {idle_after: 30min}\n")
    said = site.shell("schedule", "list")
    assert max(map(len, said.out.splitlines())) <= 80
    assert said.out.splitlines()[-1].split() == ["tiny", "-", "-", "30", "min", "wait", "-"]
    # There are neither windows nor rules, and no heads of tables of them.
    assert site.shell("schedule", "list").out.startswith("WARM ")
    shown = site.shell("schedule", "list", "--json").json()["warm"]["tiny"]
    assert (shown["idle_after"], shown["days"], shown["from"]) == (1800.0, [], "")
    preview = site.shell("schedule", "run", "--dry-run").out
    assert "tiny: it sleeps after 30 min without a request" in preview
    ran = site.shell("schedule", "run", "--timer", "--json")
    assert (ran.code, ran.json()["warm"]) == (0, {})
    assert site.shell.untouched()


def test_a_run_outside_of_windows_is_refused(site: Site) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 86_400))
    (site.shell.place / "schedule.yaml").write_text(
        TEXT.replace(f"days: {ALWAYS}", f"dates: [{day}]")
    )
    said = site.shell("schedule", "run")
    assert said.code == 3
    assert "no window is open: all-day opens" in said.err
    quiet = site.shell("schedule", "run", "--timer")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_fault_of_the_file_comes_before_anything(site: Site) -> None:
    (site.shell.place / "schedule.yaml").write_text(TEXT.replace("UTC", "Mars/Olympus"))
    for command in ("list", "next", "run", "install"):
        said = site.shell("schedule", command)
        assert said.code == 2
        assert "schedule.yaml:1:12: no time zone 'Mars/Olympus'" in said.err


def test_what_keeps_the_timer_from_its_work_is_recorded_once(site: Site) -> None:
    """The timer calls every ten minutes, and people learn of what is on record."""

    def recorded() -> list[str]:
        entries = site.shell("audit", "list", "--json").json()["entries"]
        return [each["outcome"] for each in entries if each["command"] == "schedule run"]

    sound = site.shell.registry.read_text()
    record = site.shell.place / "home" / "schedule.json"
    faults = (
        (site.shell.registry, "models: ["),
        (site.shell.place / "schedule.yaml", TEXT.replace("UTC", "Mars/Olympus")),
        (record, "{"),
    )
    for number, (path, text) in enumerate(faults, 1):
        before = path.read_text() if path.exists() else ""
        path.write_text(text)
        for _ in range(3):
            assert site.shell("schedule", "run", "--timer").code in (1, 2)
        assert len(recorded()) == number
        path.write_text(before)
        if path == record:
            path.unlink()
        assert site.shell("schedule", "run", "--timer").code == 0
    site.shell.registry.write_text("models: [")
    site.shell("schedule", "run", "--timer", "--dry-run")
    assert len(recorded()) == 3
    # It was right in between.
    site.shell("schedule", "run", "--timer")
    assert len(recorded()) == 4
    site.shell.registry.write_text(sound)


def test_units_are_written_shown_and_removed(site: Site) -> None:
    place = site.shell.place / "units"
    assert "OnCalendar=" in site.shell("schedule", "install", "--to", str(place), "--dry-run").out
    assert not place.exists()
    assert f"installed in {place}" in site.shell("schedule", "install", "--to", str(place)).out
    service = (place / "toolkit-schedule.service").read_text()
    root = site.shell.place.resolve()
    assert f"--schedule {root}/schedule.yaml --registry {root}/model_registry.yaml" in service
    assert f"--home {root}/home --fleet {root}/fleet.yaml" in service
    assert f"WorkingDirectory={root}\n" in service
    again = site.shell("schedule", "install", "--to", str(place), "--json").json()
    assert again["changed"] is False
    assert site.shell("schedule", "remove", "--to", str(place)).code == 0
    assert list(place.iterdir()) == []
    assert "nothing to do" in site.shell("schedule", "remove", "--to", str(place)).out


@pytest.fixture
def desk(site: Site) -> CommandDesk:
    history = History(site.shell.place / "history.db", time.time)
    home, schedule = site.shell.place / "home", site.shell.place / "schedule.yaml"
    return CommandDesk(str(site.shell.registry), None, home, history, str(schedule))


ROLLOUT = "c9d2b3f4-8a52-4c8e-9a53-0b1f6f0d2e11"


def stand_in(place: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Have `python -m toolkit.cli.main` be a program with `body`."""
    program = place / "python"
    program.write_text(f"#!{sys.executable}\nimport json, os, signal, sys, time\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setattr(schedule_desk.sys, "executable", str(program))


def test_an_upgrade_is_the_command_of_a_person(
    desk: CommandDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        tmp_path,
        monkeypatch,
        'print(json.dumps({"error": {"message": json.dumps(sys.argv[1:])}})); sys.exit(8)',
    )
    ended = desk.upgrade("tiny", "v2", "schedule, window night", time.time() + 60, ROLLOUT)
    assert ended.code == 8
    words = json.loads(ended.message)
    assert words[:4] == ["-P", "-m", "toolkit.cli.main", "upgrade"]
    # A copy: a command remembers the names of the help option of its first context.
    typed = copy.copy(upgrade).make_context("upgrade", words[4:]).params
    told = {
        name: typed[name]
        for name in ("model", "version", "yes", "unattended", "as_json", "reason", "rollout")
    }
    assert told == {
        "model": "tiny", "version": "v2", "yes": True, "unattended": True, "as_json": True,
        "reason": "schedule, window night", "rollout": UUID(ROLLOUT),
    }  # fmt: skip


def undoing_once(ready: Path) -> str:
    """Return a program that says by the file `ready` that it hears SIGHUP, which has it undo and end with 130.

    Beside `ready` it then writes the file `undone`.
    """
    return (
        "from pathlib import Path\n"
        "def undo(*_):\n"
        f"    Path({str(ready.with_name('undone'))!r}).touch()\n"
        '    print(json.dumps({"error": {"message": "undone"}}), flush=True)\n'
        "    sys.exit(130)\n"
        "signal.signal(signal.SIGHUP, undo)\n"
        f"Path({str(ready)!r}).touch()\n"
        "time.sleep(60)"
    )


def test_the_end_of_the_window_interrupts_the_upgrade_once_and_waits_for_its_undoing(
    desk: CommandDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = tmp_path / "ready"
    stand_in(tmp_path, monkeypatch, undoing_once(ready))
    communicate = subprocess.Popen.communicate

    def once_ready(process: subprocess.Popen[str], *given: Any, **more: Any) -> Any:
        # A program that has just been started does not hear of the end yet.
        while not ready.exists() and process.poll() is None:
            time.sleep(0.01)
        return communicate(process, *given, **more)

    monkeypatch.setattr(subprocess.Popen, "communicate", once_ready)
    begun = time.monotonic()
    ended = desk.upgrade("tiny", "v2", "why", time.time() + 0.1, ROLLOUT)
    assert (ended.code, ended.message) == (130, "the window ended: undone")
    assert time.monotonic() - begun < 30


def test_an_upgrade_that_is_interrupted_before_it_listens_is_no_work_for_a_person(
    desk: CommandDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it loads, the signal itself ends it, and nothing is changed."""
    stand_in(tmp_path, monkeypatch, "time.sleep(60)")
    ended = desk.upgrade("tiny", "v2", "why", time.time() + 0.1, ROLLOUT)
    assert (ended.code, ended.message) == (130, "the window ended: interrupted")


def test_an_upgrade_that_is_killed_is_work_for_a_person_who_reads_why(
    desk: CommandDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the kernel, for want of memory."""
    stand_in(tmp_path, monkeypatch, "os.kill(os.getpid(), signal.SIGKILL)")
    ended = desk.upgrade("tiny", "v2", "why", time.time() + 60, ROLLOUT)
    assert (ended.code, ended.message) == (
        -9,
        "it was ended by signal 9; the next command ends its change",
    )


def test_a_clock_that_passes_the_end_of_the_window_at_once_interrupts_the_upgrade(
    desk: CommandDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that was asleep: no wait counts that time."""
    ready, until = tmp_path / "ready", time.time() + 3600
    stand_in(tmp_path, monkeypatch, undoing_once(ready))
    clock = SimpleNamespace(time=lambda: until + 8 * 3600 if ready.exists() else until - 3600)
    monkeypatch.setattr(schedule_desk, "time", clock)
    monkeypatch.setattr(schedule_desk, "_LOOK_SECONDS", 0.05)
    ended = desk.upgrade("tiny", "v2", "why", until, ROLLOUT)
    assert (ended.code, ended.message) == (130, "the window ended: undone")


def test_a_run_that_is_killed_takes_its_upgrade_along(
    desk: CommandDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by cron, where no unit ends what it has left behind; `nohup` keeps the run from a hang-up alone."""
    ready = tmp_path / "ready"
    stand_in(tmp_path, monkeypatch, undoing_once(ready))
    run = os.fork()
    if not run:
        with suppress(BaseException):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            desk.upgrade("tiny", "v2", "why", time.time() + 60, ROLLOUT)
        os._exit(0)
    until(ready.exists, 30)
    os.kill(run, signal.SIGKILL)
    assert os.waitpid(run, 0)[1] == signal.SIGKILL
    until(ready.with_name("undone").exists, 30)


def test_a_release_that_failed_a_gate_is_known_by_its_revision(desk: CommandDesk) -> None:
    assert desk.failures("tiny") == {}
    desk.history.add_release(release(1))
    desk.history.add_release(release(2))
    result = GateResult("canary", Verdict.FAILED, "5 % errors")
    desk.history.add_gate(GateRecord("tiny", 2, "gpu1", "r1", 1.0, result))
    assert desk.failures("tiny") == {release(2).revision: "canary: 5 % errors"}


def test_a_release_that_failed_is_known_by_the_revision_of_its_adapter_too(
    site: Site, desk: CommandDesk
) -> None:
    lines = f"    adapters:\n      sql: {{source: {{repo: acme/sql}}, revision: {'a' * 40}}}\n    versions:\n"
    text = site.shell.registry.read_text()
    site.shell.registry.write_text(text.replace("    versions:\n", lines))
    sql = ReleaseAdapter("sql", "acme/sql", "b" * 40, "c" * 64)
    desk.history.add_release(replace(release(1), adapters=(sql,)))
    desk.history.add_release(release(2))
    for number, words in ((1, "3 are lost"), (2, "5 % errors")):
        result = GateResult("answers of sql", Verdict.FAILED, words)
        desk.history.add_gate(GateRecord("tiny", number, "gpu1", "r1", 1.0, result))
    assert desk.failures("sql") == {"b" * 40: "answers of sql: 3 are lost"}
    # Nothing of the adapter is known yet: so long, and what its guard declares.
    assert desk.duration("sql") == 600.0
