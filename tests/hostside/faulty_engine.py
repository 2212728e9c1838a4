"""An engine's stand-in that gets a fault while it serves: POST /fault {"fault": NAME} to its own port.

Names: errors (5 % answer 500), 500, empty, garbage, slow (3 s an answer), hang (health goes on), grow (200 MiB a
second), leak (8 MiB a second), crash, refuse, 429; body (an error with status 200), cut (streams without their end),
streams, long and key (500 to streams, to long prompts, to the user `seldom` alone), tokens (each takes five times as
long), crowd (one request at a time), name, usage and finish (of a right answer these are wrong); an empty one ends the
fault. LoRA adapters load and unload as in vLLM; with some loaded, those of the directory `new` have the fault alone.
"""

from __future__ import annotations

import contextlib
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
one_at_a_time = threading.Lock()
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
        if (status := status_of(now, request)) or now == "body":
            self.answer(b'{"error": {"message": "internal error"}}', status or 200)
            return
        if now == "hang":
            time.sleep(3600)
        with one_at_a_time if now == "crowd" else contextlib.nullcontext():
            time.sleep(3.0 if now == "slow" else 0.02)
        tokens[0] += 2
        self.complete({"empty": "", "garbage": "zqx zqx"}.get(now, "it is 4"), request, now)

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

    def complete(self, text: str, request: dict[str, object], now: str) -> None:
        if self.path == "/v1/embeddings":
            vector = {"empty": [], "garbage": [0.0, 0.0]}.get(now, [0.6, 0.8])
            self.answer(json.dumps({"data": [{"index": 0, "embedding": vector}]}).encode())
            return
        head = {"model": "another" if now == "name" else request.get("model", "tiny")}
        end = {"finish_reason": "length" if now == "finish" else "stop"}
        used = {"usage": {"completion_tokens": 0 if now == "usage" else 2}}
        if not request.get("stream"):
            choices = [{"text": text, **end}]
            self.answer(json.dumps({**head, "choices": choices, **used}).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        parts = [{"text": text[: len(text) // 2]}, {"text": text[len(text) // 2 :], **end}]
        events = [json.dumps({**head, "choices": [part]}) for part in parts]
        for event in [*events, *(() if now == "cut" else ("[DONE]",))]:
            data = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            time.sleep(0.025 if now == "tokens" else 0.005)
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


def status_of(now: str, request: dict[str, object]) -> int:
    """Return the status with which the fault answers a request; 0 where it is answered."""
    hits = {
        "500": True,
        "errors": random.random() < 0.05,
        "streams": bool(request.get("stream")),
        "long": len(str(request.get("prompt", ""))) > 1000,
        "key": request.get("user") == "seldom",
    }
    return 429 if now == "429" else 500 if hits.get(now) else 0


def begin(name: str) -> None:
    if name == "crash":
        os._exit(1)
    if name == "refuse":
        server.socket.close()
    if name in ("grow", "leak"):
        threading.Thread(target=grow, args=(name,), daemon=True).start()


def grow(name: str) -> None:
    size = 200 if name == "grow" else 8
    while fault[0] == name:
        if len(held) < 1600 // size:
            held.append(bytearray(b"\1") * (size * 2**20))
        time.sleep(1)
    held.clear()


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("ready", flush=True)
try:
    server.serve_forever()
except (OSError, ValueError):
    time.sleep(3600)  # its socket was closed
