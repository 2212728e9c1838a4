"""Clients that count what they are answered, on raw sockets, for tests/bench/bench_use_clients.py.

    python counting_client.py '{"port": ..., "keys": {NAME: TEXT}, "models": [...], "requests": 1000, "seed": 1, ...}'

Each of several lanes sends one request after another. Of a whole answer the client knows everything: from its stated
usage, or, of a stream that states none, from the words that it sent and the tokens that it got. Of a try that did not
end (it hung up, or the router went away) it knows bounds: what it got, and what it had asked for. It prints the number
of its requests so far, and at the end one line of JSON: {"sums": {"KEY MODEL": [requests, in, out]}, "unclear": [[id,
"KEY MODEL", whether an answer began, tokens asked, tokens got, most tokens]], "came": what came of all tries}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CHAT, TEXT, VECTORS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
# The header of an error of the router itself.
OWN_ERROR = b"\r\nx-toolkit-error:"
# A body of so many bytes passes the router's process for larger bodies.
LARGE = 40_000
# The most requests between two words to the parent, and seconds until a refused connection is tried again.
STEP, PAUSE = 100, 0.03
# Seconds after which a request counts as not answered.
SILENT = 60.0
# Hang up at once, at this token while the engine goes on, or when all is there that the engine made.
AT_ONCE, RUNNING, STALLED = "at once", "running", "stalled"
# What of a thousand requests: its path, what it says beside its words, how its client leaves.
MIX: list[tuple[int, str, dict[str, Any], str]] = [
    (270, CHAT, {}, ""),
    (170, CHAT, {"stream": True}, ""),
    (150, CHAT, {"stream": True, "stream_options": {"include_usage": True}}, ""),
    (30, CHAT, {"n": 3}, ""),
    (30, CHAT, {"n": 2, "stream": True}, ""),
    (90, TEXT, {}, ""),
    (30, TEXT, {"stream": True}, ""),
    (90, VECTORS, {}, ""),
    (30, RESPONSES, {}, ""),
    (20, RESPONSES, {"stream": True}, ""),
    (25, MESSAGES, {}, ""),
    (15, MESSAGES, {"stream": True}, ""),
    (10, CHAT, {"stand_in": {"refuse": 400}}, ""),
    (5, CHAT, {"stand_in": {"refuse": 503}}, ""),
    (5, CHAT, {"stream": True, "stand_in": {"fail": 2}}, ""),
    (5, CHAT, {"stand_in": {"imitate": True}}, ""),
    (5, CHAT, {"stream": True, "stand_in": {"imitate": True}}, ""),
    (10, CHAT, {"stand_in": {"thoughts": 1}}, ""),
    (5, CHAT, {"stream": True}, STALLED),
    (4, CHAT, {"stream": True, "n": 2}, RUNNING),
    (1, CHAT, {}, AT_ONCE),
]
# The same for vLLM: without usage, a stream has the ids of its tokens.
IDS = {"return_token_ids": True}
USAGE = {"stream_options": {"include_usage": True}}
MIX_OF_VLLM: list[tuple[int, str, dict[str, Any], str]] = [
    (300, CHAT, {}, ""),
    (250, CHAT, {"stream": True, **IDS}, ""),
    (150, CHAT, {"stream": True, **USAGE}, ""),
    (30, CHAT, {"n": 3}, ""),
    (30, CHAT, {"n": 2, "stream": True, **USAGE}, ""),
    (60, TEXT, {}, ""),
    (30, TEXT, {"stream": True, **USAGE}, ""),
    (30, RESPONSES, {}, ""),
    (20, RESPONSES, {"stream": True}, ""),
    (30, MESSAGES, {}, ""),
    (20, CHAT, {"messages": "nonsense"}, ""),
    (40, CHAT, {"stream": True, **IDS}, RUNNING),
    (10, CHAT, {"stream": True, "n": 2, **IDS}, RUNNING),
    (5, CHAT, {}, AT_ONCE),
]
# Tokens of an answer that its client does not want whole.
LONG = 400


@dataclass
class Plan:
    """A request: where it goes, what it says, and what its client knows of it before it is answered."""

    key: str
    model: str
    path: str
    body: dict[str, Any]
    leave: str
    prompt: int
    most: int
    padding: int


def plans(given: dict[str, Any]) -> Iterator[Plan]:
    """Yield the requests of a client, which follow from its seed."""
    draw, of_vllm = random.Random(given["seed"]), bool(given.get("vllm"))
    mix = MIX_OF_VLLM if of_vllm else MIX
    weights = [each[0] for each in mix]
    for _ in range(given["requests"]):
        _, path, more, leave = draw.choices(mix, weights)[0]
        key, model = draw.choice(list(given["keys"])), draw.choice(given["models"])
        words, tokens = draw.randint(2, 30), draw.randint(2, 8)
        text = " ".join(["word"] * words)
        body: dict[str, Any] = {"model": model, **more}
        tokens = LONG if of_vllm and leave else tokens
        if path == VECTORS:
            body["input"], tokens = [text, text], 0
            words *= 2
        elif path == RESPONSES:
            body.update(input=text, max_output_tokens=tokens)
        else:
            body["max_tokens"] = tokens
            if path == TEXT:
                body["prompt"] = [text, text]
                words *= 2
            else:
                body.setdefault("messages", [{"role": "user", "content": text}])
        if leave == STALLED:
            body["stand_in"] = {"stall": draw.randint(1, tokens)}
        most = tokens * body.get("n", 1) * (2 if path == TEXT else 1)
        padding = LARGE if draw.random() < 0.003 else 0
        yield Plan(key, model, path, body, leave, -1 if of_vllm else words, most, padding)


class Lane(asyncio.Protocol):
    """A connection that asks and is answered."""

    def __init__(self, client: Client, number: int) -> None:
        self.client, self.number, self.count = client, number, 0
        self.transport: Any = None
        self.plan: Plan | None = None
        self.asking = self.ended = False
        self.since, self.of_engine = 0.0, True
        self.came = bytearray()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def connection_lost(self, _: Exception | None) -> None:
        if self.asking:
            # The router went away, or closed a kept connection just then: the same request again, under another id.
            self.client.unclear(self, "cut")
        if not self.ended:
            self.client.connect(self)

    def ask(self) -> None:
        self.plan = self.plan or self.client.next()
        if self.plan is None:
            self.client.end(self)
            return
        plan, self.count, self.asking = self.plan, self.count + 1, True
        self.came.clear()
        self.since = time.monotonic()
        self.id = f"{self.client.seed}-{self.number}-{self.count}"
        text = json.dumps(plan.body).encode() + b" " * plan.padding
        path = f"/m/{plan.model}{plan.path}" if self.count % 16 == 0 else plan.path
        self.transport.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
            f"Authorization: Bearer {self.client.keys[plan.key]}\r\nX-Request-Id: {self.id}\r\n\r\n".encode()
            + text
        )
        if plan.leave == AT_ONCE:
            self.leave()

    def leave(self) -> None:
        self.client.unclear(self, "left")
        self.plan = None
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.plan is None or not self.asking:
            return
        self.came += data
        head, found, body = bytes(self.came).partition(b"\r\n\r\n")
        if not found:
            return
        chunked = b"\r\ntransfer-encoding: chunked" in (head := head.lower())
        if self.plan.leave and chunked and self.leaves_at(body):
            self.leave()
        elif chunked and body.endswith(b"0\r\n\r\n"):
            self.of_engine = OWN_ERROR not in head
            self.answered(int(head[9:12]), dechunked(body), stream=b"event-stream" in head)
        elif not chunked:
            length = int(head.partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0] or 0)
            if len(body) >= length:
                self.of_engine = OWN_ERROR not in head
                self.answered(int(head[9:12]), body, stream=False)

    def leaves_at(self, body: bytes) -> bool:
        assert self.plan is not None
        got, stall = (
            got_of(events(dechunked(body))),
            self.plan.body.get("stand_in", {}).get("stall"),
        )
        return got >= stall if stall else got > 0

    def answered(self, status: int, body: bytes, *, stream: bool) -> None:
        assert self.plan is not None
        again = self.client.take(self.plan, status, body, stream=stream, lane=self)
        self.asking = False
        if again:
            asyncio.get_running_loop().call_later(PAUSE, self.again)
            return
        self.plan = None
        self.ask()

    def again(self) -> None:
        # A connection that was closed meanwhile has another one made, which asks.
        if not self.asking and not self.transport.is_closing():
            self.ask()

    def got(self) -> tuple[bool, int]:
        """Return whether an answer had begun, and the tokens of it."""
        head, _, body = bytes(self.came).partition(b"\r\n\r\n")
        began = head[9:12] == b"200"
        return began, got_of(events(dechunked(body))) if began and b"chunked" in head else 0


class Client:
    """All lanes of this process, and what they count."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.port, self.keys, self.seed = given["port"], given["keys"], given["seed"]
        self.plans = plans(given)
        self.sums: dict[str, list[int]] = {}
        self.open: list[list[Any]] = []
        self.came: Counter[str] = Counter()
        self.lanes, self.step = given["lanes"], min(STEP, 1 + given["requests"] // 50)
        self.asked = 0
        self.ended = asyncio.Event()

    async def run(self) -> None:
        lanes = [Lane(self, number) for number in range(self.lanes)]
        for each in lanes:
            self.connect(each)
        while not self.ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), 1)
            for each in lanes:
                if each.asking and time.monotonic() - each.since > SILENT:
                    self.came[f"no answer in {SILENT:.0f} s"] += 1
                    each.transport.abort()
        print(json.dumps({"sums": self.sums, "unclear": self.open, "came": self.came}), flush=True)

    def connect(self, lane: Lane) -> None:
        asyncio.get_running_loop().create_task(self._connect(lane))

    async def _connect(self, lane: Lane) -> None:
        while True:
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: lane, "127.0.0.1", self.port
                )
                return
            except OSError:
                self.came["no connection"] += 1
                await asyncio.sleep(PAUSE)

    def next(self) -> Plan | None:
        self.asked += 1
        if self.asked % self.step == 0:
            print(self.asked, flush=True)
        return next(self.plans, None)

    def end(self, lane: Lane) -> None:
        self.lanes -= 1
        if not self.lanes:
            self.ended.set()
        lane.ended = True
        lane.transport.abort()

    def unclear(self, lane: Lane, why: str) -> None:
        """Note a try that did not end, with the bounds of what its engine may have counted."""
        plan = lane.plan
        assert plan is not None
        began, got = lane.got()
        lane.asking = False
        self.came[f"{why} {plan.leave}".strip()] += 1
        exact = plan.leave == STALLED and why == "left"
        most = got if exact else plan.most
        self.open.append([lane.id, f"{plan.key} {plan.model}", began, plan.prompt, got, most])

    def take(self, plan: Plan, status: int, body: bytes, *, stream: bool, lane: Lane) -> bool:
        """Count an answer; return whether to send the request again."""
        refuses = plan.body.get("stand_in", {}).get("refuse")
        if plan.body.get("messages") == "nonsense":
            refuses = 400
        if status == 429:
            self.came["429, no use"] += 1
            return False
        if status != 200 and not (status == refuses and lane.of_engine):
            # Of the router itself, or of a replica that is gone: its engine says whether it had the request.
            self.unclear(lane, f"{status} of the router")
            return True
        came, out = (0, 0) if refuses else counted(plan, body, stream=stream)
        sums = self.sums.setdefault(f"{plan.key} {plan.model}", [0, 0, 0])
        for at, number in enumerate((1, came, out)):
            sums[at] += number
        self.came[f"{status}, stream" if stream else str(status)] += 1
        if status == 503:
            # As libraries do; the next try is another plan's, so that this one ends.
            self.came["asked again after 503"] += 1
            plan.body["stand_in"] = {}
            return True
        return False


