"""A small streaming engine behind a router, for the tests of the router."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.hostside.ports import free_port


class Backend:
    """An engine's stand-in: answers `/health` and completions that carry its name.

    Body {"tokens": n, "pause": s, "stream": bool}: n pieces, `pause` seconds apart. With "gated" the answer, or each
    piece of it, waits for a turn: `turns.release()`. `gone` counts the requests whose client hung up; `last` is path
    and body of the newest request, `headers` its headers, `all_headers` with those that stand twice. `keys` has what
    each request says of its key.
    Its answers have the headers `says`, too.
    With "comments" a comment follows each piece of a stream, as with vLLM's `sse-keep-alive-interval`. A
    `broken` one hangs up instead of answering, a `failing` one answers `fails_with`, an `ill` one answers checks with
    503.
    """

    def __init__(self, name: str, port: int | None = None) -> None:
        self.name, self.gone, self.last = name, 0, ("", b"")
        self.headers: dict[str, str] = {}
        self.says: dict[str, str] = {}
        self.all_headers: list[tuple[str, str]] = []
        self.keys: list[list[str]] = []
        self.broken = self.failing = self.ill = False
        self.fails_with = 500
        self.turns = threading.Semaphore(0)
        self.server = _Server(("127.0.0.1", port or free_port()), _Handler)
        self.server.backend = self
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Close the port; running answers go on."""
        self.server.shutdown()
        self.server.server_close()

    def cut(self) -> None:
        """Cut all connections, as the end of the process does."""
        for connection in list(self.server.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512
    backend: Backend

    def __init__(self, *given: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of these tests hang up on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"{}", 503 if self.server.backend.ill else 200)

    def do_POST(self) -> None:
        try:
            self._answer_post()
        except OSError:
            self.server.backend.gone += 1
            self.close_connection = True

    def _answer_post(self) -> None:
        body = self._body()
        backend = self.server.backend
        backend.last, backend.headers = (self.path, body), dict(self.headers)
        backend.all_headers = self.headers.items()
        backend.keys.append(self.headers.get_all("X-Toolkit-Key", []))
        if backend.broken:
            self.close_connection = True
            return
        try:
            wanted = json.loads(body) if len(body.rstrip()) < 4096 else {}
        except ValueError:
            wanted = {}
        if not isinstance(wanted, dict) or not wanted.get("stream"):
            if isinstance(wanted, dict):
                self._wait_for_turn(wanted)
                time.sleep(wanted.get("pause", 0))
            answer = {"slot": backend.name, "size": len(body)}
            text = json.dumps(answer, separators=(",", ":")).encode()
            self._answer(text, backend.fails_with if backend.failing else 200)
            return
        self._stream(wanted)

    def _wait_for_turn(self, wanted: dict[str, Any]) -> None:
        if wanted.get("gated"):
            self.server.backend.turns.acquire(timeout=60)

    def _say_more(self) -> None:
        """Say what a replica adds to its head, and let every page read it, as vLLM does."""
        for name, value in self.server.backend.says.items():
            self.send_header(name, value)
        if self.headers["Origin"]:
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Allow-Credentials", "true")

    def _stream(self, wanted: dict[str, Any]) -> None:
        comment = b": keep-alive\n\n" if wanted.get("comments") else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self._say_more()
        self.end_headers()
        for _ in range(wanted["tokens"]):
            self._wait_for_turn(wanted)
            piece = {"slot": self.server.backend.name}
            self._chunk(f"data: {json.dumps(piece)}\n\n".encode())
            if comment:
                self._chunk(comment)
            time.sleep(wanted.get("pause", 0))
        # At once, as the recorder of use lets an engine say it: clients hang up at the mark of the end.
        self.wfile.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self._say_more()
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
