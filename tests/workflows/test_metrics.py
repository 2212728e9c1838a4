"""The directory for Prometheus follows the fleet, once it is set up, and fails no command."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import click
import pytest

from tests.workflows.world import World, release
from toolkit.adapters.metrics_files import keep_setup, read_setup, write_files
from toolkit.adapters.schedule_record import ScheduleRecord, WindowRun
from toolkit.cli.changing.members import keep_metrics_current
from toolkit.domain.clients.use import Counted, UseRun
from toolkit.domain.deployment.schedule import Rule, Schedule, Upkeep, Window
from toolkit.domain.hosts.metrics import MetricsSetup, UsualObjectives
from toolkit.errors import HostError, InputError
from toolkit.workflows.fleet.metrics import (
    DIFFERENCE_TOLD,
    follow,
    keep_ops_figures,
    scraped,
    set_up,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, 2)
    made.deploy(release(1))
    for name, host in made.hosts.items():
        bind = f"10.0.0.{name[-1]}:8405"
        host.host = _bound(host.host, bind)
    return made


def _bound(host: Any, bind: str) -> Any:
    from dataclasses import replace

    return replace(host, router_metrics_bind=bind)


def releases(directory: Path) -> dict[tuple[str, str], str]:
    """Return the version in each slot, by host and slot, as Prometheus is told."""
    data = json.loads((directory / "targets" / "toolkit-replica.json").read_text())
    labels = [each["labels"] for each in data]
    return {(each["host"], each["slot"]): each["version"] for each in labels}


def test_the_targets_follow_the_hosts(world: World, tmp_path: Path) -> None:
    directory = tmp_path / "prometheus"
    hosts = list(world.hosts.values())
    done = set_up(tmp_path, MetricsSetup(str(directory), UsualObjectives(0.99, 3.0)), hosts)
    assert {"prometheus.yml", "targets/toolkit-replica.json"} <= set(done.changed)
    assert releases(directory) == {("gpu1", "blue"): "v1", ("gpu2", "blue"): "v1"}
    assert scraped(tmp_path, hosts).changed == ()
    world.deploy(release(2))
    assert scraped(tmp_path, hosts).changed == ("targets/toolkit-replica.json",)
    follow(tmp_path, hosts)
    assert releases(directory) == {
        ("gpu1", "blue"): "v1", ("gpu1", "green"): "v2",
        ("gpu2", "blue"): "v1", ("gpu2", "green"): "v2",
    }  # fmt: skip
    assert scraped(tmp_path, hosts).changed == ()
    kept = read_setup(tmp_path)
    assert kept is not None
    assert kept.objectives == UsualObjectives(0.99, 3.0)


def test_a_host_that_is_away_keeps_its_targets(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "prometheus"
    hosts = list(world.hosts.values())
    set_up(tmp_path, MetricsSetup(str(directory)), hosts)
    before = (directory / "targets" / "toolkit-replica.json").read_text()

    def away() -> None:
        raise HostError("gpu2: it does not answer")

    monkeypatch.setattr(world.hosts["gpu2"], "observe", away)
    follow(tmp_path, hosts)
    assert (directory / "targets" / "toolkit-replica.json").read_text() == before
    assert list(scraped(tmp_path, hosts).unreachable) == ["gpu2"]


def test_without_a_setup_nothing_is_written_and_show_says_how(world: World, tmp_path: Path) -> None:
    follow(tmp_path, list(world.hosts.values()))
    assert not (tmp_path / "targets").exists()
    with pytest.raises(InputError, match="no directory for Prometheus") as error:
        scraped(tmp_path, list(world.hosts.values()))
    assert error.value.hint == "toolkit metrics setup DIRECTORY"


# A setup with a value of a wrong kind.
WHOLE = {**asdict(MetricsSetup("/x")), "alertmanagers": []}
WRONG = tuple(
    json.dumps({**WHOLE, name: value})
    for name, value in (
        ("directory", 5),
        ("docs", None),
        ("objectives", {"availability": "x", "first_token": 2.0}),
        ("objectives", {"availability": float("nan"), "first_token": 2.0}),
    )
)


CUT = ("", "{", "[]", "null", "{}", '{"directory": "/x"}', '{"objectives": 1}', "[" * 100_000)


@pytest.mark.parametrize("text", [*CUT, *WRONG])
def test_a_damaged_setup_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(InputError, match="is damaged"):
        read_setup(tmp_path)


def test_files_are_replaced_whole_and_only_where_they_differ(tmp_path: Path) -> None:
    assert write_files(tmp_path, {"a/b": "1", "c": "2"}) == ("a/b", "c")
    former = (tmp_path / "c").stat()
    assert write_files(tmp_path, {"a/b": "3", "c": "2"}) == ("a/b",)
    assert (tmp_path / "c").stat().st_ino == former.st_ino
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o644
    assert sorted(each.name for each in (tmp_path / "a").iterdir()) == ["b"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_files(tmp_path / "file", {"x": ""})


@pytest.mark.parametrize("changes", [True, False])
def test_a_command_that_changes_something_brings_the_targets_up_to_date(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: bool
) -> None:
    directory = tmp_path / "prometheus"
    hosts = list(world.hosts.values())
    set_up(tmp_path, MetricsSetup(str(directory)), hosts)

    class Trail:
        head = object() if changes else None

    monkeypatch.setattr("toolkit.cli.changing.members.trail_now", Trail)
    with click.Context(click.Command("upgrade")):
        keep_metrics_current(tmp_path, hosts)
        world.deploy(release(2))
    assert (("gpu1", "green") in releases(directory)) is changes


def test_a_directory_that_cannot_be_written_is_a_warning(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hosts = list(world.hosts.values())
    set_up(tmp_path, MetricsSetup(str(tmp_path / "prometheus")), hosts)
    (tmp_path / "prometheus").rename(tmp_path / "moved")
    (tmp_path / "prometheus").write_text("a file")

    class Trail:
        head = object()

    monkeypatch.setattr("toolkit.cli.changing.members.trail_now", Trail)
    with click.Context(click.Command("upgrade")):
        keep_metrics_current(tmp_path, hosts)
    assert "the targets of Prometheus are not current" in capsys.readouterr().err


def _ops_text(directory: Path) -> str:
    text = (directory / "textfile" / "toolkit.prom").read_text()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    return text


def short_run(at: float, asked: int = 100, under_way: int = 0) -> UseRun:
    """Return a run whose records lack prompt tokens that its engine had counted at a time."""
    counted = Counted(asked, tokens_out=50, records_asked=90, records_out=50, open=under_way, at=at)
    return UseRun(
        "tiny-blue", "r", "tiny", "v1", 3, "e", 0.0, 1, 9, records=8, missing=1, asked=90,
        tokens_out=50, unknown=0, counted=counted,
    )  # fmt: skip


def test_what_the_ops_machine_knows(tmp_path: Path) -> None:
    directory = tmp_path / "prometheus"
    keep_setup(tmp_path, MetricsSetup(str(directory), schedule="schedule.yaml"))
    window = Window("nightly", time(2), 3600.0, "UTC", (0, 1, 2, 3, 4, 5, 6))
    schedule = Schedule({"nightly": window}, {"tiny": Rule("tiny", Upkeep.AUTO)})
    # Since midnight of a day: the opening of two o'clock ends at three.
    ScheduleRecord(tmp_path).since(86_400.0)
    run = short_run(datetime.now(UTC).timestamp())
    keep_ops_figures(tmp_path, lambda _: schedule, lambda: [run])
    text = _ops_text(directory)
    assert 'toolkit_schedule_due_timestamp_seconds{window="nightly"} 97200.0\n' in text
    assert 'toolkit_use_difference_tokens{model="tiny",version="v1",release="3"} 10.0\n' in text
    # With the run of that night, the next one is due.
    ScheduleRecord(tmp_path).begin(WindowRun("nightly", 86_400.0 + 7200, 93_700.0))
    keep_ops_figures(tmp_path, lambda _: schedule, lambda: [run])
    assert 'toolkit_schedule_due_timestamp_seconds{window="nightly"} 183600.0\n' in _ops_text(
        directory
    )


def test_a_difference_is_told_of_runs_at_rest_and_for_some_days(tmp_path: Path) -> None:
    keep_setup(tmp_path, MetricsSetup(str(tmp_path / "prometheus")))
    now = datetime.now(UTC).timestamp()
    run = short_run(now)
    killed = replace(short_run(now - 3600, asked=97, under_way=1), run="a")
    old = replace(short_run(now - DIFFERENCE_TOLD - 1), release=2)

    def told() -> list[str]:
        keep_ops_figures(tmp_path, lambda _: Schedule({}, {}), lambda: [killed, run, old])
        lines = _ops_text(tmp_path / "prometheus").splitlines()
        return [each for each in lines if each.startswith("toolkit_use_difference_tokens")]

    assert told() == ['toolkit_use_difference_tokens{model="tiny",version="v1",release="3"} 10.0']


def test_a_schedule_or_a_history_that_cannot_be_read_leaves_its_figures_out(tmp_path: Path) -> None:
    def broken(*_: object) -> Any:
        raise InputError("it cannot be read")

    directory = tmp_path / "prometheus"
    keep_ops_figures(tmp_path, broken, broken)
    assert not directory.exists()
    keep_setup(tmp_path, MetricsSetup(str(directory), schedule="schedule.yaml"))
    keep_ops_figures(tmp_path, broken, broken)
    text = _ops_text(directory)
    assert "toolkit_ops_written_timestamp_seconds" in text
    assert "toolkit_schedule" not in text
