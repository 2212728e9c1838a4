"""A request while it is answered: by what passes of it, and by what the engine computes for it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from toolkit_recorder import counting, states
from toolkit_recorder.counting import Count

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# The router names the key of each request to the engine; a request without the header is the toolkit's own probe.
KEY, REQUEST = b"x-toolkit-key", b"x-request-id"
PROBE = "probe"
STREAM = b"text/event-stream"


class Use:
    """A request, and what has been seen of it until now.

    A busy engine answers hundreds of requests a second in the thread that streams all tokens. So there are slots, and
    no generators.
    """

    __slots__ = (
        *("key", "id", "api", "scope", "began", "first", "status", "stream", "left", "whole"),
        *("raised", "written", "pieces", "sequences", "known"),
    )

    def __init__(self, scope: Scope) -> None:
        self.key, self.id = PROBE, ""
        # The first of a name counts. A server appends the trailers of a chunked body to the headers, and the router,
        # which removes a client's own header of this name, passes trailers on.
        for name, value in reversed(tuple(scope["headers"])):
            if name == KEY:
                self.key = value.decode("latin-1")
            elif name == REQUEST:
                self.id = value.decode("latin-1")
        self.api: str = scope["path"]
        self.scope = scope
        self.began = time.monotonic()
        self.first: float | None = None
        self.status = 0
        self.stream = self.left = self.whole = self.raised = self.written = False
        self.pieces: tuple[bytes, ...] = ()
        self.sequences: list[states.Sequence] = []
        self.known = True

    def give(self, message: Message) -> bool:
        """Look at what goes to the client; return whether it is the last event of a stream."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            for name, value in message.get("headers", ()):
                if value.startswith(STREAM) and name.lower() == b"content-type":
                    self.stream = True
            return False
        body = message.get("body", b"")
        if kind == "http.response.body":
            if body and not (self.stream and body.startswith(counting.COMMENT)):
                if self.first is None and not body.startswith(counting.WITHOUT_TOKEN):
                    self.first = time.monotonic()
                self.keep(body)
            if not message.get("more_body") and not self.left:
                self.whole = True
        return self.stream and counting.is_end_mark(body)

    def keep(self, *pieces: bytes) -> None:
        """Keep the last pieces of the answer."""
        self.pieces = (*self.pieces, *pieces)[-counting.LAST_PIECES :]

    def take_sequence(self, processor: Any, request_id: str) -> None:
        """Count one more sequence; where that cannot be, the request's tokens are unknown."""
        try:
            self.sequences.append(states.Sequence(processor, request_id))
        except Exception:
            self.known = False
            raise

    def is_open(self) -> bool:
        """Whether the engine still computes something for it."""
        return any(map(states.Sequence.is_open, self.sequences))

    def parts(self) -> list[counting.Part]:
        """Return the tokens that the engine has computed of each sequence so far."""
        return [each.part() for each in self.sequences]

    def count(self) -> Count:
        """Return the tokens so far."""
        return counting.counted(self.parts())

    def kept(self) -> Any:
        """Return the usage that vLLM keeps for middleware, of a stream without usage too; None where it keeps none."""
        metadata = self.scope.get("state", {}).get("request_metadata")
        return getattr(metadata, "final_usage_info", None)

    def thoughts(self, kept: Any, usage: Mapping[str, Any]) -> int | None:
        """Return the tokens of thoughts by what vLLM has `kept`, or else by the `usage` that the answer states."""
        if kept is None:
            return counting.reasoning_of(usage)
        for name in counting.OF_ANSWER:
            # A name that it does not have costs as much as all else here.
            if hasattr(kept, name):
                # Few answers have thoughts, and the whole is a document to make.
                has_some = bool(getattr(kept, name))
                return counting.reasoning_of(kept.model_dump()) if has_some else None
        return None


def looked_through(use: Use, send: Send) -> tuple[Send, Callable[[], Message | None]]:
    """Return a `send` that lets `use` see each message, and a function that returns the held message."""
    # Before version 2.4 of the protocol no server says by `send` that the client has left.
    quiet = use.scope.get("asgi", {}).get("spec_version", "2.0") < "2.4"
    held: list[Message] = []
    # Amid a stream: its first token is out, and its mark is not held. Then the last two pieces are here.
    amid = False
    last = before = b""

    def sent(message: Message) -> Awaitable[None]:
        # For most events of a stream this is all. So it is no coroutine of its own, and touches as little as can be: an
        # event is one object and no mark of the end where its data begins and ends with a brace.
        nonlocal last, before
        try:
            body = message["body"]
            plain = amid and body[6] == BRACE and body[-3] == END_BRACE and message["more_body"]
        except (KeyError, IndexError):
            return look(message)
        if plain:
            before, last = last, body
            return send(message)
        return look(message)

    def look(message: Message) -> Awaitable[None]:
        nonlocal amid
        kept, marks = rest(), use.give(message)
        if kept is not None:
            message = counting.joined(kept, message)
        if marks:
            held.append(message)
            return _nothing()
        amid = quiet and use.stream and use.first is not None
        return send(message) if quiet else _heard(use, send, message)

    def rest() -> Message | None:
        nonlocal amid, last, before
        if last:
            use.keep(before, last) if before else use.keep(last)
            last = before = b""
        amid = False
        return held.pop() if held else None

    return sent, rest


# In `data: {...}` with two line feeds the braces stand at 6 and at -3.
BRACE, END_BRACE = b"{}"


async def _heard(use: Use, send: Send, message: Message) -> None:
    """Send, and hear that the client has left."""
    try:
        await send(message)
    except OSError:
        use.left = not use.whole
        raise


async def _nothing() -> None:
    """Send nothing yet."""
