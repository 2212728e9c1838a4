"""The router's limits in numbers: a crowd without a key holds its connections, and clients with a key notice little."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.keyed import ANN, bearer, ring
from tests.hostside.router_lab import Lab, lab, until
from tests.hostside.router_site import PATH, Site

SLOW, HALF_SENT = 5000, 200
MEMORY = 600_000_000  # bytes, of all processes of the router together
ASKED, ROUNDS, MOST_ROUNDS = 200, 4, 20
NOISE = 0.001  # seconds


def descendants(pid: int) -> Iterator[int]:
    """Yield the process and all that it started."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from descendants(int(child))


def resident(running: Lab) -> int:
    """Return the bytes that the router's processes hold, master, workers and the reader of bodies."""
    pages = 0
    for pid in descendants(running.process.pid):
        with contextlib.suppress(FileNotFoundError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def p99(port: int, enough: float = 0.0) -> float:
    """Return the 99th percentile of the seconds that requests with a key take: the best of some rounds.

    Other processes of this machine disturb rounds, so further ones follow until one takes less than `enough`.
    """
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    rounds: list[float] = []
    with contextlib.closing(client):
        while (
            len(rounds) < (MOST_ROUNDS if enough else ROUNDS) and min(rounds, default=1) >= enough
        ):
            found: list[float] = []
            for _ in range(ASKED):
                began = time.perf_counter()
                client.request("POST", PATH, json.dumps({"model": "tiny"}), bearer(ANN))
                with client.getresponse() as answer:
                    answer.read()
                    assert answer.status == 200
                found.append(time.perf_counter() - began)
            rounds.append(sorted(found)[ASKED * 99 // 100])
    return min(rounds)


def frame(kind: int, flags: int, stream: int, data: bytes) -> bytes:
    """Return a frame of HTTP/2."""
    return struct.pack(">I", len(data))[1:] + struct.pack(">BBI", kind, flags, stream) + data


def held(running: Lab, source: str, sent: bytes) -> socket.socket:
    made = socket.create_connection(
        ("127.0.0.1", running.port), timeout=60, source_address=(source, 0)
    )
    made.sendall(sent)
    return made


@pytest.mark.parametrize("addresses", [1, 10], ids=["one address", "ten addresses"])
def test_a_crowd_without_a_key_costs_little_memory_and_no_answer(addresses: int) -> None:
    with (
        lab(router_head_timeout="60s") as running,
        contextlib.ExitStack() as stack,
        contextlib.ExitStack() as crowd,
    ):
        site = Site(running)
        stack.callback(site.blue.stop)
        stack.callback(site.green.stop)
        running.give(ring())
        before = p99(running.port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Slow: ".encode()
        for number in range(SLOW):
            source = "127.0.0.1" if addresses == 1 else f"127.0.1.{number % addresses + 1}"
            crowd.enter_context(held(running, source, head + b"s" * (number % 12_000)))
        for _ in range(HALF_SENT):
            made = crowd.enter_context(held(running, "127.0.2.1", head))
            made.setblocking(False)
            # as much of 15 MB as the router takes
            with contextlib.suppress(OSError):
                made.send(b"h" * 15_000_000)
        # Some of them wait for a moment until the router accepts them.
        until(lambda: running.connections() >= SLOW)
        enough = 2 * before + NOISE
        amid = p99(running.port, enough)
        assert resident(running) < MEMORY
        crowd.close()
        # Other processes of this machine may have begun since the requests before the crowd.
        assert amid < max(enough, 2 * p99(running.port) + NOISE)


def unread_streams(asked: int) -> bytes:
    """Return so many requests of one connection of HTTP/2 that takes nothing of their answers."""
    window = struct.pack(">HI", 4, 0)  # of HTTP/2: nothing of an answer may be sent
    fields = ((":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/v1/models"))
    packed = b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields
    )
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, window)
    sent += b"".join(frame(1, 5, 1 + 2 * number, packed) for number in range(asked))
    return sent


def test_answers_that_nobody_reads_cost_little_memory() -> None:
    connections = 300
    sent = unread_streams(100)
    with lab() as running, contextlib.ExitStack() as crowd:
        running.give(ring())
        before = resident(running)
        for _ in range(connections):
            crowd.enter_context(held(running, "127.0.0.7", sent))
        until(lambda: running.connections() >= connections)
        time.sleep(1)
        # A buffer of 16 KiB for each answer, and something for its stream.
        assert resident(running) - before < connections * 6 * 24_000 + 20_000_000


def test_strangers_have_together_few_requests_whose_answers_nobody_reads() -> None:
    most, connections = 100, 60
    with lab(router_connections_of_strangers=most) as running, contextlib.ExitStack() as crowd:
        running.give(ring())
        for number in range(1, connections + 1):
            crowd.enter_context(held(running, f"127.0.6.{number}", unread_streams(6)))
        until(lambda: running.connections() <= most // 6)
        # Who has a key is let in by any address.
        assert running.ask("/v1/models", **bearer(ANN))[0] == 200


def test_pages_that_nobody_reads_cost_the_kernel_little() -> None:
    """The kernel keeps up to 4 MB for each connection by itself, and all of its memory for TCP is soon taken."""
    count = 20
    with lab() as running, contextlib.ExitStack() as crowd:
        running.give(ring())
        pages = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100
        for _ in range(count):
            held_back = socket.socket()
            held_back.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
            held_back.settimeout(60)
            crowd.enter_context(held_back)
            held_back.connect(("127.0.0.1", running.port))
            held_back.sendall(pages)
        former: list[int] = []
        # The router goes on sending until the kernel takes no more.
        while len(former) < count or former != unsent(running.port):
            former = unsent(running.port)
            time.sleep(0.5)
        assert max(former) < 200_000


def unsent(port: int) -> list[int]:
    """Return the bytes that the kernel holds for the clients of a port which take none."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    mine = [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]
    held = sorted(int(row[4].partition(":")[0], 16) for row in mine)
    return [each for each in held if each]
