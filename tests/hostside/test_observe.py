"""What one look at a host says of a replica on a device."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.planning.facts import release

HOSTSIDE = Path(__file__).parents[2] / "toolkit" / "hostside"
MIB = 2**20
# The first line as recorded on an H100, with the column of what the driver keeps.
TOOL = """\
#!/bin/sh
echo "$*" >>{log}
case "$*" in
*compute-apps*) printf '%s, 21540\\n1, 660\\n' {pid} ;;
*) {said} ;;
esac
"""
H100 = 'echo "0, NVIDIA H100 80GB HBM3, 81559, 59539, 580.159.04, 39, 0, No, No, 480, Disabled"'


@pytest.fixture
def observe(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(HOSTSIDE))
    module = importlib.import_module("observe")
    monkeypatch.setattr(
        module.processes,
        "state",
        lambda *_: {"state": "running", "pid": os.getpid(), "started_at": 1.0},
    )
    yield module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(HOSTSIDE)):
            del sys.modules[name]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a stand-in for the driver's tool is asked, a line each time."""
    path, programs = tmp_path / "asked", tmp_path / "bin"
    programs.mkdir()
    tool = programs / "nvidia-smi"
    tool.write_text(TOOL.format(log=path, pid=os.getpid(), said=H100))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    path.touch()
    return path


def root(place: Path, *devices: list[int]) -> str:
    """Return a root with a slot for each list of devices."""
    for slot, held in zip(("blue", "green"), devices, strict=False):
        manifest: dict[str, Any] = {"model": "tiny", "slot": slot, "port": 1, "devices": held}
        manifest["release"] = replace(release(1), args=()).as_json()
        directory = place / "root" / "slots" / f"tiny-{slot}"
        directory.mkdir(parents=True)
        (directory / "manifest.json").write_text(json.dumps(manifest))
    (place / "root").mkdir(exist_ok=True)
    return str(place / "root")


def test_replicas_on_devices_are_looked_up_once(
    observe: ModuleType, log: Path, tmp_path: Path
) -> None:
    blue, green = observe.observe(root(tmp_path, [0], [0]))["slots"]
    # The other process is none of a replica.
    assert blue["device_memory"] == green["device_memory"] == 21_540 * MIB
    assert log.read_text().count("compute-apps") == 1


def test_where_no_replica_is_on_a_device_nobody_is_asked(
    observe: ModuleType, log: Path, tmp_path: Path
) -> None:
    (slot,) = observe.observe(root(tmp_path, []))["slots"]
    assert slot["device_memory"] is None
    assert slot["memory"] > 0
    assert "compute-apps" not in log.read_text()


def test_a_driver_that_says_nothing_of_its_devices_is_not_asked_for_their_replicas(
    observe: ModuleType, log: Path, tmp_path: Path
) -> None:
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.write_text(TOOL.format(log=log, pid=1, said="exit 9"))
    seen = observe.observe(root(tmp_path, [0]))
    assert (seen["devices"], seen["slots"][0]["device_memory"]) == ([], None)
    # Where it hangs, each question takes 20 s.
    assert "compute-apps" not in log.read_text()


def test_the_processes_of_the_host_are_read_once_for_each_slot(
    observe: ModuleType, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, children = [], observe.processes.children
    monkeypatch.setattr(observe.processes, "children", lambda: read.append(1) or children())
    slots = observe.observe(root(tmp_path, [0], [0]))["slots"]
    assert [each["memory"] > 0 for each in slots] == [True, True]
    # A host may have thousands of them.
    assert len(read) == len(slots)


@pytest.mark.parametrize(("ready", "times"), [(True, 1), (False, 2)])
def test_the_memory_of_a_replica_that_is_ready_is_not_read_again_at_once(
    observe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ready: bool, times: int
) -> None:
    read: list[int] = []
    monkeypatch.setattr(observe.completion, "healthy", lambda *_: ready)
    monkeypatch.setattr(observe.processes, "resident", lambda *_: read.append(1) or 5 * MIB)
    place = root(tmp_path, [])
    # A change looks twice before it acts, and the kernel walks through all pages of a replica each time.
    found = [observe.observe(place)["slots"][0]["memory"] for _ in range(2)]
    assert (found, len(read)) == ([5 * MIB] * 2, times)


def test_the_memory_of_a_replica_is_read_again_after_some_seconds_and_of_another_process(
    observe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, identity = iter((5, 6, 7)), iter(("boot 1 1", "boot 1 1", "boot 2 2"))
    monkeypatch.setattr(observe.completion, "healthy", lambda *_: True)
    monkeypatch.setattr(observe.processes, "resident", lambda *_: next(sizes))
    monkeypatch.setattr(observe.processes, "started", lambda *_: next(identity))
    place = root(tmp_path, [])
    assert observe.observe(place)["slots"][0]["memory"] == 5
    monkeypatch.setattr(observe, "_FRESH_SECONDS", 0.0)
    assert observe.observe(place)["slots"][0]["memory"] == 6
    monkeypatch.setattr(observe, "_FRESH_SECONDS", 60.0)
    assert observe.observe(place)["slots"][0]["memory"] == 7


# What only changes and the watch need takes as long to load as a look takes.
NEVER = ("http.client", "random", "reweigh", "router", "tempfile", "warmth", "watch")


def test_a_look_loads_nothing_that_only_changes_and_the_watch_need() -> None:
    program = f"""
import subprocess
import sys
sys.path.insert(0, {str(HOSTSIDE)!r})
import conversation, observe
print(*[each for each in {NEVER} if each in sys.modules])
"""
    argv = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_room_for_temporary_files_is_that_of_their_usual_place(
    observe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full place makes `tempfile` take another one, whose room says nothing."""
    asked = []

    def room(path: str) -> Any:
        asked.append(path)
        return observe.disks.Room(7, 8, None, False)

    monkeypatch.setattr(observe.disks, "_of", room)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "full"))
    assert observe.disks.free_for_temporary() == 7
    monkeypatch.delenv("TMPDIR")
    assert observe.disks.free_for_temporary() == 7
    assert asked == [str(tmp_path / "full"), "/tmp"]
