"""An engine that leads a name to other weights than its release is told as drift, and never without its word."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "toolkit/hostside"))

import guard_order
import loaded_adapters
import observe
import open_deployment

A, B = "a" * 64, "b" * 64
BASE = {"id": "tiny", "root": ".", "parent": None}


class Engine:
    """An engine that answers `body` with `status` at every path."""

    def __init__(self) -> None:
        self.status, self.body, engine = 200, b"", self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(engine.status)
                self.end_headers()
                self.wfile.write(engine.body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def lists(self, **names: str) -> None:
        cards = [
            {"id": each, "root": f"/r/snapshots/{to}", "parent": "tiny"}
            for each, to in names.items()
        ]
        self.body = json.dumps({"object": "list", "data": [BASE, *cards]}).encode()


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.server.shutdown()
    made.server.server_close()


def manifest(port: int, **adapters: str) -> dict[str, Any]:
    named = [{"name": each, "snapshot": digest} for each, digest in adapters.items()]
    release = {"number": 1, "snapshot": "s", "args": [], **({"adapters": named} if named else {})}
    signs = {"adapters": "/v1/models"}
    return {"model": "tiny", "slot": "blue", "port": port, "release": release, "signs": signs}


@pytest.mark.parametrize(
    ("listed", "wanted", "words"),
    [
        ({}, {}, []),
        ({"sql": A}, {"sql": A}, []),
        # While an adapter is proven or compared it has another name, which no client can request.
        ({"sql": A, "sql@bbbb": B}, {"sql": A}, []),
        ({}, {"sql": A}, ["its engine has no adapter sql"]),
        ({"law": B}, {}, ["its engine has the adapter law, which its release has not"]),
        (
            {"sql": B},
            {"sql": A},
            [f"its engine leads the adapter sql to {'b' * 12}, its release to {'a' * 12}"],
        ),
    ],
)
def test_what_the_engine_lists_is_compared_with_the_release(
    engine: Engine, listed: dict[str, str], wanted: dict[str, str], words: list[str]
) -> None:
    engine.lists(**listed)
    assert loaded_adapters.drift(manifest(engine.port, **wanted), "/v1/models") == words


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (404, b"{}"), (200, b"[]"), (200, b'{"data": [1]}'), (200, b"{" * 9999)],
)
def test_an_engine_that_does_not_tell_has_no_drift(
    engine: Engine, status: int, body: bytes
) -> None:
    engine.status, engine.body = status, body
    assert loaded_adapters.drift(manifest(engine.port, sql=A), "/v1/models") == []


def test_one_that_does_not_answer_or_takes_no_adapters_has_none_either(engine: Engine) -> None:
    engine.lists(law=B)
    assert loaded_adapters.drift(manifest(1, sql=A), "/v1/models") == []
    assert loaded_adapters.drift(manifest(engine.port, sql=A), "") == []


def test_nothing_is_compared_while_a_command_or_a_guard_changes_them(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.lists(sql=B)
    made, root = manifest(engine.port, sql=A), str(tmp_path)
    assert len(observe._adapter_drift(root, made)) == 1
    open_deployment.keep(root, {"rollout": "r1", "model": "tiny"})
    assert observe._adapter_drift(root, made) == []
    open_deployment.keep(root, {"rollout": "r1", "model": "other"})
    assert len(observe._adapter_drift(root, made)) == 1
    monkeypatch.setattr(guard_order, "read", lambda *_: {"model": "tiny"})
    assert observe._adapter_drift(root, made) == []
