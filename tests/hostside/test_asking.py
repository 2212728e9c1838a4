"""What the host sends to an engine for a whole answer, and what it makes of it."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import time
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.hostside.stand_in import Engine, Said
from tests.pace import Pace

HOSTSIDE = Path(__file__).parents[2] / "toolkit" / "hostside"
CHAT = "/v1/chat/completions"


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(HOSTSIDE))
    spec = importlib.util.spec_from_file_location("hostside_asking", HOSTSIDE / "asking.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def engine() -> Iterator[Engine]:
    found = Engine()
    yield found
    found.close()


def answering(*parts: bytes, status: int = 200, pause: float = 0.0) -> Said:
    def say(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.end_headers()
        for part in parts:
            request.wfile.write(part)
            request.wfile.flush()
            time.sleep(pause)

    return say


def dripping(beginning: bytes) -> Said:
    """Answer with a beginning that goes on by a byte at a time, for a minute."""

    def say(request: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            request.wfile.write(beginning)
            for _ in range(1200):
                request.wfile.write(b"a")
                request.wfile.flush()
                time.sleep(0.05)

    return say


def event(delta: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def test_a_request_is_marked_as_a_probe(asking: ModuleType, engine: Engine) -> None:
    engine.said = answering(b'{"data": 1}')
    found = asking.ask(engine.port, "/v1/embeddings", {"input": "a"}, 60)
    path, headers, body = engine.asked[0]
    assert (path, headers["X-Toolkit-Probe"], json.loads(body)) == (
        "/v1/embeddings",
        "1",
        {"input": "a"},
    )
    assert (found["status"], found["body"], found["error"]) == (200, '{"data": 1}', "")


def test_the_time_to_the_first_token_counts_neither_role_nor_empty_parts(
    asking: ModuleType, engine: Engine
) -> None:
    parts = [
        event({"role": "assistant", "content": ""}),
        event({"reasoning": "so"}),
        event({"content": "Paris"}),
        b"data: [DONE]\n\n",
    ]
    engine.said = answering(*parts, pause=0.05)
    found = asking.ask(engine.port, CHAT, {"stream": True}, 60)
    assert (found["status"], found["error"], len(found["events"]), len(found["gaps"])) == (
        200,
        "",
        3,
        1,
    )
    # A part that is read late makes the gap after it shorter.
    assert 0.05 <= found["first"] < found["seconds"]
    assert 0.1 <= found["first"] + found["gaps"][0] < found["seconds"]
    assert found["gaps"][0] >= 0


def test_an_event_may_come_in_pieces(asking: ModuleType, engine: Engine) -> None:
    whole = event({"content": "Paris"}) + b"data: [DONE]\r\n\r\n"
    engine.said = answering(whole[:9], whole[9:30], whole[30:])
    found = asking.ask(engine.port, CHAT, {"stream": True}, 60)
    assert (found["events"], found["error"]) == ([event({"content": "Paris"})[6:-2].decode()], "")


@pytest.mark.parametrize(
    ("said", "seconds", "status", "error"),
    [
        (answering(event({"content": "Pa"})), 60, 200, "a stream that breaks off"),
        (answering(), 60, 200, "a stream that breaks off"),
        (answering(b'{"error": "no"}', status=500), 60, 500, '{"error": "no"}'),
        (lambda request: request.wfile.write(b"no HTTP at all\r\n\r\n"), 60, 0, "BadStatusLine: "),
        (answering(*[event({"content": "on"})] * 40, pause=0.05), 0.5, 0, "TimeoutError: "),
        (dripping(b"HTTP/1.1 200 OK\r\nx: "), 0.5, 0, "TimeoutError: "),
        (dripping(b"HTTP/1.1 2"), 0.5, 0, "TimeoutError: "),
        (
            answering(event("no mapping"), b"data: {\n\n", b"data: " + b"[" * 9000),
            60, 200, "a stream that breaks off",
        ),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_told(
    asking: ModuleType,
    engine: Engine,
    said: Said,
    seconds: float,
    status: int,
    error: str,
    pace: Pace,
) -> None:
    engine.said = said
    started = pace()
    found = asking.ask(engine.port, CHAT, {"stream": True}, seconds)
    assert (found["status"], found["error"][: len(error)]) == (status, error)
    assert pace() - started < 3


def test_nobody_there_is_told(asking: ModuleType) -> None:
    found = asking.ask(1, CHAT, {}, 60)
    assert (found["status"], found["error"][:22]) == (0, "ConnectionRefusedError")


def test_an_answer_is_bounded(asking: ModuleType, engine: Engine) -> None:
    engine.said = answering(*[b"a" * 2**20] * 6)
    assert len(asking.ask(engine.port, CHAT, {}, 60)["body"]) < 4.1 * 2**20


def test_a_recording_is_sent_as_a_form(asking: ModuleType, engine: Engine) -> None:
    engine.said = answering(b'{"text": "hello"}')
    file = {
        "name": 'a".wav',
        "type": "audio/wav",
        "data": base64.b64encode(b"RIFF\r\n--x").decode(),
    }
    payload = {"model": "tiny", "temperature": 0, "file": file}
    found = asking.ask(engine.port, "/v1/audio/transcriptions", payload, 60)
    assert json.loads(found["body"]) == {"text": "hello"}
    _, headers, body = engine.asked[0]
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    form = BytesParser().parsebytes(head + body)
    sent = {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in form.get_payload()
    }
    assert sent == {"file": b"RIFF\r\n--x", "model": b"tiny", "temperature": b"0"}


def test_a_file_that_is_none_is_told(asking: ModuleType, engine: Engine) -> None:
    found = asking.ask(engine.port, CHAT, {"file": {"name": "a", "type": "b", "data": "%"}}, 60)
    assert (found["status"], found["error"][:21]) == (0, "ValueError: no file: ")
    assert engine.asked == []
