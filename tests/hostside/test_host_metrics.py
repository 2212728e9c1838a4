"""What a host tells Prometheus of itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.planning.rendered import render_files
from toolkit.planning.routing.routes import Route, Routes, Sleep, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import host_metrics

ALPHA, BETA = ("alpha", "10.0.0.1:8090"), ("beta", "10.0.0.2:8090")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host of two, whose blue slot serves and whose green one stands by."""
    routes = Routes(
        (
            Route(
                "tiny",
                (
                    Target("blue", 8100, 100, *ALPHA),
                    Target("green", 8101, 0, *ALPHA, standby=True),
                    Target("blue", 8100, 100, *BETA),
                    Target("green", 8101, 0, *BETA, withdrawn=True),
                ),
                created=1,
                hold=30,
            ),
        ),
        serial=1,
    )
    (tmp_path / "router").mkdir()
    for name, text in render_files(routes, "alpha").items():
        (tmp_path / "router" / name).write_text(text)
    for slot, number in (("blue", 3), ("green", 2)):
        _place(tmp_path, slot, {"number": number, "version": f'v"{number}', "snapshot": "s"})
    return tmp_path


def _place(root: Path, slot: str, release: Any) -> None:
    there = root / "slots" / f"tiny-{slot}"
    there.mkdir(parents=True)
    manifest = {"model": "tiny", "slot": slot, "port": 8100, "release": release}
    (there / "manifest.json").write_text(json.dumps(manifest))
    (there / "files.json").write_text("{}")


def told(root: Path) -> dict[str, float]:
    """Return {sample: value} of the file that the watch writes, after Prometheus's own check of it."""
    assert host_metrics.HostMetrics(str(root)).look() == []
    text = (root / "router" / "host.prom").read_text()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_slots_and_their_releases(root: Path) -> None:
    found = told(root)
    assert found['toolkit_slot_info{model="tiny",slot="blue",release="3",version="v\\"3"}'] == 1
    assert found['toolkit_slot_weight{model="tiny",slot="blue"}'] == 100
    assert found['toolkit_slot_standby{model="tiny",slot="green"}'] == 1
    assert found['toolkit_slot_withdrawn{model="tiny",slot="green"}'] == 0
    assert found['toolkit_slot_asleep{model="tiny",slot="blue"}'] == 0
    # Of all hosts, one slot stands by; each host tells of its own slots.
    assert found['toolkit_model_standbys{model="tiny"}'] == 1
    assert found['toolkit_model_targets{model="tiny"}'] == 4
    # Its hold is armed, since a slot has a weight: an outage meanwhile is one.
    assert found['toolkit_model_held_seconds{model="tiny"}'] == 0
    path = root / "router" / "routes.json"
    path.write_text(path.read_text().replace('"weight": 100', '"weight": 0'))
    assert told(root)['toolkit_model_held_seconds{model="tiny"}'] == 30
    assert len([name for name in found if name.startswith("toolkit_slot_weight")]) == 2


def test_a_slot_whose_engine_is_another_hosts_is_told(root: Path) -> None:
    follows = 'toolkit_slot_follows{model="tiny",slot="blue"}'
    span = root / "slots" / "tiny-blue" / "span.json"
    assert follows not in told(root)
    span.write_text('{"rank": 0}')
    assert follows not in told(root)
    span.write_text('{"rank": 1}')
    assert told(root)[follows] == 1


def test_the_slots_of_a_model_that_sleeps_on_this_host(root: Path) -> None:
    """The other host has it awake: models that share devices in turn sleep on some hosts only."""
    targets = (Target("blue", 8100, 0, *ALPHA, asleep="serving"), Target("blue", 8100, 100, *BETA))
    routes = Routes((Route("tiny", targets, created=1, sleep=Sleep("1f", "wait", 60)),), serial=2)
    for name, text in render_files(routes, "alpha").items():
        (root / "router" / name).write_text(text)
    found = told(root)
    assert found['toolkit_model_asleep{model="tiny"}'] == 1
    assert found['toolkit_slot_asleep{model="tiny",slot="blue"}'] == 1
    assert found['toolkit_slot_weight{model="tiny",slot="blue"}'] == 0


