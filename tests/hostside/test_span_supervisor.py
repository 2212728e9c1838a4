"""The program that supervises the engine processes of one replica on several hosts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.router_lab import free_port, until

PROGRAM = Path(__file__).parents[2] / "playbooks/roles/replica/files/span_supervisor.py"
# The leader's door is its engine's: the others' engines serve nothing.
ENGINE = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["NAME"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
def stop(*_):
    print("drained", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
print("engine", os.environ.get("GLOO_SOCKET_IFNAME"), flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
IDLE = "import time; print('engine', flush=True); time.sleep(600)"
# Before Python 3.11 asyncio raises a TimeoutError of its own; so does this one.
FORMER = """
import asyncio, sys
class Former(Exception): pass
now = asyncio.wait_for
async def wait_for(*given):
    try:
        return await now(*given)
    except TimeoutError:
        raise Former from None
asyncio.wait_for, asyncio.TimeoutError = wait_for, Former
del sys.argv[0]
text = open(sys.argv[0]).read().replace("SILENCE = 15.0", "SILENCE = 3.0")
exec(compile(text, sys.argv[0], "exec"), {"__name__": "__main__"})
"""
HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


class Part:
    """The span supervisor of one host, as a process."""

    def __init__(self, directory: Path, rank: int, hosts: list[str], port: int, door: int) -> None:
        self.span, self.log = directory / f"{rank}.json", directory / f"{rank}.log"
        self.span.write_text(json.dumps({"rank": rank, "hosts": hosts, "port": port, "door": door}))
        self.door, self.engine = door, [ENGINE, str(door)] if rank == 0 else [IDLE]
        self.process: subprocess.Popen[bytes] | None = None
        self.program = [str(PROGRAM)]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, self.span, sys.executable, "-c", *self.engine],
                stdout=log,
                stderr=log,
                env={**os.environ, "NAME": "the leader"},
                start_new_session=True,
            )

    def cut(self) -> None:
        """End it and its engine as a supervisor does, or a host without power."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(60)

    def said(self) -> str:
        return self.log.read_text()

    def asked(self) -> str:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.door}/health", timeout=5
            ) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[list[Part]]:
    port, *doors = (free_port() for _ in range(4))
    made = [Part(tmp_path, rank, HOSTS, port, doors[rank]) for rank in range(3)]
    yield made
    for each in made:
        each.cut()


def together(parts: list[Part]) -> None:
    for part in reversed(parts):
        part.start()
    until(lambda: all(part.asked() for part in parts))


def test_nothing_starts_until_all_have_come(parts: list[Part]) -> None:
    leader, second, third = parts
    leader.start()
    second.start()
    until(lambda: "1 are missing" in leader.said())
    assert "engine" not in leader.said() + second.said()
    third.start()
    until(lambda: all("engine" in part.said() for part in parts))


def test_every_host_answers_with_what_the_leader_says(parts: list[Part]) -> None:
    together(parts)
    assert {part.asked() for part in parts} == {"the leader"}


def test_collectives_are_told_the_interface_of_the_address(parts: list[Part]) -> None:
    together(parts)
    assert "engine lo" in parts[0].said()


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_when_one_is_gone_all_end_and_meet_again(parts: list[Part], gone: int) -> None:
    together(parts)
    parts[gone].cut()
    for part in parts:
        assert part.process is not None
        if part is not parts[gone]:
            assert part.process.wait(60) == 1
            assert "the replica ends here: " in part.said()
    # what a host's supervisor does
    together(parts)


@pytest.mark.parametrize("silent", [0, 1])
def test_a_host_that_is_silent_is_lost_whatever_the_python(parts: list[Part], silent: int) -> None:
    for part in parts:
        part.program = ["-c", FORMER, str(PROGRAM)]
    together(parts)
    stopped = parts[silent].process
    assert stopped is not None
    os.kill(stopped.pid, signal.SIGSTOP)
    for part in parts:
        assert part.process is not None
        if part is not parts[silent]:
            assert part.process.wait(60) == 1
    who = f"the leader {HOSTS[0]}" if silent == 0 else HOSTS[1]
    first = parts[1] if silent == 0 else parts[0]
    assert f"the replica ends here: {who} was silent for 3 s" in first.said()


def test_who_connects_and_says_nothing_is_forgotten_without_a_traceback(parts: list[Part]) -> None:
    for part in parts:
        part.program = ["-c", FORMER, str(PROGRAM)]
    together(parts)
    port = json.loads(parts[0].span.read_text())["port"]
    with socket.create_connection((HOSTS[0], port), 5, source_address=(HOSTS[1], 0)) as mute:
        mute.settimeout(60)
        assert mute.recv(100) == b""
    assert parts[1].asked() == "the leader"
    assert "Traceback" not in parts[0].said()


def test_the_end_of_an_engine_is_the_end_of_its_supervisor(parts: list[Part]) -> None:
    together(parts)
    leader = parts[0].process
    assert leader is not None
    children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    assert leader.wait(60) != 0
    assert parts[1].process is not None
    assert parts[1].process.wait(60) == 1


def test_sigterm_reaches_the_engine(parts: list[Part]) -> None:
    together(parts)
    leader = parts[0].process
    assert leader is not None
    leader.terminate()
    assert leader.wait(60) == 0
    assert "drained" in parts[0].said()


def test_a_stranger_is_turned_away(parts: list[Part]) -> None:
    together(parts)
    port = json.loads(parts[0].span.read_text())["port"]
    with socket.create_connection((HOSTS[0], port), 5, source_address=("127.0.0.9", 0)) as stranger:
        stranger.settimeout(5)
        stranger.sendall(b"door\nGET /health HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(100) == b""


def test_an_answer_comes_whole_though_the_client_has_said_all(parts: list[Part]) -> None:
    together(parts)
    with socket.create_connection(("127.0.0.1", parts[2].door), 5) as client:
        client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        client.settimeout(5)
        heard = b""
        while piece := client.recv(4096):
            heard += piece
    assert heard.endswith(b"the leader")
