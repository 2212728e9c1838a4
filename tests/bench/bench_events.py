"""The processor time that a router takes for each event of a stream.

    python tests/bench/bench_events.py [--streams 32 128] [--rounds 5]

An engine's stand-in sends a token on each of many streams every 20 ms, 50,000 a second on 1,024 streams, where the
machine manages as many. In turn they pass a plain HAProxy and the toolkit's router. `again` is each against itself.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.hostside.router_lab import free_port, lab
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}\n\n'
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
REQUEST = (
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n" + b'{"model":"tiny"}'
)
# The seconds between two events of a stream, and the parts of all streams that get theirs one after the other.
PAUSE, PARTS = 0.02, 10
# The seconds between two reads of a client: a socket keeps what comes meanwhile.
READ_SECONDS = 0.5
# The router's time for an event, as a share of a plain HAProxy's, and the streams from which on it counts: with fewer
# the processor is idle nearly all the time.
GOAL, MANY = 1.15, 32

PLAIN = """
global
    nbthread {threads}
defaults
    mode http
    option http-no-delay
    option http-server-close
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend api
    bind 127.0.0.1:{port}
    default_backend engine
backend engine
    server blue 127.0.0.1:{engine}
"""


class Engine:
    """Sends an event on every stream each 20 ms, by one loop in a thread; `sent` counts them."""

    def __init__(self) -> None:
        self.sent, self.port = 0, free_port()
        self.streams: set[asyncio.StreamWriter] = set()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._serve(), self.loop).result(10)

    async def _serve(self) -> None:
        await asyncio.start_server(self._answer, "127.0.0.1", self.port, backlog=1024)
        self.sending = asyncio.create_task(self._send())

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(HEAD)
                self.streams.add(writer)
                await reader.read()
        self.streams.discard(writer)
        writer.close()

    async def _send(self) -> None:
        """Send on a part of the streams at a time, so that events come evenly."""
        due = time.monotonic()
        for part in itertools.cycle(range(PARTS)):
            for writer in list(self.streams)[part::PARTS]:
                writer.write(CHUNK)
                self.sent += 1
            due = max(due + PAUSE / PARTS, time.monotonic())
            await asyncio.sleep(due - time.monotonic())


@contextmanager
def plain(engine: Engine, threads: int) -> Iterator[tuple[int, int]]:
    """Run a HAProxy with nothing but a backend; yield its port and process."""
    port, directory = free_port(), Path(tempfile.mkdtemp(prefix="plain-"))
    file = directory / "haproxy.cfg"
    file.write_text(PLAIN.format(port=port, engine=engine.port, threads=threads))
    process = subprocess.Popen(["/usr/sbin/haproxy", "-f", file])
    try:
        time.sleep(0.5)
        yield port, process.pid
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory)


@contextmanager
def router(engine: Engine, threads: int) -> Iterator[tuple[int, int]]:
    """Run the toolkit's router; yield its port and process."""
    with lab(router_threads=threads) as running:
        running.apply(with_model(Routes(), "tiny", (Target("blue", engine.port, 100),), created=1))
        running.up("tiny", "blue")
        yield running.port, running.process.pid


def cpu(root: int) -> float:
    """Return the processor seconds of a process and of all that descend from it, to the nanosecond."""
    total, todo = 0, [root]
    while todo:
        tasks = Path(f"/proc/{todo.pop()}/task")
        with suppress(OSError):
            for task in tasks.iterdir():
                total += int((task / "schedstat").read_text().split()[0])
                todo += map(int, (task / "children").read_text().split())
    return total / 1e9


# Each stands here twice, so that the table shows the difference of an arm from itself.
ARMS = {
    "plain HAProxy": plain,
    "router": router,
    "plain HAProxy, again": plain,
    "router, again": router,
}


@contextmanager
def reading(port: int, streams: int) -> Iterator[None]:
    """Open streams and read them seldom: so the clients leave the processors to what is measured."""
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(streams)]
    ended = threading.Event()

    def read() -> None:
        while not ended.wait(READ_SECONDS):
            for each in clients:
                with suppress(BlockingIOError):
                    each.recv(2**17)

    for each in clients:
        each.sendall(REQUEST)
        each.setblocking(False)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        ended.set()
        reader.join()
        for each in clients:
            each.close()


def spent(engine: Engine, pid: int, seconds: float) -> tuple[float, int, float]:
    """Return the processor's seconds of a process, the events and the clock's seconds of a while."""
    began, before, at = engine.sent, cpu(pid), time.monotonic()
    time.sleep(seconds)
    return cpu(pid) - before, engine.sent - began, time.monotonic() - at


def measured(
    engine: Engine, port: int, pid: int, streams: int, seconds: float, idle: float
) -> tuple[float, float]:
    """Return the microseconds of a processor for each event, and the events a second.

    `idle` are the processor's seconds in a second without a stream, such as for checks. They are taken off.
    """
    with reading(port, streams):
        time.sleep(2)
        taken, events, clock = spent(engine, pid, seconds)
    # Until the engine knows that the streams have ended.
    time.sleep(1)
    return (taken - idle * clock) / events * 1e6, events / clock


def main() -> None:
    """Measure both in turns, each twice a round, and print the medians of the rounds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    engine = Engine()
    found: dict[tuple[str, int], list[float]] = {}
    rates: dict[int, list[float]] = {}
    for _ in range(given.rounds):
        for name, arm in ARMS.items():
            with arm(engine, 1) as (port, pid):
                taken, _, clock = spent(engine, pid, 2 * given.seconds)
                for streams in given.streams:
                    one, rate = measured(engine, port, pid, streams, given.seconds, taken / clock)
                    found.setdefault((name, streams), []).append(one)
                    rates.setdefault(streams, []).append(rate)
                    print(f"  {name}, {streams} streams: {one:.1f} us", file=sys.stderr, flush=True)
    tell(found, rates)


def tell(found: dict[tuple[str, int], list[float]], rates: dict[int, list[float]]) -> None:
    """Print the table: `found` has microseconds of each arm and number of streams, `rates` the events a second."""
    print(f"{'streams':<29}" + "".join(f"{each:>9}" for each in rates))
    print(
        f"{'events a second':<29}"
        + "".join(f"{statistics.median(each):>9,.0f}" for each in rates.values())
    )
    print("us of a processor for an event")
    medians = {each: statistics.median(taken) for each, taken in found.items()}
    for name in ARMS:
        print(f"{name:<29}" + "".join(f"{medians[name, each]:>9.1f}" for each in rates))

    def both(name: str, streams: int) -> float:
        return statistics.median(found[name, streams] + found[f"{name}, again", streams])

    shares = {each: both("router", each) / both("plain HAProxy", each) for each in rates}
    print(f"{'router / plain HAProxy':<29}" + "".join(f"{each:>9.2f}" for each in shares.values()))
    worst = max((share for streams, share in shares.items() if streams >= MANY), default=0.0)
    print(
        f"target: from {MANY} streams on the router at most {GOAL} times the plain HAProxy; {worst:.2f}: "
        f"{'met' if 0 < worst <= GOAL else 'missed'}"
    )


if __name__ == "__main__":
    main()
