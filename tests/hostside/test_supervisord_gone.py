"""Replicas outlive their supervisord, and while it is gone, or does not answer, they count as what they are."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO, until
from tests.programs import running

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import processes
import replica
import supervisord


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The start script of a slot, as it runs beside its replica; its pid."""
    monkeypatch.setattr(processes, "init_system", lambda: "supervisord")
    start = tmp_path / "slots/tiny-blue/start"
    start.parent.mkdir(parents=True)
    (tmp_path / "supervisor").mkdir()
    start.write_text('echo $$ >"$0.pid"\nsleep 600 &\nwait\n')
    with running("/bin/sh", str(start)) as script:
        # It writes its number once it runs: a process has no words for an instant after its start.
        until(lambda: Path(f"{start}.pid").exists() and Path(f"{start}.pid").read_text())
        yield script.pid


@pytest.fixture(params=["killed", "frozen", "broken off"])
def gone(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "killed":
        return
    listener = socket.socket(socket.AF_UNIX)
    # Its path must be short.
    monkeypatch.chdir(tmp_path / "supervisor")
    listener.bind("supervisor.sock")
    listener.listen(8)
    request.addfinalizer(listener.close)
    if request.param == "frozen":
        monkeypatch.setattr(supervisord, "SECONDS", 0.2)
    else:
        listener.settimeout(0)
        listener.shutdown(socket.SHUT_RDWR)


def test_a_replica_that_outlives_its_supervisord_runs(
    tmp_path: Path, serving: int, gone: None
) -> None:
    found = processes.state(str(tmp_path), "tiny-blue")
    assert (found["state"], found["pid"]) == ("running", serving)
    assert found["started_at"] is not None
    assert processes.state(str(tmp_path), "tiny-green")["state"] == "absent"


@pytest.mark.skipif(os.getuid() != 0, reason="a process of another user")
def test_a_process_of_another_user_is_no_start_script(
    tmp_path: Path, serving: int, gone: None
) -> None:
    start = tmp_path / "slots/tiny-blue/start"
    words = [str(start), "600"]
    with subprocess.Popen(words, executable="/usr/bin/sleep", user=65534) as process:
        try:
            start.with_name("start.pid").write_text(f"{process.pid}\n")
            assert processes.state(str(tmp_path), "tiny-blue")["state"] == "absent"
        finally:
            process.kill()


@pytest.mark.parametrize("gone", ["frozen"], indirect=True)
def test_one_that_is_frozen_is_waited_for_once(
    tmp_path: Path, serving: int, gone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = []
    connect = supervisord._UnixConnection.connect
    monkeypatch.setattr(
        supervisord._UnixConnection, "connect", lambda own: (connected.append(1), connect(own))
    )
    for _ in range(5):
        assert processes.state(str(tmp_path), "tiny-blue")["pid"] == serving
    assert len(connected) == 1
    # and again after a while, because it may go on
    monkeypatch.setattr(supervisord, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(supervisord, "_silent", {})
    for _ in range(2):
        assert processes.state(str(tmp_path), "tiny-blue")["pid"] == serving
    assert len(connected) == 3


def test_a_bake_goes_on_while_a_killed_supervisord_is_started_again(
    tmp_path: Path, serving: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica.completion, "healthy", lambda *_: True)
    monkeypatch.setattr(replica.hang, "probe", lambda *_: "")
    monkeypatch.setattr(replica.signs, "of_slot", lambda *_: {"health": "/health"})
    monkeypatch.setattr(replica, "_watched", lambda *_: type("", (), {"look": lambda *_: ""})())
    request = {"root": str(tmp_path), "program": "tiny-blue", "port": 1, "seconds": 0.3}
    assert replica.watch(request, lambda _: None) == {"ok": True, "reason": "", "log": []}
