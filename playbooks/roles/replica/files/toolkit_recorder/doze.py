"""Lets root put the engine to sleep and wake it, and refuses all requests meanwhile.

An engine that dozes has its weights in the host's memory and no cache. By itself it still says that it is well, and
lets requests wait for ever. So the server answers for it: 503, also to the router's checks.

The way in is a UNIX socket in the replica's home, which nobody but root and the replica's own user reaches. One line
asks, `sleep` or `wake`, and one line of JSON answers: {"ok", "why"}. `settle` has its answer once nothing of both is
under way.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# The variable that names the socket; a replica that cannot doze has none.
VARIABLE = "TOOLKIT_DOZE"
# Weights go to the host's memory, and the cache is dropped.
LEVEL = 1
# Requests for the engine's counters go on: the counters stay as they are.
_OPEN = ("/metrics",)
_REFUSAL = json.dumps(
    {"error": {"message": "this replica dozes", "type": "ServiceUnavailable", "code": 503}}
).encode()

Message = MutableMapping[str, Any]


class Doze:
    """The sleep of the engine behind a server. It `dozes` from the moment in which it is asked to."""

    def __init__(self) -> None:
        self.dozes = False
        self._engine: Any = None
        self._turn: asyncio.Lock | None = None
        self._server: asyncio.AbstractServer | None = None

    async def listen(self, path: str, engine: Any) -> None:
        """Listen at the socket `path` for `engine`, a client of vLLM's engine that runs in this loop."""
        self._engine, self._turn = engine, asyncio.Lock()
        self._server = await asyncio.start_unix_server(self._answer, sock=_socket(path))

    def end(self) -> None:
        """Listen no more: the server ends."""
        if self._server is not None:
            self._server.close()

    def refuses(self, scope: Message) -> bool:
        """Whether a request gets no other answer than that the replica dozes."""
        return self.dozes and scope["type"] == "http" and scope["path"] not in _OPEN

    async def refuse(self, send: Callable[[Message], Awaitable[None]]) -> None:
        """Answer a request in the engine's place."""
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": _REFUSAL})

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            word = (await reader.readline()).decode("ascii", "replace").strip()
            why = await self._do(word)
            writer.write(json.dumps({"ok": not why, "why": why}).encode() + b"\n")
            await writer.drain()
        except OSError as error:
            # The replica dozes or wakes all the same.
            sys.stderr.write(f"toolkit: who asked the replica to doze or wake has left: {error}\n")
        finally:
            writer.close()

    async def _do(self, word: str) -> str:
        """Do what was asked for; return why it failed, empty where it did not."""
        assert self._turn is not None
        if word not in ("sleep", "wake", "settle"):
            return f"{word!r} is neither sleep nor wake"
        async with self._turn:
            try:
                if word != "settle":
                    await (self._sleep() if word == "sleep" else self._wake())
            except Exception as error:
                return f"{type(error).__name__}: {error}"
        return ""

    async def _sleep(self) -> None:
        # Shut it first, so that no request reaches an engine that falls asleep. After a failure it stays shut.
        self.dozes = True
        await self._engine.sleep(level=LEVEL)
        if not await self._engine.is_sleeping():
            raise RuntimeError("the engine says that it does not sleep")

    async def _wake(self) -> None:
        await self._engine.wake_up()
        if await self._engine.is_sleeping():
            raise RuntimeError("the engine says that it still sleeps")
        self.dozes = False


def _socket(path: str) -> socket.socket:
    """Return a socket that is bound to `path`, whose directory may have a longer name than an address takes."""
    directory, name = os.path.split(path)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if os.path.lexists(path):
            # Of a former start in the same home.
            os.unlink(name, dir_fd=handle)
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            found.bind(f"/proc/self/fd/{handle}/{name}")
        finally:
            os.umask(mask)
        return found
    finally:
        os.close(handle)
