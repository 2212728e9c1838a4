"""What the host makes of an engine's answers."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HOSTSIDE = Path(__file__).parents[2] / "toolkit" / "hostside"
CHAT = {"messages": [], "stream": True}


@pytest.fixture
def completion(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(HOSTSIDE))
    spec = importlib.util.spec_from_file_location("hostside_completion", HOSTSIDE / "completion.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def engine() -> Iterator[Callable[[str], int]]:
    """Starts a server that answers every request with a body, and returns its port."""
    servers: list[HTTPServer] = []

    def start(body: str) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return int(servers[-1].server_port)

    yield start
    for each in servers:
        each.shutdown()
        each.server_close()


def events(*said: Any) -> str:
    return "".join(
        f"data: {each if isinstance(each, str) else json.dumps(each)}\n\n" for each in said
    )


def part(**choice: Any) -> dict[str, Any]:
    return {"choices": [choice]}


@pytest.mark.parametrize(
    ("payload", "body", "text", "finish_reason", "error"),
    [
        (
            CHAT,
            events(
                part(delta={"role": "assistant", "content": ""}),
                part(delta={"reasoning_content": "well, "}),
                part(delta={"content": "Paris"}),
                part(delta={}, finish_reason="stop"),
                # the counts of tokens, where they are asked for
                {"choices": [], "usage": {"total_tokens": 7}},
                "[DONE]",
            ),
            "well, Paris", "stop", "",
        ),
        ({"prompt": [1], "stream": True}, events(part(text="Pa"), part(text="ris"), "[DONE]"), "Paris", "", ""),
        ({"prompt": [1]}, json.dumps(part(text="Paris", finish_reason="length")), "Paris", "length", ""),
        (CHAT, events(part(delta={"content": "Pa"})), "", "", "a stream that breaks off"),
        (CHAT, "", "", "", "a stream that breaks off"),
        (
            CHAT,
            events(part(delta={"content": "Pa"}), {"error": {"message": "EngineDeadError"}}, "[DONE]"),
            "Pa", "", "an error: {'message': 'EngineDeadError'}",
        ),
        (CHAT, events("{", "[DONE]"), "", "", "not a completion: "),
        (CHAT, events({"choices": [{}]}, "[DONE]"), "", "", "not a completion: 'message'"),
        ({"messages": []}, "[]", "", "", "not a completion: "),
    ],
)  # fmt: skip
def test_an_answer_says_this(
    completion: ModuleType,
    engine: Callable[[str], int],
    payload: dict[str, Any],
    body: str,
    text: str,
    finish_reason: str,
    error: str,
) -> None:
    found = completion.complete(engine(body), payload, 5)
    assert (found["status"], found["text"], found["finish_reason"]) == (200, text, finish_reason)
    assert found["error"].startswith(error)
    assert bool(found["error"]) == bool(error)
