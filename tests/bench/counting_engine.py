"""An engine that computes nothing and counts everything: the recorder of use around a double of vLLM's states.

    TOOLKIT_USE=... PYTHONPATH=playbooks/roles/replica/files python counting_engine.py PORT LOG

A word of a prompt is a token, and so is each `x` of an answer; an answer has as many as its request lets it have. LOG
gets a line for each request: its id, tokens of its prompts, tokens of its answer. That count is the engine's own: it is
taken where a token goes out, and knows nothing of the recorder. `stand_in` of a body says what else happens: `refuse`
with a status, `stall` after so many tokens until the client leaves, `fail` after so many, `thoughts`, `imitate` a usage
in the text.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import signal
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "recorder"))

import engine_double
from toolkit_recorder import Recorder

# Tokens of each prompt that come from the cache, where it has so many.
CACHED = 2
IMITATION = ' "usage":{"prompt_tokens":9,"completion_tokens":99} '
# Seconds for which running requests may go on at an orderly end.
PATIENCE = 20.0


def main() -> None:
    """Serve until SIGTERM, then let the recorder write its last line."""
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))


async def _serve(port: int, log: Path) -> None:
    processor = engine_double.install()
    with log.open("a", buffering=2**16) as lines:
        app = Recorder(Engine(processor, lines))
        running: set[asyncio.Task[None]] = set()
        life: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        living = asyncio.create_task(app({"type": "lifespan"}, life.get, _deaf))
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, ended.set)
        server = await loop.create_server(
            lambda: Connection(app, processor, running), "127.0.0.1", port, backlog=1024
        )
        await ended.wait()
        server.close()
        if running:
            await asyncio.wait(running, timeout=PATIENCE)
        await life.put({"type": "lifespan.shutdown"})
        await living


async def _deaf(_: Any) -> None:
    """Let what the server says of its life go nowhere."""


class Connection(asyncio.Protocol):
    """A connection with one request at a time, as ASGI."""

    def __init__(self, app: Any, processor: Any, running: set[asyncio.Task[None]]) -> None:
        self.app, self.processor, self.running = app, processor, running
        self.came, self.head, self.chunked, self.busy = b"", b"", False, False
        self.left = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.left.set()

    def data_received(self, data: bytes) -> None:
        self.came += data
        head, found, body = self.came.partition(b"\r\n\r\n")
        if self.busy or not found:
            return
        first, *lines = head.split(b"\r\n")
        headers = [
            (name.lower(), value.strip())
            for name, _, value in (line.partition(b":") for line in lines)
        ]
        length = int(next((value for name, value in headers if name == b"content-length"), 0))
        if len(body) < length:
            return
        method, path, _ = first.decode().split(" ")
        self.came, self.busy = body[length:], True
        if method == "GET":
            self._tell(path)
            return
        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        task = asyncio.get_running_loop().create_task(self._serve(scope, body[:length]))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    def _tell(self, path: str) -> None:
        counters = self.processor.counters.items() if path == "/metrics" else ()
        text = "".join(f"{name} {value}\n" for name, value in counters).encode()
        self.transport.write(_head(200, b"text/plain", len(text)) + text)
        self.busy = False

    async def _serve(self, scope: Any, body: bytes) -> None:
        told = False

        async def receive() -> Any:
            nonlocal told
            if told:
                await self.left.wait()
                return {"type": "http.disconnect"}
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, receive, self._send)
        self.busy = False
        if self.came:
            self.data_received(b"")

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.kind, self.chunked = (
                message["status"],
                message["headers"][0][1],
                False,
            )
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self.chunked and not more:
            self.transport.write(_head(self.status, self.kind, len(body)) + body)
            return
        text = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        if not self.chunked:
            text, self.chunked = _head(self.status, self.kind, None) + text, True
        self.transport.write(text if more else text + b"0\r\n\r\n")


def _head(status: int, kind: bytes, length: int | None) -> bytes:
    size = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    phrase = http.HTTPStatus(status).phrase.encode()
    return b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s\r\n\r\n" % (status, phrase, kind, size)


class Engine(engine_double.Server):
    """Answers chat, completions, responses, messages and vectors, each in its form."""

    def __init__(self, processor: Any, lines: Any) -> None:
        super().__init__(processor)
        self.lines = lines

    async def answer(self, scope: Any, asked: Any, send: Any) -> None:
        ident = next(value for name, value in scope["headers"] if name == b"x-request-id").decode()
        refused = asked.get("stand_in", {}).get("refuse")
        prompts, computed = prompts_of(asked), [0]
        try:
            if refused:
                await self.say(send, refused, {"error": {"message": "no"}})
            else:
                await self._answer(scope, asked, send, computed)
        finally:
            began = computed[0] or not (refused or tokens_of(asked))
            self.lines.write(f"{ident} {sum(prompts) if began else 0} {computed[0]}\n")

    async def _answer(self, scope: Any, asked: Any, send: Any, computed: list[int]) -> None:
        """Answer; `computed` becomes the number of tokens so far."""
        stand, stream = asked.get("stand_in", {}), asked.get("stream")
        prompts, form, steps = prompts_of(asked), Form(scope["path"], asked), 0
        wanted = {"prompts": prompts, "n": asked.get("n", 1), "tokens": tokens_of(asked)}
        if stream:
            kind = [(b"content-type", b"text/event-stream; charset=utf-8")]
            await send({"type": "http.response.start", "status": 200, "headers": kind})

        async def told(count: int) -> None:
            nonlocal steps
            steps, computed[0] = steps + 1, computed[0] + count
            if stream:
                await self._event(send, form.piece("x" * count))
            if stand.get("stall") == steps:
                await asyncio.Event().wait()
            if stand.get("fail") == steps:
                raise ChildProcessError

        pieces = [b'data: {"error":{"message":"the engine failed"}}\n\n']
        with contextlib.suppress(ChildProcessError):
            await self.compute({**wanted, "cached": min(CACHED, *prompts)}, 0, told)
            usage = form.usage(prompts, computed[0], stand.get("thoughts"))
            # vLLM keeps it for middleware, of a stream that states none too.
            kept = types.SimpleNamespace(model_dump=lambda: usage)
            scope["state"]["request_metadata"] = types.SimpleNamespace(final_usage_info=kept)
            if not stream:
                text = "x" * computed[0] + (IMITATION if stand.get("imitate") else "")
                await self.say(send, 200, form.whole(text, usage))
                return
            pieces = form.end(usage)
        for piece in pieces:
            await self._event(send, piece)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _event(self, send: Any, text: bytes) -> None:
        await send({"type": "http.response.body", "body": text, "more_body": True})


def prompts_of(asked: Mapping[str, Any]) -> list[int]:
    """Return the tokens of each prompt of a request."""
    if "messages" in asked:
        return [sum(len(each["content"].split()) for each in asked["messages"])]
    given = asked.get("prompt", asked.get("input"))
    return [len(each.split()) for each in ([given] if isinstance(given, str) else given)]


def tokens_of(asked: Mapping[str, Any]) -> int:
    """Return the tokens of each choice of an answer: none of vectors."""
    return int(asked.get("max_tokens", asked.get("max_output_tokens", 0)))


class Form:
    """The form of an answer to one path."""

    def __init__(self, path: str, asked: Mapping[str, Any]) -> None:
        self.path, self.states = path, bool(asked.get("stream_options"))
        self.imitates = bool(asked.get("stand_in", {}).get("imitate"))

    def usage(self, prompts: list[int], out: int, thoughts: int | None) -> dict[str, Any]:
        cached = sum(min(CACHED, each) for each in prompts)
        names = ("prompt_tokens", "completion_tokens")
        if self.path in ("/v1/responses", "/v1/messages"):
            names = ("input_tokens", "output_tokens")
        found: dict[str, Any] = {names[0]: sum(prompts), names[1]: out}
        if self.path != "/v1/messages":
            found[f"{names[0]}_details"] = {"cached_tokens": cached}
        if thoughts is not None:
            found[f"{names[1]}_details"] = {"reasoning_tokens": thoughts}
        return found

    def piece(self, text: str) -> bytes:
        """Return an event of a stream."""
        text += IMITATION if self.imitates else ""
        if self.path == "/v1/responses":
            return _named("response.output_text.delta", delta=text)
        if self.path == "/v1/messages":
            return _named("content_block_delta", delta={"type": "text_delta", "text": text})
        part = {"text": text} if self.path == "/v1/completions" else {"delta": {"content": text}}
        return b"data: %s\n\n" % _json({"choices": [{"index": 0, **part}]})

    def end(self, usage: Mapping[str, Any]) -> list[bytes]:
        """Return the last events of a stream."""
        if self.path == "/v1/responses":
            return [_named("response.completed", response={"usage": usage})]
        if self.path == "/v1/messages":
            return [_named("message_delta", usage=usage), _named("message_stop")]
        stated = [b"data: %s\n\n" % _json({"choices": [], "usage": usage})] if self.states else []
        return [*stated, b"data: [DONE]\n\n"]

    def whole(self, text: str, usage: Mapping[str, Any]) -> dict[str, Any]:
        """Return an answer in one piece."""
        return {"choices": [{"text": text, "finish_reason": "stop"}], "usage": usage}


def _named(event: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.encode(), _json({"type": event, **fields}))


def _json(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


if __name__ == "__main__":
    main()
