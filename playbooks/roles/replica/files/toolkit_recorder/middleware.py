"""Puts the recorder around a server (ASGI): what passes is looked at, and no byte of an answer is changed.

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
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from toolkit_recorder import counting, states
from toolkit_recorder.book import Book
from toolkit_recorder.counting import OBJECT, OBJECT_END, Count
from toolkit_recorder.doze import VARIABLE as DOZE
from toolkit_recorder.doze import Doze

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# The variable that says for which release the records are, and where they go.
VARIABLE = "TOOLKIT_USE"
# The router names the key of each request to the engine; a request without the header is the toolkit's own probe.
KEY, REQUEST = b"x-toolkit-key", b"x-request-id"
PROBE = "probe"
STREAM = b"text/event-stream"

# Seconds between two lines of counters, between two looks at a request whose client left, and until the last such look.
BETWEEN, LOOK, PATIENCE = 5.0, 0.05, 60.0

_current: contextvars.ContextVar[Use | None] = contextvars.ContextVar("use", default=None)


class Use:
    """A request while it is answered, by what passes of it."""

    def __init__(self, scope: Scope) -> None:
        headers = {name: value for name, value in scope["headers"] if name in (KEY, REQUEST)}
        self.key = headers.get(KEY, PROBE.encode()).decode("latin-1")
        self.id = headers.get(REQUEST, b"").decode("latin-1")
        self.api: str = scope["path"]
        self.scope = scope
        self.began = time.monotonic()
        self.first: float | None = None
        self.status = 0
        self.stream = self.left = self.whole = self.raised = self.written = False
        self.pieces: deque[bytes] = deque(maxlen=counting.LAST_PIECES)
        self.sequences: list[states.Sequence] = []
        self.known = True

    def take(self, message: Message) -> None:
        """Look at what came from the client."""
        if message["type"] == "http.disconnect" and not self.whole:
            self.left = True

    def is_amid(self) -> bool:
        """Whether its stream has its first token, and its server does not say by `send` that the client has left.

        None does before version 2.4 of the protocol.
        """
        version = self.scope.get("asgi", {}).get("spec_version", "2.0")
        return self.stream and self.first is not None and version < "2.4"

    def give(self, message: Message) -> bool:
        """Look at what goes to the client; return whether it is the last event of a stream."""
        if message["type"] == "http.response.body":
            body = message.get("body")
            if body and not (self.stream and body.startswith(counting.COMMENT)):
                if self.first is None and not body.startswith(counting.WITHOUT_TOKEN):
                    self.first = time.monotonic()
                self.pieces.append(body)
            if not message.get("more_body") and not self.left:
                self.whole = True
        elif message["type"] == "http.response.start":
            self.status = message["status"]
            self.stream = any(
                name.lower() == b"content-type" and value.startswith(STREAM)
                for name, value in message.get("headers", ())
            )
        return self.stream and counting.is_end_mark(message.get("body", b""))

    def take_sequence(self, sequence: Callable[[], states.Sequence]) -> None:
        """Count one more sequence; where that cannot be, the request's tokens are unknown."""
        try:
            self.sequences.append(sequence())
        except Exception:
            self.known = False
            raise

    def is_open(self) -> bool:
        """Whether the engine still computes something for it."""
        return any(each.is_open() for each in self.sequences)

    def count(self) -> Count:
        """Return the tokens so far."""
        return counting.counted([each.part() for each in self.sequences])

    def kept(self) -> Any:
        """Return the usage that vLLM keeps for middleware, of a stream without usage too; None where it keeps none."""
        metadata = self.scope.get("state", {}).get("request_metadata")
        return getattr(metadata, "final_usage_info", None)

    def thoughts(self, kept: Any, usage: Mapping[str, Any]) -> int | None:
        """Return the tokens of thoughts by what vLLM has `kept`, or else by the `usage` that the answer states."""
        if kept is None:
            return counting.reasoning_of(usage)
        # Few answers have thoughts, and the whole is a document to make.
        if not any(getattr(kept, name, None) for name in counting.OF_ANSWER):
            return None
        return counting.reasoning_of(kept.model_dump())


