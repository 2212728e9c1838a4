"""What fences stand around a process, as one look at its host says."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.hostside.router_lab import until
from toolkit.domain.hosts.facts import FENCES

HOSTSIDE = Path(__file__).parents[2] / "toolkit" / "hostside"


@pytest.fixture
def fence(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(HOSTSIDE))
    yield importlib.import_module("fence")


@pytest.mark.skipif(os.getuid() != 0, reason="a start script runs as root")
def test_a_start_that_still_checks_its_files_or_waits_for_a_device_is_no_replica_without_a_fence(
    fence: ModuleType, tmp_path: Path
) -> None:
    assert "user" in _fences(fence, tmp_path, "check-start")
    # What root runs in the place of a replica stays a replica without a user of its own.
    assert "user" not in _fences(fence, tmp_path, "serve")


@pytest.mark.skipif(os.getuid() != 0, reason="a start script runs as root")
@pytest.mark.parametrize(("runs", "fenced"), [("read _", True), ("cat; true", False)])
def test_a_start_that_puts_up_the_fence_is_no_replica_without_one(
    fence: ModuleType, tmp_path: Path, runs: str, fenced: bool
) -> None:
    start = tmp_path / "slots/tiny-blue/start"
    start.parent.mkdir(parents=True)
    start.write_text(f"echo\n{runs}\n")
    with subprocess.Popen(["sh", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as script:
        assert script.stdin is not None and script.stdout is not None
        script.stdout.readline()
        children = Path(f"/proc/{script.pid}/task/{script.pid}/children")
        until(lambda: fenced or b"cat" in _words_of(children.read_text()))
        assert (fence.of_process(str(tmp_path), script.pid) == list(FENCES)) is fenced


def _words_of(pid: str) -> bytes:
    return Path(f"/proc/{pid.strip()}/cmdline").read_bytes() if pid.strip() else b""


@pytest.mark.skipif(os.getuid() != 0, reason="a start script runs as root")
def test_what_waits_as_root_in_the_place_of_a_replica_that_sleeps_is_no_replica(
    fence: ModuleType, tmp_path: Path
) -> None:
    """The start script of a host without systemd becomes it before there is anything to fence."""
    waiting = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "sleep", "infinity"])
    try:
        until(lambda: Path(f"/proc/{waiting.pid}/cmdline").read_bytes().startswith(b"sleep"))
        assert fence.of_process(str(tmp_path), waiting.pid) == list(FENCES)
    finally:
        waiting.kill()
        waiting.wait()


def _fences(fence: ModuleType, root: Path, word: str) -> list[str]:
    """Return the fences around a script of root with a child whose command line has `word`."""
    child = f"{sys.executable} -c 'print(1, flush=True); import time; time.sleep(60)' {word}; true"
    script = subprocess.Popen(["sh", "-c", child], stdout=subprocess.PIPE, start_new_session=True)
    assert script.stdout is not None
    try:
        script.stdout.readline()
        found: list[str] = fence.of_process(str(root), script.pid)
        return found
    finally:
        os.killpg(script.pid, 9)
        script.wait()
        script.stdout.close()