@pytest.mark.parametrize(
    ("wished", "sleep", "elsewhere", "kept"),
    [
        ({"tiny"}, Sleep("1f", "wait", 60), 0, 1),
        (set(), Sleep("1f", "wait", 60), 0, 0),
        # It has begun to wake; a request wakes nothing; another host has it awake.
        ({"tiny"}, Sleep("1f", "wait", 60, due=9), 0, 0),
        ({"tiny"}, Sleep("1f", "refuse", 60), 0, 0),
        ({"tiny"}, Sleep("1f", "wait", 60), 100, 0),
    ],
)
def test_a_model_that_is_wanted_and_does_not_begin_to_wake(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    wished: set[str],
    sleep: Sleep,
    elsewhere: int,
    kept: int,
) -> None:
    monkeypatch.setattr(host_metrics.warmth, "wished", lambda _: wished)
    beta = Target("blue", 8100, elsewhere, *BETA, asleep="" if elsewhere else "serving")
    targets = (Target("blue", 8100, 0, *ALPHA, asleep="serving"), beta)
    routes = Routes((Route("tiny", targets, created=1, sleep=sleep),), serial=2)
    for name, text in render_files(routes, "alpha").items():
        (root / "router" / name).write_text(text)
    assert told(root)['toolkit_model_kept_asleep{model="tiny"}'] == kept


def test_every_figure_has_its_words(root: Path) -> None:
    names = {name for name, _, _ in host_metrics.figures(str(root))} | {"toolkit_drift_files"}
    assert names <= set(host_metrics._NAMES)


def test_a_hang_an_open_deployment_and_drift(root: Path) -> None:
    before = told(root)
    assert before["toolkit_deployment_open"] == before["toolkit_drift_files"] == 0
    assert not any(name.startswith("toolkit_slot_hung") for name in before)
    host_metrics.hang.record(str(root), "tiny-blue", "no step for 8 s")
    (root / "deployment.json").write_text('{"rollout": "r"}')
    (root / "slots" / "tiny-blue" / "run").write_text("changed")
    digests = {str(root / "slots" / "tiny-blue" / "run"): "0" * 64}
    (root / "slots" / "tiny-blue" / "files.json").write_text(json.dumps(digests))
    after = told(root)
    assert (
        abs(after['toolkit_slot_hung_timestamp_seconds{model="tiny",slot="blue"}'] - time.time())
        < 60
    )
    assert after["toolkit_deployment_open"] == after["toolkit_drift_files"] == 1
    assert after["toolkit_deployment_runs"] == 0
    assert after["toolkit_disk_free_bytes"] <= after["toolkit_disk_size_bytes"]


@pytest.mark.parametrize("damage", ["", "{", '{"release": 1}', '{"release": {}}', "[]"])
def test_a_slot_that_cannot_be_read_hides_nothing_else(root: Path, damage: str) -> None:
    (root / "slots" / "tiny-blue" / "manifest.json").write_text(damage)
    found = told(root)
    assert 'toolkit_slot_info{model="tiny",slot="green",release="2",version="v\\"2"}' in found


def test_the_end_of_the_certificate(root: Path, tmp_path: Path) -> None:
    pair = tmp_path / "pair.pem"
    made = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7", "-subj", "/CN=x",
        "-keyout", str(tmp_path / "key"), "-out", str(pair),
    ]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    assert host_metrics.certificate_end(str(root)) is None
    (root / "router" / "haproxy.cfg").write_text(f"bind :443 ssl crt {pair} alpn h2\n")
    ends = host_metrics.certificate_end(str(root))
    assert ends is not None
    assert abs(ends - time.time() - 7 * 86400) < 3600
    pair.write_text("none")
    assert host_metrics.certificate_end(str(root)) is None


def test_it_is_written_every_ten_seconds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(host_metrics.time, "monotonic", lambda: clock[0])
    metrics = host_metrics.HostMetrics(str(root))
    file = root / "router" / "host.prom"
    seen = []
    for passed in (0.0, 5.0, 5.0):
        clock[0] += passed
        metrics.look()
        written = re.search(
            r"^toolkit_host_written_timestamp_seconds (\S+)$", file.read_text(), re.M
        )
        assert written is not None
        seen.append(written.group(1))
    assert seen[0] == seen[1] != seen[2]


def test_the_disk_that_is_told_is_the_one_with_the_least_share_free(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snapshots may lie on a disk of their own: a large one with more bytes free than the root, and nearly full."""
    known = {"": (60, 100, 7), "snapshots": (500, 10_000, None), "engines": (50, 80, 3)}

    def room(path: str) -> Any:
        free, total, files = known["" if path.rstrip("/") == str(root) else Path(path).name]
        return host_metrics.disks.Room(free, total, files, False)

    monkeypatch.setattr(host_metrics.disks, "_of", room)
    found = told(root)
    assert (found["toolkit_disk_free_bytes"], found["toolkit_disk_size_bytes"]) == (500, 10_000)
    assert found["toolkit_disk_free_files"] == 3
    # A plan needs bytes: the least of them count.
    assert host_metrics.disks.of_root(str(root)) == (50, 80, 3, False, False)
