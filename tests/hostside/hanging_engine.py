"""An engine's stand-in of two processes, as vLLM's: one answers HTTP, another computes and can be stopped alone.

A request's "work" is the time for which the second process computes before its answer, in seconds.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time

CORE = """
import sys, time
for line in sys.stdin:
    until = time.monotonic() + float(line)
    while time.monotonic() < until:
        pass
    print("done", flush=True)
"""
core = subprocess.Popen(
    [sys.executable, "-c", CORE, "VLLM::EngineCore"],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    bufsize=1,
)
turn, tokens = threading.Lock(), [0]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        metrics = f'vllm:generation_tokens_total{{engine="0"}} {float(tokens[0])}\n'
        self.answer(metrics.encode() if self.path == "/metrics" else b"")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with turn:
            assert core.stdin and core.stdout
            core.stdin.write(f"{request.get('work', 0)}\n")
            core.stdout.readline()
            tokens[0] += 1
        self.answer(b'{"choices": [{"message": {"content": "yes"}}]}')

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients hang up."""


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("ready", core.pid, time.time(), flush=True)
server.serve_forever()
