"""`toolkit ask` on the command line: the answer alone is on standard output, and the key is never an argument."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.cli.shell import Shell, start
from toolkit.adapters.endpoint.endpoint import Endpoint
from toolkit.cli.opening.context import open_fleet
from toolkit.domain.secret import Secret

ON_AND_ON = ("ask", "tiny", "on and on")

EVENTS = [
    {"choices": [{"delta": {"content": "Hel"}}]},
    {"choices": [{"delta": {"content": "lo"}}]},
]


class StubRouter(http.server.BaseHTTPRequestHandler):
    """A router that lets the key `tk-right` in."""

    asked: ClassVar[list[Any]] = []
    left: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        self._say(404, b"{}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != "Bearer tk-right":
            self._say(401, b'{"error": {"message": "Incorrect API key provided."}}')
            return
        self.asked.append(body)
        if body["messages"][-1]["content"] == "on and on":
            self._say(200, b"", "text/event-stream")
            with suppress(OSError):
                # Nobody waits so long for it to end.
                for _ in range(3000):
                    self.wfile.write(f"data: {json.dumps(EVENTS[0])}\n\n".encode())
                    time.sleep(0.01)
            self.left.set()
            return
        told = "".join(f"data: {json.dumps(each)}\n\n" for each in EVENTS)
        self._say(200, f"{told}data: [DONE]\n\n".encode(), "text/event-stream")

    def _say(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Toolkit-Version", "v2")
        self.send_header("X-Toolkit-Slot", "green")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def door(shell: Shell, tmp_path: Path) -> Iterator[Shell]:
    StubRouter.asked.clear()
    StubRouter.left.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), StubRouter) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        fleet = tmp_path / "door.yaml"
        fleet.write_text(
            "all: {hosts: {localhost: {ansible_connection: local,"
            f" router_bind: '127.0.0.1:{server.server_port}'}}}}}}\n"
        )
        shell.set("TOOLKIT_FLEET", fleet)
        shell.set("TOOLKIT_KEY", "tk-right")
        yield shell
        server.shutdown()
        thread.join()


def test_the_answer_alone_is_on_standard_output(door: Shell) -> None:
    said = door("ask", "tiny", "hello", "--system", "be brief")
    assert (said.code, said.out) == (0, "Hello\n")
    assert said.err.startswith("tiny (v2) in green, ")
    assert [each["role"] for each in StubRouter.asked[0]["messages"]] == ["system", "user"]


def test_the_document_has_the_whole_answer(door: Shell) -> None:
    said = door("ask", "tiny", "hello", "--json")
    assert said.code == 0
    document = said.json()
    assert (document["text"], document["version"], document["slot"]) == ("Hello", "v2", "green")


def test_a_key_comes_from_a_file_too(door: Shell, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("tk-right\n")
    door.set("TOOLKIT_KEY", "tk-wrong")
    assert door("ask", "tiny", "hello", "--key-file", str(file)).code == 0
    refused = door("ask", "tiny", "hello")
    assert refused.code == 2
    assert "Incorrect API key provided." in refused.err
    assert "TOOLKIT_KEY" in refused.err
    assert "tk-wrong" not in refused.err + refused.out


def test_another_router_is_asked_where_one_does_not_answer(door: Shell, tmp_path: Path) -> None:
    """Which router is the first in the fleet file says nothing: any of them leads to all replicas."""
    port = open_fleet(door.environment["TOOLKIT_FLEET"]).hosts[0].router_bind.rpartition(":")[2]
    fleet = tmp_path / "two.yaml"
    fleet.write_text(
        "all:\n  hosts:\n"
        "    off: {ansible_host: 127.0.0.2, router_bind: '*:1'}\n"
        f"    on: {{ansible_host: 127.0.0.1, router_bind: '*:{port}'}}\n"
    )
    door.set("TOOLKIT_FLEET", fleet)
    said = door("ask", "tiny", "hello")
    assert (said.code, said.out) == (0, "Hello\n")
    assert said.err.startswith("the router at http://127.0.0.2:1/v1 broke off or did not answer: ")
    # A person who names a host asks that one.
    assert door("ask", "tiny", "hello", "--host", "off").code == 7
    assert len(StubRouter.asked) == 1


def test_a_disk_that_takes_no_answer_is_not_told_as_the_routers_fault(door: Shell) -> None:
    with Path("/dev/full").open("w") as full:
        child = start(door.environment, *ON_AND_ON, stdout=full, stderr=subprocess.PIPE)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert err.splitlines()[-1] == (
        "error: the result could not be written to standard output: No space left on device"
    )
    assert "router" not in err
    assert StubRouter.left.wait(60)


def test_a_reader_that_leaves_ends_the_answer_without_an_error(door: Shell) -> None:
    child = start(door.environment, *ON_AND_ON, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout and child.stderr
    assert child.stdout.read(3) == "Hel"
    child.stdout.close()
    assert StubRouter.left.wait(60)
    assert child.wait(60) == 0
    assert "error" not in child.stderr.read()
    child.stderr.close()


def test_an_error_of_the_caller_is_no_error_of_the_router(door: Shell) -> None:
    there = open_fleet(door.environment["TOOLKIT_FLEET"]).hosts[0].endpoint
    payload = {"messages": [{"role": "user", "content": "hi"}]}
    with (
        pytest.raises(BrokenPipeError),
        Endpoint(there, key=Secret("tk-right")).ask("/v1/chat/completions", payload) as opened,
    ):
        assert next(opened.texts)
        raise BrokenPipeError


@pytest.mark.parametrize(
    "words",
    [
        ("ask", "tiny", "hello", "--host", "nobody"),
        ("ask", "tiny", "hello", "--max-tokens", "0"),
        ("ask", "tiny", "hello", "--temperature", "-1"),
        ("ask", "tiny"),
    ],
)
def test_wrong_input_ends_with_2(door: Shell, words: tuple[str, ...]) -> None:
    assert door(*words).code == 2
    assert StubRouter.asked == []


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ("schl\u00fcssel".encode(), "it is no plain text"),
        (b"\n", "it is empty"),
        (b"k" * 5000, "it has more than 4096 bytes"),
        ("absent", "No such file or directory"),
        ("", "Is a directory"),
        ("/dev/zero", "it has more than 4096 bytes"),
    ],
)
def test_a_file_without_a_key_is_told_in_plain_words(
    door: Shell, tmp_path: Path, held: bytes | str, words: str
) -> None:
    file = tmp_path / ("key" if isinstance(held, bytes) else held)
    if isinstance(held, bytes):
        file.write_bytes(held)
    said = door("ask", "tiny", "hello", "--key-file", str(file))
    assert said.code == 2
    assert said.err.startswith(f"error: {file} cannot be read as a key: {words}\nhint: ")
    assert StubRouter.asked == []
