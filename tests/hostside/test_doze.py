"""A replica dozes, wakes or is ended, with real processes; and what else runs on the host leaves it alone meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.host_lab import STATES, STUB, WAYS
from tests.hostside.router_lab import REPO, free_port, until
from tests.recorder.conftest import FILES

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import completion
import doze
import memory
import processes
import resting
import start_turn
import takeover
import warmth

PROGRAM = "tiny-blue"
LONG = 60.0


class Replica:
    """The stand-in of an engine in a slot, as its process supervisor starts it, which starts it again where it ends."""

    def __init__(self, root: Path, behaviour: str, patch: pytest.MonkeyPatch) -> None:
        self.root, self.port = root, free_port()
        self.home, self.slot = root / f"caches/{PROGRAM}", root / f"slots/{PROGRAM}"
        self.home.mkdir(parents=True)
        (self.slot / "snapshot").mkdir(parents=True)
        (self.slot / "snapshot/behaviour").write_text(behaviour)
        manifest = {"model": "tiny", "slot": "blue", "port": self.port, "devices": [0]}
        (self.slot / "manifest.json").write_text(json.dumps({**manifest, "release": {}}))
        for path in (STUB, STATES, WAYS):
            shutil.copy(path, self.slot)
        told = {"directory": str(self.home / "use"), "program": PROGRAM, "model": "tiny"}
        self.env = {
            "TOOLKIT_USE": json.dumps(told),
            "TOOLKIT_DOZE": str(self.home / "doze.sock"),
        }
        self.process = self.start()
        patch.setattr(processes, "state", self.state)
        patch.setattr(processes, "init_system", lambda: "systemd")

    def start(self) -> subprocess.Popen[bytes]:
        command = [self.slot / STUB.name, "serve", self.slot / "snapshot", "--port", str(self.port)]
        process = subprocess.Popen(
            [sys.executable, *command, "--middleware", "toolkit_recorder.Recorder"],
            env={**os.environ, **self.env, "PYTHONPATH": str(FILES), "PYTHONSAFEPATH": "1"},
            stdout=subprocess.DEVNULL,
        )
        until(lambda: completion.healthy(self.port, "/health"))
        return process

    def state(self, root: str, program: str) -> dict[str, Any]:
        pid = self.process.pid if self.process.poll() is None else 0
        return {"state": "running" if pid else "failed", "pid": pid, "started_at": None}

    def doze(self, needs: int = 1, timeout: float = LONG) -> dict[str, Any]:
        return doze.doze(str(self.root), PROGRAM, needs, timeout)

    def rouse(self, timeout: float = LONG) -> dict[str, Any]:
        return doze.rouse(str(self.root), PROGRAM, self.port, timeout)

    @property
    def dozes(self) -> bool:
        return doze.dozes(str(self.root), PROGRAM)

    @property
    def well(self) -> bool:
        return completion.healthy(self.port, "/health")

    def marks(self) -> list[str]:
        places = (doze.PLACE, doze.ASLEEP)
        return [place[1] for place in places if (self.root.joinpath(*place) / PROGRAM).exists()]

    def end(self) -> None:
        for each in processes.tree(self.process.pid) if self.process.poll() is None else ():
            os.kill(each, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def replica(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Replica]:
    made = Replica(tmp_path, getattr(request, "param", "good"), monkeypatch)
    yield made
    made.end()


def behaves(word: str) -> Any:
    return pytest.mark.parametrize("replica", [word], indirect=True)


def test_a_replica_dozes_and_wakes_to_the_same_process(replica: Replica) -> None:
    pid = replica.process.pid
    told = replica.doze()
    assert (told["ok"], told["reason"]) == (True, "")
    assert (replica.dozes, replica.well, replica.marks()) == (True, False, ["dozing", "asleep"])
    # Its process lives on, and what starts in its place would not be the engine.
    assert not resting.rests(str(replica.root), PROGRAM)
    told = replica.rouse()
    assert (told["ok"], told["reason"]) == (True, "")
    assert (replica.dozes, replica.well, replica.marks()) == (False, True, [])
    assert replica.process.pid == pid


def test_a_replica_that_is_awake_may_be_woken_again(replica: Replica) -> None:
    """A command was killed between the engine's answer and the end of its marks."""
    assert replica.doze()["ok"]
    assert doze._asked(str(replica.root), PROGRAM, "wake", LONG) == ""
    assert replica.dozes
    assert replica.rouse()["ok"]
    assert replica.marks() == []


