"""Requests to a replica in turn: all are sent, and the first that fails and may not is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.stand_in import Engine

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import in_turn


def status_of_body(request: BaseHTTPRequestHandler, body: bytes) -> None:
    """Answer with the status that the body asks for."""
    status = json.loads(body)["status"]
    words = f"so it is: {status}".encode()
    request.send_response(status)
    request.send_header("Content-Length", str(len(words)))
    request.end_headers()
    request.wfile.write(words)


@pytest.fixture
def engine() -> Iterator[Engine]:
    found = Engine()
    found.said = lambda request: status_of_body(request, found.asked[-1][2])
    yield found
    found.close()


def calls(*wanted: tuple[int, bool]) -> list[dict[str, Any]]:
    return [
        {"path": f"/{place}", "payload": {"status": status}, "may_fail": may_fail}
        for place, (status, may_fail) in enumerate(wanted)
    ]


@pytest.mark.parametrize(
    ("wanted", "status", "error"),
    [
        ([], 200, ""),
        ([(200, False), (200, False)], 200, ""),
        ([(404, True), (200, False)], 200, ""),
        ([(404, False), (200, False)], 404, "so it is: 404"),
        ([(200, False), (500, False), (404, False)], 500, "so it is: 500"),
    ],
)
def test_all_are_sent_and_the_first_failure_is_told(
    engine: Engine, wanted: list[tuple[int, bool]], status: int, error: str
) -> None:
    found = in_turn.call(engine.port, calls(*wanted), 0.0, 5.0)
    assert found == {"status": status, "error": error}
    assert [path for path, *_ in engine.asked] == [f"/{place}" for place in range(len(wanted))]


def test_an_engine_that_is_gone_is_told(engine: Engine) -> None:
    engine.close()
    found = in_turn.call(engine.port, calls((200, False)), 0.0, 2.0)
    assert found["status"] == 0
    assert "refused" in found["error"].lower()


def test_a_pause_has_a_bound(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(in_turn.time, "sleep", slept.append)
    in_turn.call(engine.port, [], 1e9, 1.0)
    in_turn.call(engine.port, [], -1.0, 1.0)
    assert slept == [in_turn.bounds.PAUSE, 0.0]