def counted(plan: Plan, body: bytes, *, stream: bool) -> tuple[int, int]:
    """Return tokens of prompt and answer of a whole answer: as it states them, or as they came."""
    found = list(events(body)) if stream else [json.loads(body)]
    for each in reversed(found):
        usage = each.get("usage") or each.get("response", {}).get("usage") or {}
        came = usage.get("prompt_tokens", usage.get("input_tokens"))
        if came is not None:
            return came, usage.get("completion_tokens", usage.get("output_tokens"))
    ids = found[0].get("prompt_token_ids") if found else None
    return plan.prompt if ids is None else len(ids), got_of(found)


def events(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of the whole events of a stream."""
    for line in body.split(b"\n\n")[:-1]:
        data = line[line.find(b"data: ") + 6 :]
        if data != b"[DONE]":
            yield json.loads(data)


def got_of(found: Any) -> int:
    """Return the tokens of the text in events: by their ids, or else each is an x, which no imitation has."""
    count = 0
    for each in found:
        if ids := [choice for choice in each.get("choices", ()) if "token_ids" in choice]:
            count += sum(len(choice["token_ids"] or ()) for choice in ids)
            continue
        delta = each.get("delta", {})
        texts = [delta if isinstance(delta, str) else delta.get("text", "")]
        texts += [
            choice.get("text") or choice.get("delta", {}).get("content", "")
            for choice in each.get("choices", ())
        ]
        count += sum(text.count("x") for text in texts)
    return count


def dechunked(body: bytes) -> bytes:
    """Return the whole chunks of a body."""
    parts, at = [], 0
    while (end := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:end], 16)
        if not size or len(body) < end + 2 + size:
            break
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 4 + size
    return b"".join(parts)


if __name__ == "__main__":
    asyncio.run(Client(json.loads(sys.argv[1])).run())
