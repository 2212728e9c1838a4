"""Answers to large bodies that their clients do not read take a bounded part of the process for large bodies."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.hostside.keyed import ANN, BOB, bearer, ring
from tests.hostside.router_lab import Lab, lab, until
from tests.hostside.router_site import PATH
from tests.hostside.test_router_crowd import resident
from toolkit.hostside import access_log
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

PIECE = b"data: " + b"x" * 50_000 + b"\n\n"
PIECES, PAUSE = 100, 0.1  # 5 MB in 10 seconds
CROWD = 60
BODY = b'{"model":"tiny"}'.ljust(9_000)


class Engine(ThreadingHTTPServer):
    """An engine with long answers, as streams or with a length."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = int(self.server_address[1])
        self.streams = True
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of these tests hang up on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        if self.server.streams:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(PIECES * len(PIECE)))
        self.end_headers()
        chunk = b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if self.server.streams else PIECE
        for _ in range(PIECES):
            self.wfile.write(chunk)
            time.sleep(PAUSE)
        if self.server.streams:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def behind(**variables: Any) -> Iterator[tuple[Lab, Engine]]:
    """A router with keys before such an engine."""
    engine = Engine()
    routes = with_model(Routes(), "tiny", (Target("blue", engine.port, 100),), created=1)
    with lab(routes=routes, **variables) as running:
        running.up("tiny", "blue")
        running.give(ring())
        yield running, engine
    engine.stop()


def unread(running: Lab, key: str = ANN) -> socket.socket:
    """Ask for an answer that is not read."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(60)
    made.connect(("127.0.0.1", running.port))
    length = f"x-api-key: {key}\r\nContent-Length: {len(BODY)}"
    made.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n".encode() + BODY)
    return made


def read(port: int) -> int:
    """Return how much of an answer a client gets that reads it."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(client):
        client.request("POST", PATH, BODY, bearer(BOB))
        return len(client.getresponse().read())


@pytest.mark.parametrize("streams", [True, False], ids=["streams", "with a length"])
def test_answers_to_large_bodies_that_nobody_reads_take_bounded_memory(*, streams: bool) -> None:
    held = 100_000_000
    with behind(router_unread_answers=held) as (running, engine), contextlib.ExitStack() as crowd:
        engine.streams = streams
        most = 0
        with ThreadPoolExecutor() as pool:
            for _ in range(CROWD):
                crowd.enter_context(unread(running))
            whole = [pool.submit(read, running.port) for _ in range(4)]
            while not all(each.done() for each in whole):
                time.sleep(0.02)
                most = max(most, resident(running))
        # A busy machine may fall behind between two of the looks, of which there are four a second.
        assert most < 2.5 * held
        assert [each.result() for each in whole] == [PIECES * len(PIECE)] * 4
        crowd.close()
        until(lambda: len(running.requests()) == CROWD + 4)
        found = Counter((each["key"], *access_log.ended(each)) for each in running.requests())
        assert found.pop(("bob", 200, "-")) == 4
        # What the router itself held of a cut answer may have gone to the kernel.
        cut = {("ann", 499, "client_left_answer"), ("ann", 200, "replica_broke_off")}
        assert found.keys() <= cut
