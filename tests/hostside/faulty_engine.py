"""An engine's stand-in that gets a fault while it serves: POST /fault {"fault": NAME} to its own port.

Names: errors (5 % answer 500), 500, empty, garbage, slow (3 s an answer), hang (health goes on), grow (200 MiB a
second), crash, refuse; an empty one ends the fault. LoRA adapters load and unload as in vLLM; with some loaded, those
of the directory `new` have the fault alone.
"""

from __future__ import annotations

import http.server
import json
import os
import random
import sys
import threading
import time

fault = [""]
held: list[bytearray] = []
tokens = [0]
# Public or internal name -> the directory of its weights.
adapters: dict[str, str] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/adapters":
            self.answer(json.dumps(adapters).encode())
            return
        metrics = f'vllm:generation_tokens_total{{engine="0"}} {float(tokens[0])}\n'
        self.answer(metrics.encode() if self.path == "/metrics" else b"")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/fault":
            fault[0] = request["fault"]
            self.answer(b"{}")
            begin(fault[0])
            return
        if self.path.endswith("_lora_adapter"):
            self.adapt(request)
            return
        if request.get("model", "tiny") not in {"tiny", *adapters}:
            self.answer(b'{"error": {"message": "no such model"}}', 404)
            return
        now = fault[0] if not adapters or adapters.get(request.get("model")) == "new" else ""
        if now == "500" or (now == "errors" and random.random() < 0.05):
            self.answer(b'{"error": {"message": "internal error"}}', 500)
            return
        if now == "hang":
            time.sleep(3600)
        time.sleep(3.0 if now == "slow" else 0.02)
        tokens[0] += 2
        self.complete({"empty": "", "garbage": "zqx zqx"}.get(now, "it is 4"), request)

    def adapt(self, request: dict[str, str]) -> None:
        name, loads = request["lora_name"], self.path == "/v1/load_lora_adapter"
        if loads is (name in adapters):
            self.answer(b"{}", 400)
            return
        if loads:
            adapters[name] = request["lora_path"]
        else:
            del adapters[name]
        self.answer(b"{}")

    def complete(self, text: str, request: dict[str, object]) -> None:
        if not request.get("stream"):
            self.answer(json.dumps({"choices": [{"text": text}]}).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        parts = [text[: len(text) // 2], text[len(text) // 2 :]]
        for event in [*(json.dumps({"choices": [{"text": part}]}) for part in parts), "[DONE]"]:
            data = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            time.sleep(0.005)
        self.wfile.write(b"0\r\n\r\n")

    def answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients hang up."""


def begin(name: str) -> None:
    if name == "crash":
        os._exit(1)
    if name == "refuse":
        server.socket.close()
    if name == "grow":
        threading.Thread(target=grow, daemon=True).start()


def grow() -> None:
    while fault[0] == "grow":
        if len(held) < 8:
            held.append(bytearray(b"\1") * (200 * 2**20))
        time.sleep(1)
    held.clear()


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("ready", flush=True)
try:
    server.serve_forever()
except (OSError, ValueError):
    time.sleep(3600)  # its socket was closed
