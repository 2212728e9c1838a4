"""A double of the parts of vLLM that the recorder touches, with a server around them that computes nothing.

Its names are vLLM's: `OutputProcessor` with its request states, and the counters in the process's registry. The body
of a request says what happens: {"prompts": tokens of each, "n", "tokens": of each answer, "cached", "stream", "usage",
"adapter", "pause": seconds between tokens, "fails": after so many tokens, "refused": a status, "thoughts", "later":
seconds}.
Standard library only, so that the stand-in of an engine on a host can be made of it, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import types
from dataclasses import dataclass, field
from typing import Any

ABORTED = "aborted"


@dataclass
class Stats:
    num_generation_tokens: int = 0


@dataclass(eq=False)
class RequestState:
    request_id: str
    prompt_len: int
    parent_req: object | None = None
    lora_name: str | None = None
    is_prefilling: bool = True
    num_cached_tokens: int = 0
    stats: Stats = field(default_factory=Stats)


class OutputProcessor:
    """Holds the states, and moves the counters with them."""

    def __init__(self) -> None:
        self.request_states: dict[str, RequestState] = {}
        self.counters = {"vllm:prompt_tokens_total": 0.0, "vllm:generation_tokens_total": 0.0}

    def add_request(
        self, request: Any, prompt: str | None = None, parent_req: object | None = None
    ) -> None:
        self.request_states[request.request_id] = RequestState(
            request.request_id, request.tokens, parent_req, request.adapter
        )

    def token(self, request_id: str, cached: int = 0) -> bool:
        """Compute a token; False where the request was aborted meanwhile."""
        state = self.request_states.get(request_id)
        if state is None:
            return False
        self.prefill(request_id, cached)
        self.counters["vllm:generation_tokens_total"] += 1
        state.stats.num_generation_tokens += 1
        return True

    def prefill(self, request_id: str, cached: int = 0) -> None:
        """Compute a prompt, once."""
        state = self.request_states[request_id]
        if state.is_prefilling:
            self.counters["vllm:prompt_tokens_total"] += state.prompt_len
            state.is_prefilling, state.num_cached_tokens = False, cached

    def finish(self, request_id: str) -> None:
        self.request_states.pop(request_id, None)


@dataclass
class Sample:
    name: str
    value: float


class Registry:
    def __init__(self, processor: OutputProcessor) -> None:
        self.processor = processor

    def restricted_registry(self, names: list[str]) -> Any:
        counters = self.processor.counters
        metric = types.SimpleNamespace(samples=[Sample(name, counters[name]) for name in names])
        return types.SimpleNamespace(collect=lambda: [metric])


def install() -> OutputProcessor:
    """Stand where vLLM and the client of Prometheus stand among this process's modules; return the processor."""

    class Processor(OutputProcessor):
        """One of its own for each double: the recorder changes the class."""

    processor = Processor()
    output = types.ModuleType("vllm.v1.engine.output_processor")
    output.OutputProcessor = Processor  # type: ignore[attr-defined]
    client = types.ModuleType("prometheus_client")
    client.REGISTRY = Registry(processor)  # type: ignore[attr-defined]
    for name in ("vllm", "vllm.v1", "vllm.v1.engine"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[output.__name__] = output
    sys.modules["prometheus_client"] = client
    return processor


class Engine:
    """The client of an engine that can sleep. `broken` says at which word it raises; a sleep takes `seconds`."""

    def __init__(self, broken: str = "", seconds: float = 0.0) -> None:
        self.broken, self.asleep, self.heard = broken, False, list[str]()
        self.seconds = seconds

    async def sleep(self, level: int = 1, mode: str = "abort") -> None:
        self.hear(f"sleep {level}")
        await asyncio.sleep(self.seconds)
        self.asleep = True

    async def wake_up(self, tags: object = None) -> bool:
        self.hear("wake_up")
        self.asleep = False
        return True

    async def is_sleeping(self) -> bool:
        return self.asleep

    def hear(self, word: str) -> None:
        self.heard.append(word)
        if self.broken and word.startswith(self.broken):
            raise RuntimeError("CUDA out of memory")


def living(engine: Engine) -> dict[str, Any]:
    """Return the scope of a server's life whose application has this engine."""
    state = types.SimpleNamespace(engine_client=engine)
    return {"type": "lifespan", "app": types.SimpleNamespace(state=state)}


@dataclass
class Request:
    request_id: str
    tokens: int
    adapter: str | None


class Server:
    """An ASGI application around the double."""

    def __init__(self, processor: OutputProcessor) -> None:
        self.processor = processor
        self.made = 0
        self.tasks: set[Any] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked = json.loads(body or b"{}")
        scope.setdefault("state", {})
        work = asyncio.ensure_future(self.answer(scope, asked, send))
        leaving = asyncio.ensure_future(self.until_left(receive))
        await asyncio.wait([work, leaving], return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not work.done():
            work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work

    async def until_left(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def answer(self, scope: Any, asked: Any, send: Any) -> None:
        if asked.get("refused"):
            await self.say(send, asked["refused"], {"error": {"message": "no"}})
            return
        if asked.get("later"):
            task = asyncio.ensure_future(self.compute(asked, asked["later"]))
            self.tasks.add(task)
            await self.say(send, 200, {"status": "queued"})
            return
        stream, heard = asked.get("stream"), [0]
        if stream:
            headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def told(count: int) -> None:
            heard[0] += 1
            if asked.get("fails") == heard[0]:
                raise RuntimeError("the engine is dead")
            if stream:
                await self.event(send, {"choices": [{"delta": {"content": "x" * count}}]})

        prompt, went = await self.compute(asked, asked.get("pause", 0), told)
        usage = {"prompt_tokens": prompt, "completion_tokens": went}
        if "thoughts" in asked:
            usage["completion_tokens_details"] = {"reasoning_tokens": asked["thoughts"]}
        scope["state"]["request_metadata"] = types.SimpleNamespace(
            final_usage_info=types.SimpleNamespace(model_dump=lambda: usage, **usage)
        )
        if not stream:
            await self.say(send, 200, {"choices": [{"finish_reason": "stop"}], "usage": usage})
            return
        if asked.get("usage"):
            await self.event(send, {"choices": [], "usage": usage})
        await self.event(send, "[DONE]")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def compute(self, asked: Any, pause: float, told: Any = None) -> tuple[int, int]:
        """Compute all choices of all prompts, a token of each in turn; return tokens of prompts and of answers."""
        if told is None:
            await asyncio.sleep(pause)
        prompts, ids = asked.get("prompts", [5]), []
        for tokens in prompts:
            parent = object() if asked.get("n", 1) > 1 else None
            for _ in range(asked.get("n", 1)):
                self.made += 1
                ids.append(f"r{self.made}")
                request = Request(ids[-1], tokens, asked.get("adapter"))
                self.processor.add_request(request, None, parent)
        went = 0
        try:
            for name in ids:
                if not asked.get("tokens", 3):
                    self.processor.prefill(name)
            for _ in range(asked.get("tokens", 3)):
                await asyncio.sleep(pause)
                for name in ids:
                    went += self.processor.token(name, asked.get("cached", 0))
                if told:
                    await told(len(ids))
        finally:
            for name in ids:
                self.processor.finish(name)
        return sum(prompts), went

    async def event(self, send: Any, data: Any) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        await send(
            {"type": "http.response.body", "body": f"data: {text}\n\n".encode(), "more_body": True}
        )

    async def say(self, send: Any, status: int, data: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(data).encode()})
