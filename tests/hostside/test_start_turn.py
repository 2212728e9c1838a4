"""Replicas that share a device start one after the other: tables of claims, and two that begin at the same moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import completion
import processes
import start_check
import start_turn
import tree_check
from start_turn import BEGUN, LONGEST, Claim

ONE, TWO, BOTH = frozenset({0}), frozenset({1}), frozenset({0, 1})


def claim(
    devices: frozenset[int] = ONE, age: float = 60, *, runs: bool = True, ready: bool = False
) -> Claim:
    return Claim("a-blue", devices, 0, True, age, runs, ready)


@pytest.mark.parametrize(
    ("claims", "waits_for"),
    [
        pytest.param([], "", id="nobody starts"),
        pytest.param([claim()], "a-blue", id="one loads its weights"),
        pytest.param([claim(BOTH)], "a-blue", id="one on two devices"),
        pytest.param([claim(TWO)], "", id="on another device"),
        pytest.param([claim(ready=True)], "", id="it is ready"),
        pytest.param([claim(age=1, runs=False)], "a-blue", id="its process is about to begin"),
        pytest.param([claim(age=BEGUN, runs=False)], "", id="it died"),
        pytest.param([claim(age=LONGEST)], "", id="it never gets ready"),
        pytest.param([Claim("b-blue", ONE, 90, False, 1)], "b-blue", id="one has waited for longer"),
        pytest.param([Claim("b-blue", ONE, 110, False, 1)], "", id="one has come later, such as a crashed one"),
        pytest.param([Claim("b-blue", ONE, 90, False, BEGUN)], "", id="one was ended while it waited"),
        pytest.param([claim(ready=True), Claim("b-green", ONE, 0, True, 5, True)], "b-green", id="the second one"),
    ],
)  # fmt: skip
def test_whom_a_replica_on_device_0_waits_for(claims: list[Claim], waits_for: str) -> None:
    assert start_turn.before(ONE, 100, claims) == waits_for


class Ground:
    """A host's slots. `ready` are the ports that answer, `running` the programs that run."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.ready, self.running = root, set[int](), set[str]()
        self.began: list[str] = []
        patch.setattr(start_turn, "_PAUSE", 0.02)
        patch.setattr(tree_check, "wrong_files", lambda *_: ())
        patch.setattr(completion, "healthy", lambda port, _: port in self.ready)
        patch.setattr(
            processes,
            "state",
            lambda _, name: {"state": "running" if name in self.running else "failed"},
        )

    def slot(self, program: str, port: int, *devices: int, **release: object) -> None:
        directory = self.root / "slots" / program
        directory.mkdir(parents=True)
        text = json.dumps(
            {"port": port, "devices": devices, "release": {"snapshot": "s", **release}}
        )
        (directory / "manifest.json").write_text(text)

    def start(self, program: str) -> threading.Thread:
        """Ask for its turn as its process supervisor does; then it runs."""

        def begin() -> None:
            assert start_check.main([str(self.root), program]) == 0
            self.running.add(program)
            self.began.append(program)

        thread = threading.Thread(target=begin, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    return Ground(tmp_path, monkeypatch)


def test_two_that_begin_at_the_same_moment_start_in_turn(
    ground: Ground, capfd: pytest.CaptureFixture[str]
) -> None:
    ports = {"a-blue": 1, "b-blue": 2}
    for program, port in ports.items():
        ground.slot(program, port, 0)
    threads = [ground.start(each) for each in ports]
    _until(lambda: bool(ground.began))
    said = ""

    def waits() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return "waiting until" in said

    _until(waits)
    time.sleep(0.2)
    (first,) = ground.began
    ground.ready.add(ports[first])
    for each in threads:
        each.join(60)
    assert sorted(ground.began) == ["a-blue", "b-blue"]
    said += capfd.readouterr().err
    assert f"waiting until {first}, which starts on the same device, is ready" in said


@pytest.mark.parametrize(
    ("devices", "more"), [((1,), {}), ((), {}), ((0,), {"span": {"hosts": []}})],
    ids=["another device", "no device", "over several hosts"],
)  # fmt: skip
def test_who_shares_no_device_waits_for_nobody(
    ground: Ground, devices: tuple[int, ...], more: dict[str, object]
) -> None:
    ground.slot("a-blue", 1, 0)
    ground.slot("b-blue", 2, *devices, **more)
    for each in ("a-blue", "b-blue"):
        ground.start(each).join(60)
    assert ground.began == ["a-blue", "b-blue"]


def test_a_claim_of_before_the_boot_is_none(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.slot("a-blue", 1, 0)
    ground.slot("b-blue", 2, 0)
    monkeypatch.setattr(processes, "boot", lambda: "the boot before")
    ground.start("a-blue").join(60)
    monkeypatch.setattr(processes, "boot", lambda: "this boot")
    ground.start("b-blue").join(60)
    assert ground.began == ["a-blue", "b-blue"]


def test_nobody_waits_for_what_waits_in_the_place_of_a_replica_that_rests(ground: Ground) -> None:
    """After a boot it has taken its turn, and runs without ever getting ready."""
    ground.slot("a-blue", 1, 0)
    ground.slot("b-blue", 2, 0)
    mark = ground.root / "watch/asleep/a-blue"
    mark.parent.mkdir(parents=True)
    ended = subprocess.Popen(["true"])
    mark.write_text(processes.identity(ended.pid))
    ended.wait()
    ground.start("a-blue").join(60)
    ground.start("b-blue").join(60)
    assert ground.began == ["a-blue", "b-blue"]
    # One that has been marked and still runs may still measure.
    ground.slot("c-blue", 3, 0)
    ground.ready.add(2)
    mark.write_text(processes.identity(os.getpid()))
    claims = start_turn._claims(str(ground.root), "c-blue")
    assert start_turn.before(ONE, time.clock_gettime(time.CLOCK_BOOTTIME), claims) == "a-blue"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("start.json", '{"boot": "b"}'),
        ("start.json", '{"boot": "b", "since": [], "turn": true, "at": 1}'),
        ("manifest.json", '{"devices": 5}'),
        ("manifest.json", '{"devices": [[]], "port": "x"}'),
        ("manifest.json", '{"devices": [0], "port": "x", "signs": 5}'),
    ],
)
def test_what_is_damaged_in_another_slot_keeps_nobody_from_starting(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, file: str, text: str
) -> None:
    monkeypatch.setattr(processes, "boot", lambda: "b")
    ground.slot("a-blue", 1, 0)
    ground.slot("b-blue", 2, 0)
    ground.start("a-blue").join(60)
    assert ground.began == ["a-blue"]
    assert (ground.root / "slots/a-blue" / start_turn.FILE).exists()
    (ground.root / "slots/a-blue" / (start_turn.FILE if file == "start.json" else file)).write_text(
        text
    )
    ground.start("b-blue").join(60)
    assert ground.began == ["a-blue", "b-blue"]


def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        time.sleep(0.01)
