"""A replica that hangs is told from one that works, waits or has nothing to do, and is ended."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, Lab, closed_port, free_port, lab, router_view, until
from tests.pace import Pace
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import completion
import hang
import processes
import replica


def looks(seconds: int, **changes: Any) -> list[hang.Look]:
    """Return a look for each second; a value that is a function gets the second."""
    base: dict[str, Any] = {"requests": 2, "marks": 7, "effort": 0.0, "load": 0, "probe": "waiting"}
    return [
        hang.Look(
            float(at),
            **{
                name: value(at) if callable(value) else value
                for name, value in {**base, **changes}.items()
            },
        )
        for at in range(seconds)
    ]


@pytest.mark.parametrize(
    ("seen", "since"),
    [
        pytest.param(looks(40), 8, id="frozen, with gauges that stand at 0"),
        pytest.param(looks(40, load=3), 8, id="frozen, with gauges that stand at 3"),
        pytest.param(looks(40, marks=None), 8, id="it answers no metrics either"),
        pytest.param(looks(40, effort=0.15), 8, id="a worker that waits for the core"),
        pytest.param(looks(40, requests=0), None, id="nothing is asked"),
        pytest.param(looks(40, marks=lambda at: at), None, id="tokens flow"),
        pytest.param(looks(40, marks=lambda at: at // 5), None, id="a token in five seconds"),
        pytest.param(looks(40, effort=2.0), None, id="a long prefill or a compilation"),
        pytest.param(looks(40, effort=0.9), None, id="on a processor that is taken"),
        pytest.param(looks(40, probe="answered"), None, id="a slow upload"),
        pytest.param(looks(40, probe=""), None, id="before the probe is sent"),
        pytest.param(looks(40, probe="refused"), None, id="a model that answers no probe"),
        pytest.param(looks(80, effort=2.0), 60, id="it computes for ever"),
        pytest.param(looks(80, effort=2.0, probe="refused", load=1), 60, id="as does this one"),
        pytest.param(looks(80, effort=2.0, probe="refused"), None, id="an upload to that model"),
        pytest.param(looks(9) + looks(4, requests=0), 8, id="until it is ended"),
    ],
)  # fmt: skip
def test_a_replica_hangs_from_the_first_look_that_shows_it(
    seen: list[hang.Look], since: int | None
) -> None:
    judge = hang.Judge(hang=8, stall=60)
    found = [look.at for look in seen if judge.verdict(look)]
    assert (found[0] if found else None) == since


def test_a_clock_starts_with_the_first_open_request() -> None:
    judge = hang.Judge(hang=8, stall=60)
    idle = [hang.Look(float(at), 0) for at in range(100)]
    asked = [hang.Look(float(at), 1, 7, 0.0, 0, "waiting") for at in range(100, 110)]
    assert [look.at for look in [*idle, *asked] if judge.verdict(look)] == [107.0, 108.0, 109.0]


@dataclass
class Running:
    """An engine of two processes in the slot blue behind a router; `core` is the one that computes."""

    router: Lab
    port: int
    process: subprocess.Popen[str]
    core: int

    @property
    def request(self) -> dict[str, Any]:
        return {
            "root": str(self.router.root),
            "program": "tiny-blue",
            "model": "tiny",
            "slot": "blue",
            "port": self.port,
            "hang": 1.0,
            "stall": 30.0,
        }

    def ask(self, work: float, count: int = 1) -> list[Any]:
        """Ask through the router in `count` threads; the list gets each answer."""
        answers: list[Any] = []

        def ask() -> None:
            # The end of the router at the end of a test cuts what is left.
            with contextlib.suppress(OSError, http.client.HTTPException):
                asked = self.router.ask("/v1/completions", {"model": "tiny", "work": work})
                answers.append(asked[0])

        before = self.requests()
        for _ in range(count):
            threading.Thread(target=ask, daemon=True).start()
        until(lambda: self.requests() == before + count or len(answers) == count)
        return answers

    def requests(self) -> int:
        return router_view.sessions(str(self.router.root), "tiny", "blue")


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    port = free_port()
    argv = [sys.executable, str(Path(__file__).with_name("hanging_engine.py")), str(port)]
    routes = with_model(Routes(), "tiny", (Target("blue", port, 100),), created=1)
    with (
        lab(routes=routes) as router,
        subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout
        core = int(process.stdout.readline().split()[1])
        try:
            release = {"args": [], "version": "v1", "number": 1}
            manifest = {"model": "tiny", "slot": "blue", "port": port, "release": release}
            slot = router.root / "slots/tiny-blue"
            slot.mkdir(parents=True)
            (slot / "manifest.json").write_text(json.dumps(manifest))
            router.up("tiny", "blue")
            state = {"state": "running", "pid": process.pid, "started_at": 0.0}
            monkeypatch.setattr(processes, "state", lambda *_: state)
            monkeypatch.setattr(processes, "init_system", lambda: "systemd")
            yield Running(router, port, process, core)
        finally:
            process.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(core, signal.SIGKILL)


def test_a_model_has_its_own_limits(tmp_path: Path) -> None:
    assert hang.limits(str(tmp_path), "tiny", 8.0, 600.0) == (8.0, 600.0)
    (tmp_path / "watch").mkdir()
    told = {"models": {"tiny": {"hang": 20, "stall": 1800}, "big": {"stall": 900}}, "idle": 60.0}
    (tmp_path / "watch/limits.json").write_text(json.dumps(told))
    assert hang.limits(str(tmp_path), "tiny", 8.0, 600.0) == (20.0, 1800.0)
    assert hang.limits(str(tmp_path), "big", 8.0, 600.0) == (8.0, 900.0)
    assert hang.limits(str(tmp_path), "other", 8.0, 600.0) == (8.0, 600.0)
    assert hang.idle_seconds(str(tmp_path)) == 60.0


@pytest.mark.parametrize(
    "told",
    [5, {"models": 5}, {"models": {"tiny": 5}, "idle": []}, {"models": {"tiny": {"hang": "x"}}}],
)
def test_limits_that_cannot_be_read_are_the_usual_ones(tmp_path: Path, told: object) -> None:
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch/limits.json").write_text(json.dumps(told))
    assert hang.limits(str(tmp_path), "tiny", 8.0, 600.0) == (8.0, 600.0)
    assert hang.idle_seconds(str(tmp_path)) == 0.0


def test_an_idle_replica_that_hangs_is_known_before_a_client_meets_it(running: Running) -> None:
    root = str(running.router.root)
    watched = hang.Watched(root, "tiny-blue", running.port, 60.0, 60.0, idle=0.2)
    quiet = hang.Watched(root, "tiny-blue", running.port, 1.0, 30.0)
    answered = 0

    def three_answered() -> bool:
        nonlocal answered
        assert watched.look(0, 0) == ""
        answered += watched._probe is not None and watched.heard(60)
        return answered == 3

    until(three_answered)
    os.kill(running.core, signal.SIGSTOP)
    watched = hang.Watched(root, "tiny-blue", running.port, 1.0, 30.0, idle=0.2)
    found = until(lambda: watched.look(0, 0))
    assert found.startswith("it was idle and answered no request of one token: ")
    assert quiet.look(0, 0) == ""


@pytest.fixture
def deaf_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang, "DEAF", 0.2)
    monkeypatch.setattr(hang, "_ASK", 0.01)


@pytest.mark.usefixtures("deaf_at_once")
def test_an_idle_replica_that_answers_not_even_its_health_hangs(running: Running) -> None:
    """The router sends it nothing any more, so no request would show it."""
    watched = hang.Watched(str(running.router.root), "tiny-blue", running.port, 0.1, 30.0)
    until(lambda: watched.look(0, 0) == "" and watched._ready)
    for each in processes.tree(running.process.pid):
        os.kill(each, signal.SIGSTOP)
    assert until(lambda: watched.look(0, 0)).startswith(
        "it was idle, and neither answered its health nor did anything for "
    )


@pytest.mark.usefixtures("deaf_at_once")
@pytest.mark.parametrize("why", ["it was never ready", "it dozes", "it works", "it began anew"])
def test_what_owes_no_answer_is_not_deaf(
    running: Running, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    watched = hang.Watched(str(running.router.root), "tiny-blue", running.port, 0.1, 30.0)
    if why != "it was never ready":
        until(lambda: watched.look(0, 0) == "" and watched._ready)
    monkeypatch.setattr(completion, "healthy", lambda *_: False)
    if why == "it dozes":
        monkeypatch.setattr("doze.dozes", lambda *_: True)
    if why == "it works":
        monkeypatch.setattr(watched, "_effort", lambda *_, **__: 1.0)
    if why == "it began anew":
        watched._ready += 1
    for _ in range(50):
        assert watched.look(0, 0) == ""
        time.sleep(0.02)


def test_a_replica_that_starts_is_not_asked_while_it_is_idle(tmp_path: Path) -> None:
    with closed_port() as port:
        watched = hang.Watched(str(tmp_path), "tiny-blue", port, 0.1, 30.0, idle=0.01)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert watched.look(0, 0) == ""
            time.sleep(0.02)
    assert not watched.asking


def test_a_hung_replica_is_not_drained_for_long_and_ends(running: Running, pace: Pace) -> None:
    answers = running.ask(0.0)
    until(lambda: answers == [200])
    os.kill(running.core, signal.SIGSTOP)
    answers = running.ask(0.0, count=3)
    started = pace()
    done = replica.drain({**running.request, "timeout": 900}, lambda _: None)
    assert pace() - started < 4
    assert (done["drained"], done["left"]) == (False, 3)
    assert done["reason"].startswith("it hangs: 3 requests are open, and it did nothing for ")
    assert running.process.wait(60) == -signal.SIGKILL
    # its clients hear of it at once
    ended = pace()
    until(lambda: answers == [504, 504, 504])
    assert pace() - ended < 2
    record = json.loads((running.router.root / "watch/tiny-blue.json").read_text())
    assert record["why"] == done["reason"].removeprefix("it hangs: ")


def test_moments_for_which_a_process_wakes_up_are_no_effort(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that waits for a frozen core: each second it runs, or waits for a processor, for a tenth of one."""
    os.kill(running.core, signal.SIGSTOP)
    running.ask(0.0)
    begun = time.monotonic()

    def run_times(*_: object, **__: object) -> dict[int, processes.ThreadTimes]:
        passed = time.monotonic() - begun
        return {running.core: {"1": (0.0, int(passed) * 0.1 + min(passed % 1, 0.1))}}

    monkeypatch.setattr(processes, "run_times", run_times)
    done = replica.drain({**running.request, "hang": 4.0, "timeout": 12}, lambda _: None)
    assert done["reason"].startswith("it hangs: 1 request is open, and it did nothing for ")


