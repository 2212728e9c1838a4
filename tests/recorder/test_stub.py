"""The stand-in of an engine on the tests' hosts records what requests use, by the same recorder."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.host_lab import STATES, STUB, WAYS
from tests.hostside.router_lab import free_port, until
from tests.recorder.conftest import FILES

CHAT = "/v1/chat/completions"


class Stub:
    """The stand-in as a process, as a slot's `run` starts it."""

    def __init__(self, directory: Path) -> None:
        self.use, self.port = directory / "use", free_port()
        (directory / "snapshot").mkdir()
        (directory / "snapshot/behaviour").write_text(
            "fails one client in twenty\nfour words of answer"
        )
        for path in (STUB, STATES, WAYS):
            shutil.copy(path, directory)
        told = {"directory": str(self.use), "program": "tiny-blue", "model": "tiny"}
        command = [directory / STUB.name, "serve", directory / "snapshot", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, *command, "--middleware", "toolkit_recorder.Recorder"],
            env={**os.environ, "PYTHONPATH": str(FILES), "TOOLKIT_USE": json.dumps(told), "PYTHONSAFEPATH": "1"},
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until(self.answers)

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/health")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: Any = None, key: str = "ann") -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as client:
            headers = {"X-Toolkit-Key": key} if key else {}
            client.request(method, path, json.dumps(body), headers)
            answer = client.getresponse()
            return answer.status, answer.read().decode()

    def lines(self) -> list[dict[str, Any]]:
        # Without a line that is being written.
        texts = (each.read_text().rpartition("\n")[0] for each in self.use.iterdir())
        return [json.loads(line) for text in texts for line in text.splitlines()]


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    made = Stub(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


def test_its_requests_are_records_and_its_counters_their_sum(stub: Stub) -> None:
    asked = {"messages": [{"role": "user", "content": "a b c"}]}
    for number in range(21):
        stub.ask("POST", CHAT, {**asked, "stream": number % 2 == 0, "user": "client"})
    stub.ask("POST", CHAT, asked, key="")
    records = until(lambda: len(found := [e for e in stub.lines() if "key" in e]) == 22 and found)
    assert [each["n"] for each in records] == list(range(1, 23))
    assert [each["end"] for each in records].count("failed") == 1
    assert {each["key"] for each in records} == {"ann", "probe"}
    assert {each["out"] for each in records} == {0, 4}
    sums = tuple(sum(each[name] for each in records) for name in ("asked", "out"))
    metrics = stub.ask("GET", "/metrics")[1].splitlines()
    names = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
    shown = [float(each.split()[-1]) for each in metrics if each.startswith(names)]
    assert sums == tuple(shown)
    stub.process.terminate()
    stub.process.wait(60)
    last = stub.lines()[-1]
    assert (tuple(last["counters"].values()), last["n"], last["open"]) == (sums, 22, 0)


def test_clients_that_come_at_once_wait_until_it_takes_them(stub: Stub) -> None:
    """A router that loses a connection takes the replica for dead, and the test's requests with it."""
    os.kill(stub.process.pid, signal.SIGSTOP)
    try:
        with ExitStack() as clients:
            for _ in range(64):
                made = socket.create_connection(("127.0.0.1", stub.port), timeout=60)
                clients.enter_context(made)
    finally:
        os.kill(stub.process.pid, signal.SIGCONT)
    assert stub.answers()
