"""What only a real host can show: processes, privileges, running requests, a killed ops machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.adapters.host_lab import HostLab
from toolkit.adapters.host import silent
from toolkit.domain.probe import LockOwner
from toolkit.errors import BusyError

OWNER = LockOwner("ann@ops", "toolkit deploy tiny", os.getpid())


@pytest.fixture(autouse=True)
def _empty(real_host: HostLab) -> Iterator[None]:
    yield
    real_host.empty()


def test_drain_waits_for_a_running_request(real_host: HostLab) -> None:
    port = real_host.ports["blue"]
    real_host.host.wait_ready(real_host.start("blue"), port, 20, silent)
    slow = threading.Thread(
        target=lambda: real_host.host.complete(port, {"messages": [], "user": "slow"}, 10)
    )
    slow.start()
    while not _running(port):
        pass
    waited = real_host.host.drain("tiny", "blue", port, 10, silent)
    slow.join()
    assert waited.ok
    assert waited.seconds > 0.5


def test_drain_gives_up_at_its_deadline(real_host: HostLab) -> None:
    port = real_host.ports["blue"]
    real_host.host.wait_ready(real_host.start("blue"), port, 20, silent)
    slow = threading.Thread(
        target=lambda: real_host.host.complete(port, {"messages": [], "user": "slow"}, 10)
    )
    slow.start()
    while not _running(port):
        pass
    waited = real_host.host.drain("tiny", "blue", port, 0.3, silent)
    slow.join()
    assert (waited.ok, waited.left) == (False, 1)


def test_a_second_run_of_every_playbook_changes_nothing(real_host: HostLab) -> None:
    real_host.start("blue")
    program = {"replica_program": "tiny-green", "replica_state": "absent"}
    assert real_host.play("replica", program) == ()
    digest = {"provision_digest": real_host.host.observe().converged}
    assert real_host.play("provision", digest) == ()


def test_the_replica_runs_without_privileges(real_host: HostLab) -> None:
    program = real_host.start("blue")
    real_host.host.wait_ready(program, real_host.ports["blue"], 20, silent)
    found = subprocess.run(
        ["pgrep", "-u", "toolkit", "-f", f"--port {real_host.ports['blue']}"], capture_output=True
    )
    assert found.returncode == 0


def test_the_lock_ends_with_a_killed_holder(real_host: HostLab) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD.format(root=real_host.host.host.root)], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == b"held"
    with pytest.raises(BusyError), real_host.host.lock(OWNER):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    until = time.monotonic() + 10
    while real_host.host.lock_owner() is not None and time.monotonic() < until:
        time.sleep(0.05)
    with real_host.host.lock(OWNER):
        pass


_HOLD = """
import json, subprocess, sys, time
from toolkit.adapters.host_shell import HOSTSIDE
child = subprocess.Popen([sys.executable, "-I", str(HOSTSIDE), "hold-lock"], stdin=-1, stdout=-1, text=True)
child.stdin.write(json.dumps({{"root": "{root}", "owner": {{"actor": "x", "command": "y", "pid": 1}}}}) + chr(10))
child.stdin.flush()
child.stdout.readline()
print("held", flush=True)
time.sleep(60)
"""


def _running(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        return b"} 1.0" in response.read()
