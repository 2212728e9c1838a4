"""The processor time that a router takes for each event of a stream.

    python tests/bench/bench_events.py [--streams 32 128] [--rounds 5]

An engine's stand-in sends a token on each of many streams every 20 ms. In turn they pass a plain HAProxy and the
toolkit's router.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
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
PAUSE = 0.02

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
    """Sends events on every stream, by one loop in a thread; `sent` counts them."""

    def __init__(self) -> None:
        self.sent, self.port = 0, free_port()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._serve(), self.loop).result(10)

    async def _serve(self) -> None:
        await asyncio.start_server(self._answer, "127.0.0.1", self.port, backlog=1024)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(HEAD)
                while not writer.is_closing():
                    writer.write(CHUNK)
                    self.sent += 1
                    await asyncio.sleep(PAUSE)
        writer.close()


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
    """Return the processor seconds of a process and of all that descend from it."""
    total, todo = 0.0, [root]
    while todo:
        pid = todo.pop()
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return total


async def _read(port: int, ended: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    waiting = asyncio.ensure_future(ended.wait())
    while not ended.is_set():
        reading = asyncio.ensure_future(reader.read(65536))
        await asyncio.wait([reading, waiting], return_when=asyncio.FIRST_COMPLETED)
        reading.cancel()
    writer.close()


async def _measured(engine: Engine, port: int, pid: int, streams: int, seconds: float) -> float:
    ended = asyncio.Event()
    clients = [asyncio.create_task(_read(port, ended)) for _ in range(streams)]
    await asyncio.sleep(2)
    began, before = engine.sent, cpu(pid)
    await asyncio.sleep(seconds)
    taken = (cpu(pid) - before) / (engine.sent - began)
    ended.set()
    await asyncio.gather(*clients, return_exceptions=True)
    return taken * 1e6


def main() -> None:
    """Print microseconds of a processor for each event, as medians of the rounds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    engine = Engine()
    arms = {"plain HAProxy": plain, "router": router}
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(given.rounds):
        for name, arm in arms.items():
            with arm(engine, 1) as (port, pid):
                for streams in given.streams:
                    one = asyncio.run(_measured(engine, port, pid, streams, given.seconds))
                    found.setdefault((name, streams), []).append(one)
                    print(f"  {name}, {streams} streams: {one:.1f} us", file=sys.stderr, flush=True)
    print(
        f"{'us of a processor for an event':<30}"
        + "".join(f"{s:>6} streams" for s in given.streams)
    )
    for name in arms:
        row = (statistics.median(found[name, streams]) for streams in given.streams)
        print(f"{name:<30}" + "".join(f"{each:>14.1f}" for each in row))
    print("target: the router at most 1.1 times the plain HAProxy")


if __name__ == "__main__":
    main()
