"""What accounting of use and metrics cost the router, and what the recorder of use costs a real vLLM.

    python tests/bench/bench_accounting.py [--rounds 100] [--requests 400]
    python tests/bench/bench_accounting.py --engine vllm [--rounds 10] [--seconds 10]

Routers with the same route, key and stand-in of an engine are asked in turn, in another order each round: the toolkit's
own; one without the header of the key and the quotas; and that one without its filter, which finds the tokens of an
answer for the access log. A second router of the first kind shows what the method itself makes of no difference. Half
of the answers are streams of 20 events. Of many short rounds the calm ones count, because other programs of the machine
disturb the others. What a reading of the metrics takes is measured on its own: Prometheus reads every 15 s.

With `--engine vllm` two real engines are asked in turn, with the recorder and without. Exits with 1 where a target is
missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.hostside.router_lab import Lab, free_port, lab
from tests.system.served import ROOT as INSTALLED
from tests.system.test_use import ENVIRONMENT, started
from toolkit.domain.keys import KeyRing
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.keys import with_key
from toolkit.planning.routing.routes import Routes, Target

ROOT = Path(__file__).resolve().parents[2]
KEY = "tk-ann-" + "a" * 32
MOST_SHARE, MOST_MS = 0.01, 0.1
LANES = 8
# Seconds between two readings of the metrics, and readings that are measured.
SCRAPE, READINGS = 15.0, 20
ALL, SAME, FILTER, NOTHING = (
    "with accounting", "the same again", "without, but for the filter", "without",
)  # fmt: skip
# Lines of the router's configuration that are for accounting.
LINES = ("set-header X-Toolkit-Key", "set-var(txn.quota", "is_used_up", "quota_exceeded")
USAGE = b'"usage":{"prompt_tokens":20,"total_tokens":40,"completion_tokens":20}'
ANSWER = b'{"id":"c","choices":[{"index":0,"message":{"content":"%s"}}],%s}' % (
    b"word " * 60,
    USAGE,
)
EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}\n\n'
STREAM = [EVENT] * 20 + [b"data: [DONE]\n\n"]


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
    """One of the things that are compared; `port` is asked, `pid` and its descendants do the work."""

    name: str
    port: int
    pid: int
    metrics: int
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
            kind = b"Content-Type: application/json\r\nContent-Length: %d" % len(ANSWER)
            self.transport.write(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s" % (kind, ANSWER))
            return
        kind = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        self.transport.write(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % kind)
        for event in STREAM:
            self.transport.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.transport.write(b"0\r\n\r\n")


async def serve(port: int) -> None:
    """Answer on `port` for ever."""
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


class Lane(asyncio.Protocol):
    """A client that asks again once it is answered; streams and whole answers in turn."""

    def __init__(self, bodies: Sequence[bytes], count: int) -> None:
        self.bodies, self.count, self.took = bodies, count, list[float]()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        if len(self.took) == self.count:
            self.transport.close()
            self.done.set_result(None)
            return
        body = self.bodies[len(self.took) % len(self.bodies)]
        self.came, self.began = b"", time.monotonic()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        self.transport.write(head.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def data_received(self, data: bytes) -> None:
        self.came += data
        if self.came.endswith((b"]}", USAGE + b"}", b"0\r\n\r\n")):
            if not self.came.startswith(b"HTTP/1.1 200"):
                self.done.set_exception(RuntimeError(repr(self.came[:200])))
                return
            self.took.append(time.monotonic() - self.began)
            self.ask()


async def loaded(port: int, requests: int) -> list[float]:
    """Keep `LANES` requests under way until so many are answered; return the seconds of each."""
    asked = [{"model": "tiny"}, {"model": "tiny", "stream": True}]
    bodies = [json.dumps(each, separators=(",", ":")).encode() for each in asked]
    count, lanes = requests // LANES, []
    for number in range(LANES):
        turned = bodies[number % 2 :] + bodies[: number % 2]
        _, lane = await asyncio.get_running_loop().create_connection(
            lambda mine=turned: Lane(mine, count), "127.0.0.1", port
        )
        lanes.append(lane)
    await asyncio.wait_for(asyncio.gather(*(each.done for each in lanes)), 300)
    return [took for each in lanes for took in each.took]


def processor(root: int) -> float:
    """Return the processor seconds of all threads of a process and of what descends from it."""
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        for task in Path(f"/proc/{pid}/task").glob("*"):
            total += int((task / "schedstat").read_text().split()[0])
            todo += map(int, (task / "children").read_text().split())
    return total / 1e9


def turn(arm: Arm, requests: int) -> None:
    """Ask one arm."""
    before = processor(arm.pid)
    took = asyncio.run(loaded(arm.port, requests))
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
def router(name: str, engine: int, *, accounts: bool, filters: bool = True) -> Iterator[Arm]:
    """Run a router with a key, with what accounting needs or without."""
    metrics = free_port()
    with lab(router_metrics_bind=f"127.0.0.1:{metrics}", router_threads=1) as running:
        if not (accounts and filters):
            without(running, LINES if filters else (*LINES, "filter lua.usage"))
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


def in_turns(arms: Sequence[Arm], rounds: int, ask: Callable[[Arm], None]) -> None:
    """Ask all arms in each round, beginning with another one each time."""
    for number in range(rounds):
        at = number % len(arms)
        for arm in [*arms[at:], *arms[:at]]:
            ask(arm)


def routers(rounds: int, requests: int) -> bool:
    """Compare the routers; print the table and return whether the targets are met."""
    with ExitStack() as stack:
        port = free_port()
        engine = subprocess.Popen([sys.executable, __file__, "--serve", str(port)])
        stack.callback(engine.wait)
        stack.callback(engine.kill)
        arms = [
            stack.enter_context(router(ALL, port, accounts=True)),
            stack.enter_context(router(SAME, port, accounts=True)),
            stack.enter_context(router(FILTER, port, accounts=False)),
            stack.enter_context(router(NOTHING, port, accounts=False, filters=False)),
        ]
        for arm in arms:
            turn(arm, 100 * LANES)
            arm.turns.clear()
        in_turns(arms, rounds, lambda arm: turn(arm, requests))
        return shown(arms, rounds, reading(arms[0]))


def shown(arms: Sequence[Arm], rounds: int, read: float) -> bool:
    """Print the table of the routers; `read` are the processor seconds of a reading of the metrics."""
    print(
        f"{rounds} rounds of {arms[0].turns[0].requests:,} requests, load of the machine {os.getloadavg()[0]:.1f}"
    )
    print(
        f"{'a tenth of the rounds is below':<32}{'processor':>12} {'more':>8} {'median':>10} {'more':>8}"
    )
    calm = [
        (low(each.each for each in arm.turns), low(each.median for each in arm.turns))
        for arm in arms
    ]
    base = calm[-1]
    shares = [used / base[0] - 1 for used, _ in calm]
    later = [took - base[1] for _, took in calm]
    for arm, (used, took), share, more in zip(arms, calm, shares, later, strict=True):
        print(f"{arm.name:<32}{used:>9.1f} us {share:>+8.2%} {took:>7.2f} ms {more:>+8.3f}")
    print(f"two routers of the same kind are {abs(shares[0] - shares[1]):.2%} apart")
    print(
        f"a reading of the metrics: {read * 1e3:.2f} ms, every {SCRAPE:.0f} s {read / SCRAPE:.3%} of a processor"
    )
    mine, took = (shares[0] + shares[1]) / 2 + read / SCRAPE, (later[0] + later[1]) / 2
    found = (
        ("header, quotas and metrics", mine - shares[2], took - later[2]),
        ("these and the filter of the log", mine, took),
    )
    print(f"target: at most {MOST_SHARE:.0%} of the router's time and {MOST_MS} ms at the median")
    for words, share, more in found:
        met = share <= MOST_SHARE and more <= MOST_MS
        print(f"{words + ':':<33}{share:+.2%}, {more:+.3f} ms: {'met' if met else 'not met'}")
    return all(share <= MOST_SHARE and more <= MOST_MS for _, share, more in found)


def low(values: Iterable[float]) -> float:
    """Return the lowest tenth of the values of all rounds: of those that other programs disturbed least."""
    listed = sorted(values)
    return listed[len(listed) // 10]


def engines(rounds: int, seconds: float) -> bool:
    """Compare vLLM with the recorder and without; print the table and return whether the target is met."""
    (path,) = INSTALLED.glob("engines/vllm-0.32.0-*/.complete")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        place = Path(scratch)
        make = [
            path.parent / "bin/python",
            ROOT / "demo/make_model.py",
            place,
            "--variants",
            "rubbish",
        ]
        subprocess.run(make, check=True, stdout=sys.stderr, env={**os.environ, **ENVIRONMENT})
        pairs = []
        for recorded in (True, False):
            own = place / str(recorded)
            own.mkdir()
            made = started(path.parent, place / "rubbish", own, recorded=recorded)
            pairs.append(stack.enter_context(made))
        rates: list[list[float]] = [[], []]
        for number in range(rounds + 1):
            for which in ((0, 1), (1, 0))[number % 2]:
                rate = tokens_a_second(pairs[which].port, seconds if number else 2.0)
                if number:
                    rates[which].append(rate)
    shares = [1 - mine / plain for mine, plain in zip(*rates, strict=True)]
    spread = statistics.stdev(shares) / len(shares) ** 0.5
    share = statistics.median(shares)
    print(f"{rounds} pairs of {seconds:.0f} s, load of the machine {os.getloadavg()[0]:.1f}")
    for name, each in zip(("with the recorder", "without"), rates, strict=True):
        print(f"{name:<20}{statistics.median(each):>9,.0f} tokens/s")
    met = share <= MOST_SHARE
    words = f"{share:+.2%}, +-{2 * spread:.2%}: {'met' if met else 'not met'}"
    print(f"target: at most {MOST_SHARE:.0%} of the tokens a second; {words}")
    return met


def tokens_a_second(port: int, seconds: float) -> float:
    """Return what a vLLM generates with as many streams as it runs at once."""

    def counted() -> float:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        name = "vllm:generation_tokens_total{"
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    async def stream(ends: float) -> None:
        body = {
            "model": "tiny",
            "prompt": "Count.",
            "max_tokens": 64,
            "stream": True,
            "ignore_eos": True,
        }
        text = json.dumps(body).encode()
        while time.monotonic() < ends:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text)
            writer.write(head + text)
            if not (await reader.read(-1)).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("vLLM refuses the request")
            writer.close()

    async def work() -> None:
        ends = time.monotonic() + seconds
        await asyncio.gather(*(stream(ends) for _ in range(8)))

    before, began = counted(), time.monotonic()
    asyncio.run(work())
    took = time.monotonic() - began
    return (counted() - before) / took


def main() -> int:
    """Measure and print; return 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=["", "vllm"], default="")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve))
    if given.engine:
        return 0 if engines(given.rounds or 10, given.seconds) else 1
    return 0 if routers(given.rounds or 100, given.requests) else 1


if __name__ == "__main__":
    sys.exit(main())