@behaves("never sleeps")
def test_one_that_does_not_fall_asleep_is_ended_and_its_next_start_waits(replica: Replica) -> None:
    told = replica.doze()
    assert told["ok"] is False
    assert told["reason"] == "its engine does not sleep: RuntimeError: CUDA out of memory"
    assert replica.process.wait(60) == -signal.SIGKILL
    assert replica.marks() == ["dozing", "asleep"]
    assert not replica.dozes
    assert resting.rests(str(replica.root), PROGRAM)


@behaves("sleeps slowly")
def test_one_that_still_falls_asleep_wakes_once_it_sleeps(replica: Replica) -> None:
    """A command was interrupted amid the first sleep, which goes on, and takes longer than a wake may."""
    with ThreadPoolExecutor(1) as command:
        sleeps = command.submit(replica.doze)
        until(lambda: replica.marks() == ["dozing", "asleep"] and not replica.well)
        told = replica.rouse(timeout=2.0)
        assert sleeps.result()["ok"]
    assert (told["ok"], told["reason"]) == (True, "")
    assert (replica.dozes, replica.well, replica.marks()) == (False, True, [])


@behaves("sleeps slowly")
def test_one_that_was_asked_to_sleep_long_ago_is_given_up_in_its_time(replica: Replica) -> None:
    with ThreadPoolExecutor(1) as command:
        sleeps = command.submit(replica.doze)
        until(lambda: replica.marks() == ["dozing", "asleep"] and not replica.well)
        long_ago = time.time() - doze.SETTLED
        os.utime(replica.root.joinpath(*doze.PLACE) / PROGRAM, (long_ago, long_ago))
        assert "cannot be asked to wake" in replica.rouse(timeout=0.5)["reason"]
        assert sleeps.result()["ok"]


@behaves("never wakes")
def test_one_that_does_not_wake_says_why_and_stays_out_of_reach(replica: Replica) -> None:
    assert replica.doze()["ok"]
    told = replica.rouse()
    assert told["reason"] == "its engine does not wake: RuntimeError: CUDA out of memory"
    assert (replica.dozes, replica.well, replica.marks()) == (True, False, ["dozing", "asleep"])


@behaves("answers errors")
def test_one_that_wakes_and_answers_errors_has_not_woken(replica: Replica) -> None:
    assert replica.doze()["ok"]
    assert replica.rouse()["reason"] == "it woke, and a request of one token had status 500"
    assert replica.dozes


def test_a_host_with_too_little_memory_leaves_it_as_it_is(replica: Replica) -> None:
    told = replica.doze(needs=2**60)
    assert told["reason"] == "its weights may need more than the host's free memory"
    assert (replica.dozes, replica.well, replica.marks()) == (False, True, [])
    assert 0 < memory.available() <= memory.total()


def test_one_that_has_ended_since_is_not_taken_for_one_that_dozes(replica: Replica) -> None:
    assert replica.doze()["ok"]
    replica.end()
    until(lambda: not replica.dozes)
    assert resting.rests(str(replica.root), PROGRAM)
    replica.process = replica.start()
    assert not replica.dozes
    assert replica.rouse()["reason"] == "its process has ended since it fell asleep"


@pytest.mark.parametrize("there", ["nothing", "a link", "a file", "one that is silent"])
def test_a_way_in_that_is_none_ends_the_replica_and_asks_nobody_else(
    replica: Replica, tmp_path: Path, there: str
) -> None:
    place = replica.home / "doze.sock"
    until(place.exists)
    place.unlink()
    other = tmp_path / "of-root"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place if there == "one that is silent" else other))
        server.listen()
        server.setblocking(False)
        if there == "a link":
            place.symlink_to(other)
        elif there == "a file":
            place.write_text("")
        told = replica.doze(timeout=0.3)
        assert told["reason"].startswith("its engine cannot be asked to sleep: ")
        if there != "one that is silent":
            with pytest.raises(BlockingIOError):
                server.accept()
    assert replica.process.wait(60) == -signal.SIGKILL


