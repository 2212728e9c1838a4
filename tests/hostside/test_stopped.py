"""What of the router and of supervisord somebody has stopped goes on by itself, and a watch that stands still ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO, router_socket, until
from tests.hostside.router_site import PATH, Site
from tests.programs import running

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import processes
import stopped


def test_clients_of_a_stopped_router_get_their_answers(site: Site) -> None:
    watched = stopped.Stopped(str(site.lab.root))
    assert watched.look() == []
    found = router_socket.processes(site.lab.directory)
    master, (worker,) = found["master"], found["current"]
    for pid in (master, worker):
        os.kill(pid, signal.SIGSTOP)
        until(lambda pid=pid: processes.is_stopped(pid))
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(site.lab.ask, PATH, {"model": "tiny"})
        # Somebody may stop a process for an instant.
        assert watched.look() == []
        assert processes.is_stopped(worker)
        words = "the router was stopped and goes on: process"
        assert set(watched.look()) == {f"{words} {master}", f"{words} {worker}"}
        assert asked.result(60)[0] == 200
    assert router_socket.processes(site.lab.directory) == found
    assert watched.look() == []


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("router/bodies.cfg", "the router's process for large bodies"),
        ("supervisor/supervisord.conf", "supervisord"),
        # a replica has a judge of its own
        ("slots/tiny-blue/start", ""),
    ],
)
def test_what_else_is_stopped_stays_so(tmp_path: Path, file: str, words: str) -> None:
    watched = stopped.Stopped(str(tmp_path))
    # A shell, which has its arguments and does nothing with them.
    with running("/bin/sh", "-c", "sleep 600; :", "sh", f"{tmp_path}/{file}") as process:
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: processes.is_stopped(process.pid))
        assert watched.look() == []
        said = f"{words} was stopped and goes on: process {process.pid}"
        assert watched.look() == ([said] if words else [])
        assert processes.is_stopped(process.pid) is not bool(words)
        process.kill()


STANDS_STILL = """
import sys, time
sys.path.insert(0, sys.argv[1])
import watch
watch.LONGEST_LOOK = 0.5
watch.guards.Guards.look = lambda *_: time.sleep(60)
watch.main([sys.argv[2], "8", "600"])
"""


def test_a_watch_whose_look_does_not_end_ends_and_says_where_it_stood(tmp_path: Path) -> None:
    words = [sys.executable, "-c", STANDS_STILL, str(REPO / "toolkit/hostside"), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    # Its process supervisor starts it again.
    assert done.returncode == 1
    assert 'watch.py", line' in done.stderr
    assert "Timeout" in done.stderr