def test_a_long_prefill_is_waited_for(running: Running) -> None:
    answers = running.ask(3.0)
    done = replica.drain({**running.request, "hang": 2.0, "timeout": 900}, lambda _: None)
    assert (done["drained"], answers) == (True, [200])


def computes(pid: int) -> bool:
    """Whether a process has a processor, or waits for one."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"


def test_a_server_that_stands_still_is_not_waited_for_while_its_engine_computes(
    running: Running, pace: Pace
) -> None:
    running.ask(600)
    until(lambda: computes(running.core))
    os.kill(running.process.pid, signal.SIGSTOP)
    started = pace()
    done = replica.drain({**running.request, "hang": 2.0, "timeout": 900}, lambda _: None)
    assert pace() - started < 10
    assert done["reason"].startswith("it hangs: 1 request is open, and it did nothing for ")
    assert computes(running.core)


class Heard(hang.Probe):
    """A probe that has its answer before the next look, however slow the machine is."""

    answers = 0

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        assert self.told.wait(60)
        Heard.answers += self.state == "answered"


def test_a_slow_upload_is_no_hang(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang, "Probe", Heard)
    monkeypatch.setattr(Heard, "answers", 0)
    with socket.create_connection(("127.0.0.1", running.router.port)) as raw:
        head = "POST /m/tiny/v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n{"
        raw.sendall(head.encode())
        until(lambda: running.requests() == 1)
        done = replica.drain({**running.request, "hang": 0.5, "timeout": 2}, lambda _: None)
        assert (done["drained"], done["left"], done["reason"]) == (False, 1, "")
    assert Heard.answers > 0
    assert running.process.poll() is None


def test_a_bake_sees_a_hang_with_traffic_and_without(running: Running) -> None:
    bake = {**running.request, "seconds": 1.0}
    assert replica.watch({**bake, "hang": 60.0}, lambda _: None) == {
        "ok": True,
        "reason": "",
        "log": [],
    }
    os.kill(running.core, signal.SIGSTOP)
    # without traffic, only the request at the end tells
    found = replica.watch({**bake, "hang": 1.0}, lambda _: None)
    assert (found["ok"], found["reason"]) == (
        False,
        "it hangs: it did not answer a request of one token within 1 s",
    )


def test_a_bake_with_traffic_ends_at_the_hang(running: Running, pace: Pace) -> None:
    os.kill(running.core, signal.SIGSTOP)
    running.ask(0.0, count=2)
    started = pace()
    found = replica.watch({**running.request, "seconds": 60.0}, lambda _: None)
    assert pace() - started < 4
    assert found["reason"].startswith("it hangs: 2 requests are open, and it did nothing for ")
