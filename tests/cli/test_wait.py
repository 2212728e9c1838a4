"""`--wait` as an operator meets it: a real lock on a real host root, a bound, a JSON error, and Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.cli.shell import Shell, start

OWNER = {"actor": "bob@ops2", "command": "toolkit deploy other", "pid": 815, "since": 1000.0}


@pytest.fixture
def held(shell: Shell) -> Iterator[int]:
    """The deployment lock of the host, as another command holds it; closing it ends that command."""
    shell.root.mkdir()
    handle = os.open(shell.root / "deployment.lock", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(handle, json.dumps(OWNER).encode())
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield handle
    fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


@pytest.mark.usefixtures("held")
def test_a_bounded_wait_ends_with_who_holds_the_host(shell: Shell) -> None:
    began = time.monotonic()
    said = shell("repair", "--yes", "--wait", "1.5s", "--json")
    assert time.monotonic() - began >= 1.5
    assert said.code == 4
    error = said.json()["error"]
    assert error["kind"] == "busy"
    assert error["message"].startswith("localhost is held by bob@ops2 (pid 815) since 1970-01-01")
    assert error["message"].endswith("toolkit deploy other; waited 1.5 s for it")
    assert "waiting for up to 1.5 s: localhost is held by bob@ops2" in said.err


@pytest.mark.usefixtures("held")
def test_a_wait_that_ends_before_the_plan_has_a_line_in_the_audit_log(shell: Shell) -> None:
    assert shell("stop", "tiny", "--yes", "--wait", "1s", "--reason", "too hot").code == 4
    (entry,) = shell("audit", "list", "--json").json()["entries"]
    assert (entry["command"], entry["outcome"], entry["reason"]) == ("stop", "busy", "too hot")
    assert entry["error"]["message"].endswith("toolkit deploy other; waited 1.0 s for it")
    assert shell("audit", "list").out.count("busy") == 1


def test_the_command_goes_on_once_the_other_one_has_ended(shell: Shell, held: int) -> None:
    child = start(
        shell.environment, "repair", "--yes", "--wait", "10min",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    _until_it_waits(child)
    fcntl.flock(held, fcntl.LOCK_UN)
    _, said = child.communicate(timeout=120)
    assert "is held by bob@ops2" not in said.partition("error: ")[2]
    assert child.returncode != 4


@pytest.mark.usefixtures("held")
def test_ctrl_c_ends_the_wait_with_130(shell: Shell) -> None:
    child = start(
        shell.environment, "repair", "--yes", "--wait", "10min",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    _until_it_waits(child)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130


def _until_it_waits(child: subprocess.Popen[str]) -> None:
    assert child.stderr is not None
    line = ""
    while "waiting for up to 10 min 00 s: localhost is held" not in line:
        line = child.stderr.readline()
        assert line, "it ended before it waited"