def test_the_watch_leaves_what_dozes_and_forgets_it_with_its_slot(replica: Replica) -> None:
    assert replica.doze()["ok"]
    look = warmth.Warmth(str(replica.root))
    look._clear({"routes": [{"model": "tiny", "targets": []}]}, [PROGRAM])
    assert (replica.dozes, replica.marks()) == (True, ["dozing", "asleep"])
    # Also where it has ended: its successor has the device.
    replica.end()
    look._clear({"routes": [{"model": "tiny", "targets": []}]}, [PROGRAM])
    assert replica.marks() == ["dozing", "asleep"]
    shutil.rmtree(replica.slot)
    look._clear({"routes": [{"model": "tiny", "targets": []}]}, [PROGRAM])
    assert replica.marks() == []


def test_a_model_that_falls_asleep_ends_its_former_replica_that_dozes(replica: Replica) -> None:
    assert replica.doze()["ok"]
    look = warmth.Warmth(str(replica.root))
    assert look._end_dozing("tin") == []
    assert replica.dozes
    assert look._end_dozing("tiny") == ["tiny-blue dozes no more"]
    assert replica.process.wait(60) == -signal.SIGKILL
    assert look._end_dozing("tiny") == []


@pytest.mark.parametrize("at", ["", "gpu1"])
def test_nobody_takes_what_dozes_for_up_though_its_last_check_was_good(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    hosts = (f"{at}.", "gpu2.") if at else ("",)
    names = [f"{host}{slot}" for host in hosts for slot in ("blue", "green")]
    seen = {
        "routes": {"at": at},
        "servers": {
            "tiny": {name: {"up": True} for name in names},
            "other": {"blue": {"up": True}},
        },
    }
    monkeypatch.setattr(takeover.router_view, "observe", lambda _: seen)
    assert all(takeover.seen_up(str(replica.root))["tiny"].values())
    assert replica.doze()["ok"]
    up = takeover.seen_up(str(replica.root))
    assert [name for name, each in up["tiny"].items() if not each] == [
        f"{at}.blue" if at else "blue"
    ]
    assert up["other"] == {"blue": True}


def test_a_successor_does_not_wait_for_one_that_dozes(replica: Replica) -> None:
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    claim = {"boot": processes.boot(), "since": now, "turn": True, "at": now - start_turn.BEGUN}
    (replica.slot / start_turn.FILE).write_text(json.dumps(claim))
    assert [each.program for each in start_turn._claims(str(replica.root), "tiny-green")] == [
        PROGRAM
    ]
    assert replica.doze()["ok"]
    assert start_turn._claims(str(replica.root), "tiny-green") == []
    replica.end()
    assert start_turn._claims(str(replica.root), "tiny-green") == []


@contextmanager
def listening(place: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        server.settimeout(0.5)
        yield server


def test_a_link_that_takes_the_sockets_place_while_root_looks_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, looked = tmp_path / "home", stat.S_ISSOCK
    home.mkdir()
    with listening(home / "doze.sock"), listening(tmp_path / "roots.sock") as other:

        def swapped(mode: int) -> bool:
            (home / "doze.sock").unlink()
            (home / "doze.sock").symlink_to(tmp_path / "roots.sock")
            return looked(mode)

        monkeypatch.setattr(doze.stat, "S_ISSOCK", swapped)
        with pytest.raises(TimeoutError):
            doze._exchanged(str(home), "sleep", 0.2)
        with pytest.raises(TimeoutError):
            other.accept()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_name_of_a_socket_of_roots_is_not_asked(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    with listening(tmp_path / "roots.sock") as other:
        os.link(tmp_path / "roots.sock", home / "doze.sock")
        with pytest.raises(OSError, match="none of the replica's"):
            doze._exchanged(str(home), "sleep", 0.2)
        with pytest.raises(TimeoutError):
            other.accept()
