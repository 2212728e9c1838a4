"""A server with the recorder around it, and requests to it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from toolkit_recorder.middleware import Recorder

from tests.recorder.engine_double import OutputProcessor, Server

CHAT = "/v1/chat/completions"
TOLD = {"program": "tiny-blue", "model": "tiny", "version": "v1", "release": 3, "engine": "vllm-0"}


class Lab:
    """A server with the recorder around it, and one without."""

    def __init__(self, directory: Path, processor: OutputProcessor) -> None:
        self.directory, self.processor = directory, processor
        self.plain = Server(processor)
        self.recorder = Recorder(self.plain)

    def lines(self) -> list[dict[str, Any]]:
        texts = (each.read_text() for each in sorted(self.directory.iterdir()))
        return [json.loads(line) for text in texts for line in text.splitlines()]

    def records(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if "key" in line]

    def agrees(self) -> None:
        """The sum of all records is what the engine has counted."""
        records = self.records()
        counted = tuple(sum(each[name] for each in records) for name in ("asked", "out"))
        assert counted == tuple(self.processor.counters.values())


async def ask(
    app: Any,
    body: Any,
    *,
    path: str = CHAT,
    method: str = "POST",
    headers: tuple[tuple[bytes, bytes], ...] = (
        (b"x-toolkit-key", b"ann"),
        (b"x-request-id", b"r"),
    ),
    leave: int = 0,
    then: Callable[[], Awaitable[None]] | None = None,
) -> list[dict[str, Any]]:
    """Send a request as a server does, hang up after `leave` events; return the messages of the answer."""
    came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    came.put_nowait({"type": "http.request", "body": data[:5], "more_body": True})
    came.put_nowait({"type": "http.request", "body": data[5:], "more_body": False})
    went: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        went.append(dict(message))
        events = sum(each["type"] == "http.response.body" for each in went)
        if leave and events == leave:
            came.put_nowait({"type": "http.disconnect"})
            await asyncio.sleep(0)

    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    await app(scope, came.get, send)
    if then:
        await then()
    return went


async def come(found: Callable[[], bool]) -> None:
    """Return once it is found: the recorder writes after the answer, as soon as a busy machine lets it."""
    end = time.monotonic() + 60
    while not found():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def run(work: Awaitable[Any]) -> Any:
    async def whole() -> Any:
        return await work

    return asyncio.run(whole())


REQUESTS = [
    # request, and of its line: in, asked, cached, out
    ({"prompts": [12], "tokens": 4}, (12, 12, 0, 4)),
    ({"prompts": [12], "tokens": 4, "cached": 8}, (12, 12, 8, 4)),
    ({"prompts": [12], "tokens": 4, "stream": True}, (12, 12, 0, 4)),
    ({"prompts": [12], "tokens": 4, "stream": True, "usage": True}, (12, 12, 0, 4)),
    ({"prompts": [12], "tokens": 4, "n": 3}, (12, 36, 0, 12)),
    ({"prompts": [12], "tokens": 4, "n": 3, "stream": True}, (12, 36, 0, 12)),
    ({"prompts": [3, 5], "tokens": 2}, (8, 8, 0, 4)),
    ({"prompts": [3, 5], "tokens": 2, "n": 2}, (8, 16, 0, 8)),
    # an embedding
    ({"prompts": [7], "tokens": 0}, (7, 7, 0, 0)),
]
