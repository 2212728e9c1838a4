"""What the host makes of an engine's answers."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import contextlib
import importlib.util
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.pace import Pace

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
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return int(servers[-1].server_port)

    yield start
    for each in servers:
        each.shutdown()
        each.server_close()


@pytest.fixture
def slow_engine() -> Iterator[int]:
    """The port of a server whose stream goes on for ever, an event each tenth of a second."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(events(part(delta={"content": "on "})).encode())
                    time.sleep(0.1)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_an_answer_without_end_is_given_up_in_time(
    completion: ModuleType, slow_engine: int, pace: Pace
) -> None:
    started = pace()
    found = completion.complete(slow_engine, CHAT, 0.5)
    assert (found["status"], found["text"]) == (0, "")
    assert "imed out" in found["error"] or "did not end in time" in found["error"]
    assert pace() - started < 5


@pytest.fixture
def dripping_engine() -> Iterator[int]:
    """The port of a server whose header goes on by a byte at a time, for a minute."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
                for _ in range(1200):
                    self.wfile.write(b"a")
                    time.sleep(0.05)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_an_engine_that_gives_its_header_byte_by_byte_holds_nobody_up(
    completion: ModuleType, dripping_engine: int, pace: Pace
) -> None:
    started = pace()
    assert completion.healthy(dripping_engine, "/health", 0.5) is False
    assert completion.metrics(dripping_engine, "/metrics", 0.5) == []
    assert pace() - started < 4


def test_what_is_no_number_in_an_engines_metrics_counts_as_nothing(
    completion: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        *('first_sum{a="1"} 1.5', 'first_sum{a="2"} 2', 'first_count{a="1"} 3', "first_bucket 9"),
        *("first_sum x", "first_sum", "first_count nan", "first_count 1e999", "first_count -4"),
        *("next_sum 1_000", "next_count inf"),
    ]
    monkeypatch.setattr(completion, "metrics", lambda *_: lines)
    assert completion.sums(1, "/metrics", ["first", "next"]) == {"first": (3.5, 3.0)}


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
        # vLLM's own name of the field, of a whole answer that ends in the middle of a thought
        (CHAT, events(part(delta={"reasoning": "well, "}), part(delta={"content": "Paris"}), "[DONE]"), "well, Paris", "", ""),
        ({"messages": []}, json.dumps(part(message={"content": None, "reasoning": "well"}, finish_reason="length")), "well", "length", ""),
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
        ({"messages": []}, json.dumps(part(message={"content": 5})), "", "", "not a completion: its text is none"),
        ({"messages": []}, json.dumps(part(message="hello")), "", "", "not a completion: "),
        ({"prompt": [1]}, json.dumps(part(text=["a"])), "", "", "not a completion: its text is none"),
        (CHAT, events(["error"], "[DONE]"), "", "", "not a completion: "),
        (CHAT, events("[" * 100_000, "[DONE]"), "", "", "not a completion: "),
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
