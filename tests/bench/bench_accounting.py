"""What accounting of use and metrics cost the router, and what the recorder of use costs a real vLLM.

    python tests/bench/bench_accounting.py [--rounds 1000] [--requests 64]
    python tests/bench/bench_accounting.py --engine vllm [--seconds 60]

Four routers with the same route and key are asked in turn, in another order each round: two as the toolkit sets them
up, and two without the header of the key and the quotas. Half of the answers are streams of 20
events. A turn takes a fraction of a second, so what else the machine does meets the four of a round alike; the
differences are those within rounds, with twice their standard error. The two of a kind show what the method itself
makes of no difference. What a reading of the metrics takes is measured on its own: Prometheus reads every 15 s.

With `--engine vllm` a real engine is asked, each load for so many seconds, see `accounting_engines.py`. Exits with 1
where a target is not shown to be met.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.accounting_engines import engines
from tests.bench.paired import Difference, processor
from tests.hostside.router_lab import Lab, free_port, lab
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.keys import with_key
from toolkit.planning.routing.routes import Routes, Target

KEY = "tk-ann-" + "a" * 32
MOST_SHARE, MOST_MS = 0.01, 0.1
LANES = 8
# Seconds between two readings of the metrics, and readings that are measured.
SCRAPE, READINGS = 15.0, 20
NAMES = ("with accounting", "with accounting, again", "without", "without, again")
# Lines of the router's configuration that are for accounting.
LINES = (*("add-header X-Toolkit-Key", "lua.use_up"),)
USAGE = b'"usage":{"prompt_tokens":20,"total_tokens":40,"completion_tokens":20}'
ANSWER = b'{"id":"c","choices":[{"index":0,"message":{"content":"%s"}}],%s}' % (
    b"word " * 60,
    USAGE,
)
EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}\n\n'
STREAM = [EVENT] * 20 + [b"data: [DONE]\n\n"]
REQUESTS = [
    f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    for body in ('{"model":"tiny"}', '{"model":"tiny","stream":true}')
]


@dataclass
class Turn:
    """What a turn of one arm measured: requests, processor seconds, milliseconds of the median."""

    requests: int
    processor: float
    median: float

    @property
    def each(self) -> float:
        """Processor microseconds of a request."""
        return self.processor / self.requests * 1e6


@dataclass
class Arm:
    """One of the routers that are compared; `port` is asked, `pid` and its descendants do the work."""

    name: str
    port: int
    pid: int
    metrics: int
    lanes: list[Lane] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)


class Answers(asyncio.Protocol):
    """The engine's stand-in: a fixed answer, or a fixed stream."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.came = transport, b""

    def data_received(self, data: bytes) -> None:
        self.came += data
        head, found, body = self.came.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        if not found or len(body) < int(length or 0):
            return
        self.came = b""
        if b'"stream":true' not in body:
            kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(ANSWER)
            self.transport.write(b"HTTP/1.1 200 OK\r\n%s\r\n%s" % (kind, ANSWER))
            return
        kind = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        self.transport.write(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % kind)
        for event in STREAM:
            self.transport.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.transport.write(b"0\r\n\r\n")


async def serve(port: int) -> None:
    """Answer on a port for ever."""
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


class Lane(asyncio.Protocol):
    """A client on a kept connection that asks again once it is answered; streams and whole answers in turn."""

    def __init__(self, first: int) -> None:
        self.first = first

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, count: int) -> asyncio.Future[list[float]]:
        """Ask so often; return the seconds of each."""
        self.count, self.took = count, list[float]()
        self.done = asyncio.get_running_loop().create_future()
        self.send()
        return self.done

    def send(self) -> None:
        self.came, self.began = b"", time.monotonic()
        self.transport.write(REQUESTS[(self.first + len(self.took)) % 2])

    def data_received(self, data: bytes) -> None:
        self.came += data
        if not self.came.endswith((USAGE + b"}", b"0\r\n\r\n")):
            return
        if not self.came.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(repr(self.came[:200])))
            return
        self.took.append(time.monotonic() - self.began)
        if len(self.took) < self.count:
            self.send()
        else:
            self.done.set_result(self.took)

    def connection_lost(self, error: BaseException | None) -> None:
        if hasattr(self, "done") and not self.done.done():
            self.done.set_exception(RuntimeError(f"the router closed the connection: {error}"))