def _looked_through(use: Use, send: Send) -> tuple[Send, Callable[[], Message | None]]:
    """Return what sends to the client by `send` and lets `use` see it, and what returns the message that is held."""
    held: list[Message] = []
    # The last two pieces, amid a stream whose first token is out and whose mark is not held; None elsewhere.
    last: bytes | None = None
    before: bytes | None = None

    def sent(message: Message) -> Awaitable[None]:
        # For most events of a stream this is all. So it is no coroutine of its own, and touches as little as can be.
        nonlocal last, before
        try:
            plain = last is not None and message["more_body"]
            body = message["body"]
        except KeyError:
            return look(message)
        if plain and body.startswith(OBJECT) and body.endswith(OBJECT_END):
            before, last = last, body
            return send(message)
        return look(message)

    async def look(message: Message) -> None:
        nonlocal last, before
        kept, marks = rest(), use.give(message)
        if kept is not None:
            message = counting.joined(kept, message)
        if marks:
            held.append(message)
            return
        if use.is_amid():
            before = last = b""
        try:
            await send(message)
        except OSError:
            use.left = not use.whole
            raise

    def rest() -> Message | None:
        nonlocal last, before
        use.pieces.extend(filter(None, (before, last)))
        before = last = None
        return held.pop() if held else None

    return sent, rest


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if self.doze.refuses(scope):
            await self.doze.refuse(send)
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif self.book is None or scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        use = Use(scope)

        async def received() -> Message:
            message = await receive()
            use.take(message)
            return message

        sent, rest = _looked_through(use, send)
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
            try:
                self._settle(use, time.monotonic())
            except Exception as error:
                self._fault(error)

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
        for use in [*self._open]:
            self._settle(use, time.monotonic(), patience=0)
        self._count()

    def _begun(self, sequence: Callable[[], states.Sequence]) -> None:
        """Note that the engine takes a sequence: of the request in whose context it does so."""
        use = _current.get()
        if use is not None and not use.written:
            use.take_sequence(sequence)
            return
        # What an engine computes on its own, or for a request that was answered before: nobody waits for it.
        alone = Use({"headers": (), "path": "-"})
        if use is not None:
            alone.key, alone.id, alone.api = use.key, use.id, use.api
        alone.status, alone.whole = 200, True
        self._open.add(alone)
        alone.take_sequence(sequence)
        self._settle(alone, time.monotonic(), patience=float("inf"))

    def _settle(self, use: Use, ended: float, patience: float = PATIENCE) -> None:
        """Write the line of a request once the engine computes nothing for it any more.

        A client's leaving reaches the engine a moment after the answer's end, and the engine counts until then.
        """
        if use.written:
            return
        if use.is_open() and time.monotonic() < ended + patience:
            asyncio.get_running_loop().call_later(
                LOOK, self._guarded, self._settle, use, ended, patience
            )
            return
        use.written = True
        self._open.discard(use)
        if use.sequences or use.api in counting.APIS:
            self._write(use, ended)
            self._plan()

    def _write(self, use: Use, ended: float) -> None:
        assert self.book is not None
        kept = use.kept()
        needed = use.api in counting.STATING or not self._watched
        needed = needed or (use.stream and (kept is None or counting.may_say_failed(use.pieces)))
        objects = counting.last_objects(tuple(use.pieces)) if needed else []
        usage = counting.usage_of(objects)
        if use.left and counting.at_its_end(tuple(use.pieces)):
            use.left, use.whole = False, True
        end = counting.ended(
            use.status, left=use.left, whole=use.whole, raised=use.raised, objects=objects
        )
        parts = [each.part() for each in use.sequences]
        if not self._watched:
            count = counting.stated(usage if kept is None else kept.model_dump())
        elif use.known:
            count = counting.counted(parts, use.thoughts(kept, usage))
        else:
            count = counting.UNKNOWN
        audio = counting.audio_of(usage)
        self.book.record(
            {
                "at": round(time.time(), 3),
                "key": use.key,
                "model": next((part.name for part in parts if part.name), self.model),
                "api": use.api,
                "id": use.id,
                "in": count.came,
                "cached": count.cached,
                "out": count.went,
                "reasoning": count.reasoning,
                "asked": count.asked,
                "end": end,
                "seconds": round(ended - use.began, 4),
                "first": round(use.first - use.began, 4) if use.stream and use.first else None,
                **({} if audio is None else {"audio": audio}),
            }
        )

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
