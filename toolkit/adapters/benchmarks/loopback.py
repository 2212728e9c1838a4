"""A port on this machine's loopback whose requests are answered by a replica on any host."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from toolkit.domain.replicas.answers import Answer
from toolkit.errors import ToolkitError

# (path, payload) -> the replica's answer
Ask = Callable[[str, Mapping[str, Any]], Answer]
# Bytes of a request; that of a benchmark is a prompt.
_MOST = 2**24


@contextmanager
def loopback(ask: Ask) -> Iterator[int]:
    """Give the port of a server that hands each POST to `ask` and passes its answer on."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer one request."""
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 < length <= _MOST:
                self._answer(413, b"")
                self.close_connection = True
                return
            try:
                payload = json.loads(self.rfile.read(length))
                answer = ask(self.path, payload)
            except (ValueError, RecursionError):
                self._answer(400, b"")
            except ToolkitError as error:
                self._answer(502, error.message.encode())
            else:
                text = answer.body or answer.error
                self._answer(answer.status or 502, text.encode("utf-8", "replace"))

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
