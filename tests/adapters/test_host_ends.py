"""Nothing of a replica outlives it, and what serves outlives its supervisord."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.adapters.host_contract import real_hosts
from tests.adapters.host_lab import HostLab
from tests.system.waiting import until
from toolkit.adapters.hosts.client import silent
from toolkit.domain.hosts.facts import ProcessState
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

__all__ = ["real_hosts"]


def test_the_workers_of_a_killed_replica_end_with_it(lab: HostLab, program: str) -> None:
    port = lab.ports["blue"]
    before = lab.run("pgrep", "-f", f"worker-of-{port}").split()
    main = lab.run("pgrep", "-o", "-f", f"serve .* --port {port}").strip()
    lab.run("kill", "-KILL", main)

    def left() -> set[str]:
        now = lab.run("sh", "-c", f"pgrep -f worker-of-{port} || true").split()
        return {*before} & {*now}

    assert before != []
    until(left, 60, lambda workers: not workers)


def test_what_a_killed_replica_left_among_temporary_files_goes_with_it(real_host: HostLab) -> None:
    real_host.empty()
    port = real_host.ports["blue"]
    real_host.host.wait_ready(real_host.start("blue"), port, 120, silent)
    main = int(real_host.run("pgrep", "-o", "-f", f"serve .* --port {port}"))
    # Its own /tmp, which ends with its processes.
    left = Path(f"/proc/{main}/root/tmp/a socket of vLLM's")
    left.touch()
    assert not Path("/tmp/a socket of vLLM's").exists()
    os.kill(main, signal.SIGKILL)

    until(left.exists, 60, lambda there: not there)


@pytest.mark.parametrize("fences", [None, ("user", "rights", "network")], ids=["all", "no files"])
def test_a_replica_ends_with_what_started_it(
    real_host: HostLab, fences: tuple[str, ...] | None
) -> None:
    real_host.empty()
    port = real_host.ports["blue"]
    root, program = real_host.host.host.root, real_host.start("blue", fences=fences)
    assert real_host.host.wait_ready(program, port, 120, silent).ok
    start = int(real_host.run("pgrep", "-o", "-f", f"{root}/slots/{program}/start"))
    main = int(real_host.run("pgrep", "-o", "-f", f"serve .* --port {port}"))
    # Killed for want of memory, or after the time that a stop may take.
    os.kill(start, signal.SIGKILL)

    # No replica outlives what started it, with its memory.
    until(Path(f"/proc/{main}").exists, 60, lambda there: not there)
    # supervisord waits a moment before it starts the replica again.
    until(
        lambda: real_host.host.wait_ready(program, port, 120, silent), 60, lambda waited: waited.ok
    )


def test_a_process_of_another_user_with_the_number_of_a_former_start_holds_up_no_start(
    real_host: HostLab,
) -> None:
    real_host.empty()
    port, root = real_host.ports["blue"], real_host.host.host.root
    program = real_host.start("blue")
    assert real_host.host.wait_ready(program, port, 120, silent).ok
    control = ("supervisorctl", "-s", f"unix://{root}/supervisor/supervisor.sock")
    real_host.run(*control, "stop", program)
    start = Path(root, "slots", program, "start")
    # Whoever begins many processes gets the number sooner or later, and gives itself the words of the script.
    words = [str(start), "600"]
    with subprocess.Popen(words, executable="/usr/bin/sleep", user=65534) as process:
        try:
            start.with_name("start.pid").write_text(f"{process.pid}\n")
            (slot,) = real_host.host.observe().slots
            assert slot.process is not ProcessState.RUNNING
            real_host.run(*control, "start", program)
            assert real_host.host.wait_ready(program, port, 60, silent).ok
        finally:
            process.kill()


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed first"])
@pytest.mark.parametrize("fences", [None, ("user", "rights", "network")], ids=["all", "no files"])
def test_a_process_that_a_replica_has_put_aside_ends_with_it(
    real_host: HostLab, fences: tuple[str, ...] | None, killed: bool
) -> None:
    real_host.empty()
    port, program = real_host.ports["blue"], real_host.start("blue", fences=fences)
    user = real_host.host.host.slot_user(program)

    def left() -> list[str]:
        # One that has ended, and that nobody has waited for, runs no more.
        states = real_host.run("sh", "-c", f"ps -o stat= -u {user} || true").split()
        return [each for each in states if not each.startswith("Z")]

    assert real_host.host.wait_ready(program, port, 120, silent).ok
    assert real_host.ask("blue", "leave").isdigit()
    if killed:
        # Its script ends nothing then.
        words = 'pkill -KILL -f "$1/slots/$2/start"; '
        words += 'supervisorctl -s "unix://$1/supervisor/supervisor.sock" stop "$2" || true'
        real_host.run("sh", "-c", words, "sh", real_host.host.host.root, program)
    real_host.stop("blue")
    until(left, 10, lambda states: not states)


def test_a_supervisord_that_is_killed_is_back_and_nothing_that_serves_ends(
    real_host: HostLab,
) -> None:
    real_host.empty()
    host, program = real_host.host.host, real_host.start("blue")
    port = real_host.ports["blue"]
    assert real_host.host.wait_ready(program, port, 120, silent).ok
    real_host.route(with_model(Routes(), "tiny", (Target("blue", port, 100),), created=1))
    words = f"serve .* --port {port}", f"/haproxy -W .*{host.root}"
    replica, router = (int(real_host.run("pgrep", "-o", "-f", each)) for each in words)
    pid_file = Path(host.root, "supervisor/supervisord.pid")
    former, statuses = pid_file.read_text(), list[int]()

    def until_asking(condition: Callable[[], bool], fault: str) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, fault
            with closing(HTTPConnection(host.router_bind, timeout=20)) as client:
                client.request("POST", "/m/tiny/v1/completions", "{}")
                statuses.append(client.getresponse().status)
            time.sleep(0.02)

    def runs() -> bool:
        return [each.process for each in real_host.host.observe().slots] == [ProcessState.RUNNING]

    os.kill(int(former), signal.SIGKILL)
    until_asking(
        lambda: pid_file.exists() and pid_file.read_text() != former, "supervisord is not back"
    )
    until_asking(lambda: not Path(f"/proc/{router}").exists(), "the former router stays")
    until_asking(runs, "the replica is not seen")
    until_asking(lambda: len(_having("watch-host", host.root)) == 1, "the former watch stays")
    assert {*statuses} == {200}
    (slot,) = real_host.host.observe().slots
    assert slot.healthy and slot.weight == 100 and not slot.drift
    assert slot.memory > 10**6
    # To stop it ends the replica from before.
    assert Path(f"/proc/{replica}").exists()
    real_host.route(Routes())
    real_host.stop("blue")
    assert not Path(f"/proc/{replica}").exists()


def _having(*words: str) -> list[Path]:
    """Return the directories of the processes that have all `words` in their command line."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if {*words} <= {*(each / "cmdline").read_text().split("\0")}:
                found.append(each)
    return found


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="has no autogroups")
def test_replicas_that_start_together_have_the_same_weight(real_host: HostLab) -> None:
    real_host.empty()
    port = real_host.ports["blue"]
    # The kernel takes one weight in a tenth of a second from all users, so it refuses the replica's for now.
    with subprocess.Popen([sys.executable, "-c", _WEIGH], start_new_session=True) as other:
        try:
            program = real_host.start("blue", fences=("user", "rights", "network"))
            assert real_host.host.wait_ready(program, port, 120, silent).ok
        finally:
            other.kill()
    main = int(real_host.run("pgrep", "-o", "-f", f"serve .* --port {port}"))
    router = int(real_host.run("pgrep", "-o", "-f", f"haproxy -W.*{real_host.host.host.root}"))
    # Not the weight of a router or a command.
    until(Path(f"/proc/{main}/autogroup").read_text, 60, lambda text: text.endswith(" nice 10\n"))
    assert Path(f"/proc/{router}/autogroup").read_text().endswith(" nice 0\n")
    # A model that is stopped leaves neither rules nor a home.
    home = Path(real_host.host.host.root, "caches", program)
    rules = f"table inet {real_host.host.host.slot_user(program).replace('-', '_')}\n"
    assert rules in real_host.run("/usr/sbin/nft", "list", "tables")
    assert home.exists()
    real_host.stop("blue", home_kept=False)
    assert rules not in real_host.run("/usr/sbin/nft", "list", "tables")
    assert not home.exists()


_WEIGH = """
import time
while True:
    with open("/proc/self/autogroup", "w") as file:
        file.write("0")
    time.sleep(0.01)
"""