async def turn(arm: Arm, requests: int) -> None:
    """Ask one arm, over `LANES` connections at once."""
    loop = asyncio.get_running_loop()
    while len(arm.lanes) < LANES:
        first = len(arm.lanes) % 2
        _, lane = await loop.create_connection(lambda n=first: Lane(n), "127.0.0.1", arm.port)
        arm.lanes.append(lane)
    before = processor(arm.pid)
    asked = (each.ask(requests // LANES) for each in arm.lanes)
    found = await asyncio.wait_for(asyncio.gather(*asked), 600)
    took = [one for each in found for one in each]
    used = processor(arm.pid) - before
    arm.turns.append(Turn(len(took), used, statistics.median(took) * 1e3))


def reading(arm: Arm) -> float:
    """Return the processor seconds that a router takes for one reading of its metrics."""
    before = processor(arm.pid)
    for _ in range(READINGS):
        connection = HTTPConnection("127.0.0.1", arm.metrics, timeout=20)
        connection.request("GET", "/metrics")
        connection.getresponse().read()
        connection.close()
    return (processor(arm.pid) - before) / READINGS


@contextmanager
def router(name: str, engine: int, *, accounts: bool) -> Iterator[Arm]:
    """Run a router with a key, with what accounting needs or without."""
    metrics = free_port()
    with lab(router_metrics_bind=f"127.0.0.1:{metrics}", router_threads=1) as running:
        if not accounts:
            without(running, LINES)
        running.give(with_key(KeyRing(), "ann", KEY, now=1.0))
        running.apply(with_model(Routes(), "tiny", (Target("blue", engine, 100),), created=1))
        running.up("tiny", "blue")
        yield Arm(name, running.port, running.process.pid, metrics)


def without(running: Lab, words: Sequence[str]) -> None:
    """Start a router anew without the lines of its configuration that have one of `words`."""
    path = Path(running.directory, "haproxy.cfg")
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not any(each in line for each in words)]
    if len(kept) >= len(lines) - len(words):
        sys.exit(
            "the router's configuration has other lines for accounting than this benchmark knows"
        )
    path.write_text("".join(kept))
    running.kill()
    running.start()


async def in_turns(arms: Sequence[Arm], rounds: int, requests: int) -> None:
    """Ask all arms in each round, in a random order, after a round that does not count."""
    drawn = random.Random(1)
    for _ in range(rounds + 1):
        for arm in drawn.sample(arms, len(arms)):
            await turn(arm, requests)
    for arm in arms:
        del arm.turns[0]


def routers(rounds: int, requests: int) -> bool:
    """Compare the routers; print the table and return whether the targets are met."""
    with ExitStack() as stack:
        port = free_port()
        words = [sys.executable, __file__, "--serve", str(port)]
        engine = subprocess.Popen(words)
        stack.callback(engine.wait)
        stack.callback(engine.kill)
        arms = [
            stack.enter_context(router(name, port, accounts=number < 2))
            for number, name in enumerate(NAMES)
        ]
        asyncio.run(in_turns(arms, rounds, requests))
        return shown(arms, rounds, reading(arms[0]))


def shown(arms: Sequence[Arm], rounds: int, read: float) -> bool:
    """Print the table of the routers; `read` are the processor seconds of a reading of the metrics."""
    print(
        f"{rounds} rounds of {arms[0].turns[0].requests} requests, load of the machine {os.getloadavg()[0]:.1f}"
    )
    print(f"{'medians of all rounds':<32}{'processor':>12} {'median':>11}")
    for arm in arms:
        used, took = (
            statistics.median(values)
            for values in zip(*((each.each, each.median) for each in arm.turns), strict=True)
        )
        print(f"{arm.name:<32}{used:>9.1f} us {took:>8.3f} ms")
    scrapes = read / SCRAPE
    print(f"a reading of the metrics: {read * 1e3:.2f} ms, {scrapes:.3%} of a processor")
    print(f"{'within a round':<32}{'processor':>20} {'median':>20}")
    mine, plain = tuple(arms[:2]), tuple(arms[2:])
    compared(f"{NAMES[0]}, two of a kind", mine[:1], mine[1:])
    compared(f"{NAMES[2]}, two of a kind", plain[:1], plain[1:])
    share, later = compared("with accounting less without", mine, plain)
    verdicts = share.verdict(MOST_SHARE - scrapes), later.verdict(MOST_MS)
    print(f"target: at most {MOST_SHARE:.0%} of the router's time: {verdicts[0]}")
    print(f"target: at most {MOST_MS} ms at the median: {verdicts[1]}")
    return verdicts == ("met", "met")


def compared(
    words: str, mine: Sequence[Arm], plain: Sequence[Arm]
) -> tuple[Difference, Difference]:
    """Print and return how much more of the processor, and how many milliseconds at the median, the first take."""
    rounds = range(len(mine[0].turns))

    def means(arms: Sequence[Arm], value: Callable[[Turn], float]) -> list[float]:
        return [statistics.fmean(value(arm.turns[number]) for arm in arms) for number in rounds]

    used = zip(
        means(mine, lambda each: each.each), means(plain, lambda each: each.each), strict=True
    )
    took = zip(
        means(mine, lambda each: each.median), means(plain, lambda each: each.median), strict=True
    )
    share = Difference.of([one / other - 1 for one, other in used])
    later = Difference.of([one - other for one, other in took])
    print(
        f"{words:<32}{f'{share.value:+.2%} +-{share.spread:.2%}':>20} "
        f"{f'{later.value:+.3f} +-{later.spread:.3f} ms':>20}"
    )
    return share, later


def main() -> int:
    """Measure and print; return 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=["", "vllm"], default="")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve))
    if given.engine:
        return 0 if engines(given.seconds, MOST_SHARE) else 1
    return 0 if routers(given.rounds, given.requests) else 1


if __name__ == "__main__":
    sys.exit(main())
