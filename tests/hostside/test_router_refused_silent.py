"""A client that says nothing more after its refusal: it does not hold a connection for as long as it likes."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.door_lab import connected
from tests.hostside.keyed import ANN, ring
from tests.hostside.router_lab import Lab, lab, router_socket, until
from tests.hostside.router_site import PATH
from tests.hostside.test_router_door import closed, is_kept

UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
SILENT = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
# Clients that the router of these tests waits for.
MOST = 3


@pytest.fixture(scope="module")
def running() -> Iterator[Lab]:
    """A router of one thread that waits for few clients, and counts those alone that are still there."""
    with lab(router_client_silence="1s", router_head_timeout="1s", router_threads=1) as made:
        path = Path(made.directory, "refuse.lua")
        text = path.read_text()
        assert text.count("local MAX_AT_ONCE = 256 ") == 1
        text = text.replace("local MAX_AT_ONCE = 256 ", f"local MAX_AT_ONCE = {MOST} ")
        path.write_text(text.replace("local MAX_SECONDS = 60 ", "local MAX_SECONDS = 1 "))
        router_socket.reload(made.directory)
        made.give(ring())
        yield made


@pytest.mark.parametrize("key", ["", ANN])
@pytest.mark.parametrize(
    "head",
    [
        "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n",
        "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\nContent-Length: 5\r\n",
        f"GET /v1/realtime HTTP/1.1\r\nHost: x\r\n{UPGRADE}",
        "TRACE / HTTP/1.1\r\nHost: x\r\n",
        "GET /v1/nothing HTTP/1.1\r\nHost: x\r\n",
    ],
)
def test_a_refused_request_without_a_body_ends(running: Lab, head: str, key: str) -> None:
    with connected(running) as raw:
        raw.sendall(f"{head}{f'x-api-key: {key}' if key else 'x: y'}\r\n\r\n".encode())
        assert raw.recv(12) in (b"HTTP/1.1 401", b"HTTP/1.1 404", b"HTTP/1.1 405")
        assert closed(raw)


def refused(running: Lab) -> socket.socket:
    """Return the connection of a client that was refused, and sends nothing of its body."""
    raw = connected(running)
    raw.sendall(SILENT)
    answer = http.client.HTTPResponse(raw)
    answer.begin()
    assert (answer.status, answer.headers["X-Toolkit-Error"]) == (401, "missing_api_key")
    answer.read()
    return raw


def test_so_many_silent_clients_are_waited_for_and_no_more(running: Lab) -> None:
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(refused(running)) for _ in range(2 * MOST)]
        until(lambda: sum(map(is_kept, made)) == MOST)
        # Those that the router waits for count, however long they are there.
        time.sleep(2.5)
        for _ in range(2):
            late = stack.enter_context(refused(running))
            until(lambda late=late: not is_kept(late))  # type: ignore[misc]
        assert sum(map(is_kept, made)) == MOST
    # The places of those that have left are free again: a client reads its refusal after all of its body. The router
    # looks for them once in a second.
    assert until(lambda: code_after_all_of(running)) == "missing_api_key"


def code_after_all_of(running: Lab) -> str:
    """Return the code of the refusal that a client reads after a large body; nothing where it is cut off amid it."""
    try:
        status, answer, _ = running.ask(PATH, b"x" * 20_000_000)
    except ConnectionError:
        return ""
    assert status == 401
    return str(answer["error"]["code"])
