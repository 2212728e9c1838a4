"""Put the recorder around a server (ASGI). It looks at requests and answers, and changes no byte of an answer.

Errors on the paths of Anthropic's API are the exception: they get the shape of that API, see `anthropic.py`.

The mark at the end of a stream goes out together with the end itself. Clients hang up at the mark, and a router between
would otherwise see them leave amid an answer.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from toolkit_recorder import anthropic, counting, states
from toolkit_recorder.book import Book
from toolkit_recorder.doze import VARIABLE as DOZE
from toolkit_recorder.doze import Doze
from toolkit_recorder.lines import fields
from toolkit_recorder.use import Message, Receive, Scope, Send, Use, looked_through

App = Callable[[Scope, Receive, Send], Awaitable[None]]

# The variable with the release of the records and their place.
VARIABLE = "TOOLKIT_USE"
# Seconds between two lines of counters, between two looks at a request whose client left, and until the last such look.
BETWEEN, LOOK, PATIENCE = 5.0, 0.05, 60.0

_current: contextvars.ContextVar[Use | None] = contextvars.ContextVar("use", default=None)


class Recorder:
    """The recorder around `app`.

    Whatever goes wrong within it is counted and said once, and the app goes on without it.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.faults = 0
        self.book: Book | None = None
        self.model = ""
        self._open: set[Use] = set()
        # Requests that have ended since the loop's last turn, and when. Often several end at once.
        self._ended: list[tuple[Use, float]] = []
        self._looked = 0.0
        self._told: tuple[Any, ...] = ()
        self._planned = self._watched = False
        self.doze = Doze()
        try:
            given = json.loads(os.environ[VARIABLE])
            directory = given.pop("directory")
            self.model = given["model"]
            self.book = Book(directory, {**given, "started": round(time.time(), 3)})
            self._watched = states.watch(self._begun, self._fault)
        except Exception as error:
            self._fault(error)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a connection."""
        if self.doze.dozes and self.doze.refuses(scope):
            return self.doze.refuse(send)
        if scope["type"] == "lifespan":
            return self._live(scope, receive, send)
        if scope["type"] == "http" and scope["path"].startswith(anthropic.PATH):
            send = anthropic.in_shape(scope, send)
        if self.book is None or scope["type"] != "http" or scope["method"] != "POST":
            return self.app(scope, receive, send)
        return self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        use = Use(scope)

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not use.whole:
                use.left = True
            return message

        sent, rest = looked_through(use, send)
        self._open.add(use)
        token = _current.set(use)
        try:
            await self.app(scope, received, sent)
            if (held := rest()) is not None:
                await send(held)
        except BaseException:
            use.raised = True
            raise
        finally:
            _current.reset(token)
            rest()
            self._ended.append((use, time.monotonic()))
            if len(self._ended) == 1:
                asyncio.get_running_loop().call_soon(self._guarded, self._settle_ended)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the server's own life: listen for who lets it doze, and write the last counters at its end."""

        async def sent(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete" and DOZE in os.environ:
                try:
                    await self.doze.listen(os.environ[DOZE], scope["app"].state.engine_client)
                except Exception as error:
                    words = f"{type(error).__name__}: {error}"
                    sys.stderr.write(f"toolkit: this replica cannot doze: {words}\n")
            elif message["type"].startswith("lifespan.shutdown."):
                self.doze.end()
                self._guarded(self._end)
            await send(message)

        await self.app(scope, receive, sent)

    def _end(self) -> None:
        """Write what is still open, and the counters: the process ends."""
        now = time.monotonic()
        self._settle([(use, now) for use in self._open], patience=0)
        self._count()

    def _begun(self, processor: Any, request_id: str) -> None:
        """Note that the engine takes a sequence: of the request in whose context it does so."""
        use = _current.get()
        if use is not None and not use.written:
            use.take_sequence(processor, request_id)
            return
        # Nobody waits for tokens that an engine computes on its own, or for a request that was answered before.
        alone = Use({"headers": (), "path": "-"})
        if use is not None:
            alone.key, alone.id, alone.api = use.key, use.id, use.api
        alone.status, alone.whole = 200, True
        self._open.add(alone)
        alone.take_sequence(processor, request_id)
        self._settle([(alone, time.monotonic())], patience=float("inf"))

    def _settle_ended(self) -> None:
        """Settle what has ended since the loop's last turn."""
        ended, self._ended = self._ended, []
        self._settle(ended)

    def _settle(self, ended: list[tuple[Use, float]], patience: float = PATIENCE) -> None:
        """Write the lines of requests, of each once the engine computes nothing for it any more.

        A client's leaving reaches the engine a moment after the answer's end, and the engine counts until then.
        """
        lines, waiting = [], []
        now = time.monotonic()
        for use, at in ended:
            if use.written:
                continue
            if use.is_open() and now < at + patience:
                waiting.append((use, at))
                continue
            use.written = True
            self._open.discard(use)
            if use.sequences or use.api in counting.APIS:
                try:
                    lines.append(self._line(use, at))
                except Exception as error:
                    self._fault(error)
        if waiting:
            loop = asyncio.get_running_loop()
            loop.call_later(LOOK, self._guarded, self._settle, waiting, patience)
        if lines:
            self._plan()
            assert self.book is not None
            self.book.record(*lines)

    def _line(self, use: Use, ended: float) -> str:
        kept = use.kept()
        needed = use.api in counting.STATING or not self._watched
        needed = needed or (use.stream and (kept is None or counting.may_say_failed(use.pieces)))
        objects = counting.last_objects(use.pieces) if needed else ()
        usage = counting.usage_of(objects) if objects else {}
        if use.left and counting.at_its_end(use.pieces):
            use.left, use.whole = False, True
        end = counting.ended(
            use.status, left=use.left, whole=use.whole, raised=use.raised, objects=objects
        )
        parts, model = use.parts(), self.model
        for part in parts:
            if part.name:
                model = part.name
                break
        if not self._watched:
            count = counting.stated(usage if kept is None else kept.model_dump())
        elif use.known:
            count = counting.counted(parts, use.thoughts(kept, usage))
        else:
            count = counting.UNKNOWN
        first = use.first - use.began if use.stream and use.first else None
        audio = counting.audio_of(usage) if usage else None
        times = (time.time(), ended - use.began, first)
        return fields((use.key, model, use.api, use.id), count, end, times, audio)

    def _plan(self) -> None:
        """Write the counters soon: after a moment in which the engine moves them, and not too often."""
        if not self._planned:
            self._planned = True
            wait = max(0.5, self._looked + BETWEEN - time.monotonic())
            asyncio.get_running_loop().call_later(wait, self._guarded, self._count)

    def _count(self) -> None:
        self._planned = False
        self._looked = time.monotonic()
        if self.book is None:
            return
        running = [use.count() for use in self._open]
        line = {
            "counters": states.counters(),
            "n": self.book.number,
            "open": sum(use.is_open() for use in self._open),
            "running": {
                "in": sum(count.asked or 0 for count in running),
                "out": sum(count.went or 0 for count in running),
            },
            "faults": self.faults,
        }
        now = (json.dumps(line["counters"]), line["n"], line["open"])
        if now != self._told:
            self._told = now
            self.book.write({**line, "at": round(time.time(), 3)})
        if self._open:
            self._plan()

    def _guarded(self, call: Callable[..., None], *given: Any) -> None:
        try:
            call(*given)
        except Exception as error:
            self._fault(error)

    def _fault(self, error: BaseException) -> None:
        self.faults += 1
        if self.faults == 1:
            words = f"{type(error).__name__}: {error}"
            sys.stderr.write(f"toolkit: the use of a request is not recorded: {words}\n")
