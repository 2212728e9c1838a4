"""Reloads that meet each other, or a start of the router: none is lost, and no question goes unanswered.

HAProxy's master replaces itself at a reload, and drops the connections that it has taken, without a word.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO, Lab, lab, router_socket
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_router_changes import reload_as_the_role_does

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import replica

WORKER = "11 worker 0 0d00h00m00s 2.6\n"


class Master:
    """A master's socket. `answer` gets a command and returns what is said to it: nothing drops the connection."""

    def __init__(self, root: Path, answer: Callable[[str], str]) -> None:
        (root / "control").mkdir(mode=0o700)
        self.directory, self.heard, self._answer = str(root / "router"), list[str](), answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(root / "control/master.sock"))
        self._listener.listen(8)

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    command = connection.makefile().readline().strip()
                    self.heard.append(command)
                    connection.sendall(self._answer(command).encode())

    def end(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def master(root: Path, answer: Callable[[str], str]) -> Iterator[Master]:
    serving = Master(root, answer)
    thread = threading.Thread(target=serving.serve)
    thread.start()
    try:
        yield serving
    finally:
        serving.end()
        thread.join()


def shown(pid: int = 10, reloads: int = 0, failed: int = 0) -> str:
    return f"#<PID> <type>\n{pid} master {reloads} [failed: {failed}] 0d00h00m00s 2.6\n# workers\n{WORKER}\n"


class Drops:
    """Answers as a master whose first reloads are dropped, and each first question of a kind too."""

    def __init__(self, lost: int, after: Callable[[], str]) -> None:
        self.lost, self.after, self.asked = lost, after, set[str]()

    def __call__(self, command: str) -> str:
        if command == "reload":
            self.lost -= 1
            return ""
        if command not in self.asked:
            self.asked.add(command)
            return ""
        if command == "show proc":
            return self.after() if self.lost < 0 else shown(reloads=3)
        return "Name: HAProxy\n\n"


@pytest.mark.parametrize("after", [lambda: shown(reloads=4), lambda: shown(pid=20)])
@pytest.mark.parametrize("role", [False, True])
def test_a_reload_that_the_master_drops_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: Callable[[], str], role: bool
) -> None:
    """Also where the router starts meanwhile, and counts from 0."""
    monkeypatch.setattr(router_socket, "LOST_SECONDS", 0.1)
    with master(tmp_path, Drops(1, after)) as running:
        if role:
            done = reload_as_the_role_does(f"{tmp_path}/control/master.sock")
            assert (done.get("changed"), done.get("running")) == (True, True)
        else:
            router_socket.reload(running.directory)
    assert running.heard.count("reload") == 2


def test_a_question_that_the_master_drops_is_asked_again(tmp_path: Path) -> None:
    """An answer without workers would count as a router without requests."""
    with master(tmp_path, Drops(0, shown)) as running:
        assert router_socket.processes(running.directory)["current"] == [11]


def test_a_command_that_the_master_drops_reaches_the_worker(tmp_path: Path) -> None:
    with master(tmp_path, lambda _: "\n" if len(running.heard) > 2 else "") as running:
        assert router_socket.tell(running.directory, 11, ["set map slots.map tiny blue"]) == []
    assert running.heard == ["@!11 set map slots.map tiny blue"] * 3


@pytest.fixture(scope="module")
def router() -> Iterator[Lab]:
    with lab() as running:
        yield running


def test_reloads_at_once_all_end_and_questions_meanwhile_get_an_answer(router: Lab) -> None:
    directory, faults, over = router.directory, list[str](), threading.Event()

    def reload() -> None:
        try:
            for _ in range(3):
                router_socket.reload(directory, 60.0)
        except router_socket.RouterError as error:
            faults.append(str(error))

    def look() -> None:
        while not over.is_set():
            # On a busy machine the master may need longer to start than a question waits.
            with suppress(router_socket.RouterError):
                if not router_socket.processes(directory)["current"]:
                    faults.append("no worker")

    reloads = [threading.Thread(target=reload) for _ in range(3)]
    looks = [threading.Thread(target=look) for _ in range(2)]
    for thread in (*reloads, *looks):
        thread.start()
    for thread in reloads:
        thread.join()
    over.set()
    for thread in looks:
        thread.join()
    assert faults == []
    assert router_socket.processes(directory)["reloads"] >= 3


def test_a_replica_is_not_drained_while_the_routers_master_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The workers serve on, and nobody says what they have open; here the engine's metrics say nothing either."""
    monkeypatch.setattr(router_socket, "TIMEOUT", 0.3)
    with lab() as running, closing(client_of(running)) as client:
        site = Site(running)
        stream = {"model": "tiny", "stream": True, "tokens": 3000, "pause": 0.02}
        client.request("POST", PATH, json.dumps(stream))
        assert client.getresponse().readline()
        of_slot = {"root": str(running.root), "model": "tiny", "slot": "blue", "port": 1}
        os.kill(running.process.pid, signal.SIGSTOP)
        try:
            done = replica.drain({**of_slot, "timeout": 1.5}, lambda _: None)
        finally:
            os.kill(running.process.pid, signal.SIGCONT)
        assert (done["drained"], done["left"]) == (False, 1)
        client.close()
        monkeypatch.setattr(router_socket, "TIMEOUT", 5.0)
        assert replica.drain({**of_slot, "timeout": 60}, lambda _: None)["drained"]
        site.blue.stop()
        site.green.stop()


def client_of(running: Lab) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
