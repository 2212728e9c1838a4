"""Clients of a mirror that keep their requests to themselves take no place from others."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.adapters.hub_server import PublishedFiles
from tests.on_thread import serve_on_thread
from toolkit.adapters.mirror import server
from toolkit.adapters.mirror.app import mirror_app

HALF = b"GET /api/models HTTP/1.1\r\nHost: x\r\nX-A: "
PLACES = 4


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mirror with few places."""
    files = server._OWN_FILES + server._FILES * PLACES
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    with serve_on_thread(mirror_app(PublishedFiles(tmp_path))) as found:
        yield found


def _half_sent(endpoint: str) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2])), timeout=60)
    made.sendall(HALF)
    return made


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_crowd_of_unfinished_requests_locks_nobody_out(endpoint: str) -> None:
    with ExitStack() as held:
        crowd = [held.enter_context(_half_sent(endpoint)) for _ in range(3 * PLACES)]
        assert httpx2.get(f"{endpoint}/api/models", timeout=60).json() == []
        # The first ones waited the longest.
        assert all(map(_is_closed, crowd[:PLACES]))


def test_an_unfinished_request_ends_by_itself(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD", 0.1)
    with _half_sent(endpoint) as alone:
        assert _is_closed(alone)


def test_a_connection_that_is_kept_serves_on(endpoint: str) -> None:
    with httpx2.Client(timeout=60) as client:
        codes = [client.get(f"{endpoint}/api/models").status_code for _ in range(3)]
    assert codes == [200] * 3
