#!/usr/bin/python3
"""Stands where an engine's `vllm` stands, for tests of what surrounds an engine: the same command line, the same
endpoints, ready in milliseconds. A request of the user `held` is answered once one of the user `release` comes, and one
of `slow` after 1.5 s. How it does is written in `behaviour` inside the snapshot, or, for snapshots that were
pinned and sent like a model's, in `behaviour.txt`, with its answer in the line after. Requests of the user `client`
are those of clients: gates and guards do not ask in that name."""

import asyncio
import http.server
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from stub_ways import WAYS, tried

snapshot = os.path.realpath(sys.argv[2])
name = next(each for each in ("behaviour", "behaviour.txt") if os.path.exists(f"{snapshot}/{each}"))
with open(f"{snapshot}/{name}") as file:
    behaviour, _, answer = file.read().strip().partition("\n")
port = int(sys.argv[sys.argv.index("--port") + 1])
running = [0]
# LoRA adapters by name, with what they answer, and the name of their base.
adapters = {}
# Their directories.
places = {}
served = (
    sys.argv[sys.argv.index("--served-model-name") + 1] if "--served-model-name" in sys.argv else ""
)
# Seconds that each answer took to begin.
took = []
# Set by the request that lets a held one go, and how many are held.
released, held = threading.Event(), [0]
# Requests of clients so far, and the memory that they took.
clients, taken = [0], []

# What it "compiles" in its first start, and that a later one found it.
if "VLLM_CACHE_ROOT" in os.environ:
    graph = f"{os.environ['VLLM_CACHE_ROOT']}/graph"
    os.makedirs(os.path.dirname(graph), exist_ok=True)
    with open(f"{graph}.loaded" if os.path.exists(graph) else graph, "w") as file:
        file.write("graph")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/metrics":
            lines = (
                *(f'{name}{{engine="0"}} {value}' for name, value in use.counters().items()),
                f'vllm:num_requests_running{{engine="0"}} {float(running[0])}',
                'vllm:cache_config_info{block_size="128",engine="0",num_gpu_blocks="16"} 1.0',
                f"stub:requests_held {held[0]}",
                *counted(),
                "",
            )
            self.answer(200, "\n".join(lines).encode())
        elif behaviour == "never ready" or use.dozes():
            self.answer(503, b"")
        elif self.path == "/v1/models":
            cards = [
                {"id": each, "root": place, "parent": served} for each, place in places.items()
            ]
            self.answer(
                200, json.dumps({"data": [{"id": served, "parent": None}, *cards]}).encode()
            )
        else:
            self.answer(200, b"")

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if use.dozes() or self.path in ADAPTER_CALLS:
            call = dozing if use.dozes() else ADAPTER_CALLS[self.path]
            status, words = call(request)
            self.answer(status, json.dumps({"error": {"message": words}}).encode())
            return
        asked = request.get("model")
        if asked not in adapters and "--enable-lora" in sys.argv and asked != served:
            use.count(self, {"refused": 404})
            self.answer(404, b'{"error": {"message": "the model does not exist"}}')
            return
        user = request.get("user", "").split()
        of_client = user[:1] == ["client"]
        clients[0] += of_client
        if clients[0] == 1 and of_client and behaviour == "dies 20 s after a client":
            threading.Timer(20, lambda: (worker.kill(), os._exit(0))).start()
        if fails(of_client):
            use.count(self, {"refused": 500})
            self.answer(500, b'{"error": {"message": "internal error"}}')
            return
        running[0] += 1
        # Also where the client has left.
        try:
            begun = time.monotonic()
            text = adapters[asked] if asked in adapters else spoken(of_client, request)
            if user[:1] == ["slow"]:
                time.sleep(float(user[1]) if user[1:] else 1.5)
            elif user[:1] == ["held"]:
                held[0] += 1
                released.wait(60)
                released.clear()
                held[0] -= 1
            elif user[:1] == ["release"]:
                released.set()
            elif user[:1] and user[0] in WAYS:
                text = tried(WAYS[user[0]], user[1:])
            elif behaviour == "answers nothing":
                text = ""
            took.append(time.monotonic() - begun)
            self.complete(request, text)
        finally:
            running[0] -= 1

    def complete(self, request, text):
        if behaviour == "dies sampling" and "top_p" in request:
            worker.kill()
            os._exit(0)
        asked = json.dumps(request.get("messages", request.get("prompt", "")))
        tokens = {"prompts": [len(asked.split())], "tokens": max(1, len(text.split()))}
        name = request.get("model") if request.get("model") in adapters else None
        use.count(self, {**tokens, "stream": bool(request.get("stream")), "adapter": name})
        if request.get("stream"):
            self.stream(text)
            return
        said = {"message": {"content": text}} if "messages" in request else {"text": text}
        self.answer(200, json.dumps({"choices": [{**said, "finish_reason": "stop"}]}).encode())

    def stream(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        half = len(text) // 2
        parts = [{"delta": {"content": part}} for part in (text[:half], text[half:])]
        parts += [{"delta": {}, "finish_reason": "stop"}]
        events = [json.dumps({"choices": [part]}) for part in parts] + ["[DONE]"]
        for event in events:
            line = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


class Use:
    """Records what requests use by the recorder that the command line names, around a double of the engine's states.

    The double counts the words of prompt and answer as tokens. Where it does not lie beside this program, nothing is
    recorded.
    """

    def __init__(self):
        self.recorder = None
        beside = os.path.dirname(os.path.abspath(__file__))
        if "--middleware" not in sys.argv or not os.path.exists(f"{beside}/engine_double.py"):
            return
        double = importlib.import_module("engine_double")
        self.processor = double.install()
        module, name = sys.argv[sys.argv.index("--middleware") + 1].rsplit(".", 1)
        made = getattr(importlib.import_module(module), name)
        self.recorder = made(double.Server(self.processor))
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.life = asyncio.Queue()
        engine = double.Engine(
            {"never sleeps": "sleep", "never wakes": "wake"}.get(behaviour, ""),
            4.0 if behaviour == "sleeps slowly" else 0.0,
        )
        self.living = asyncio.run_coroutine_threadsafe(
            self.recorder(double.living(engine), self.life.get, self.deaf), self.loop
        )
        self.loop.call_soon_threadsafe(self.life.put_nowait, {"type": "lifespan.startup"})

    def dozes(self):
        """Whether the recorder answers in the engine's place."""
        return self.recorder is not None and self.recorder.doze.dozes

    async def deaf(self, message):
        """Throw a part of the double's answer away: the client gets the stub's own."""

    def counters(self):
        """Return the double's counters of tokens, by their names."""
        return self.processor.counters if self.recorder else {}

    def count(self, handler, body):
        """Record a request, with the headers and path that it came with."""
        if not self.recorder:
            return
        headers = [(name.lower().encode(), each.encode()) for name, each in handler.headers.items()]
        scope = {"type": "http", "method": "POST", "path": handler.path, "headers": headers}
        came = asyncio.Queue()
        came.put_nowait({"type": "http.request", "body": json.dumps(body).encode()})
        asked = self.recorder(scope, came.get, self.deaf)
        asyncio.run_coroutine_threadsafe(asked, self.loop).result(20)

    def end(self):
        """Let the recorder write its last line."""
        if self.recorder:
            shutdown = {"type": "lifespan.shutdown"}
            asyncio.run_coroutine_threadsafe(self.life.put(shutdown), self.loop).result(5)
            self.living.result(5)


def counted():
    """Yield the lines of the other metrics that rules and dashboards read, as if an answer had ten tokens."""
    own, answers = f'engine="0",model_name="{served}"', list(took)
    totals = {"prompt_tokens_cached": 5}
    # The double counts the other tokens itself, where there is one.
    if not use.counters():
        totals.update(prompt_tokens=20, generation_tokens=10)
    for name, tokens in totals.items():
        yield f"vllm:{name}_total{{{own}}} {float(tokens * len(answers))}"
    for name in ("num_requests_waiting", "kv_cache_usage_perc", "num_preemptions_total"):
        yield f"vllm:{name}{{{own}}} 0.0"
    times = (
        "time_to_first_token",
        "inter_token_latency",
        "request_queue_time",
        "e2e_request_latency",
    )
    for name in (*(f"{each}_seconds" for each in times), "iteration_tokens_total"):
        for most in (0.05, 0.25, 1.0, 2.5, float("inf")):
            within = sum(each <= most for each in answers)
            yield f'vllm:{name}_bucket{{{own},le="{"+Inf" if most > 9 else most}"}} {float(within)}'
        yield f"vllm:{name}_sum{{{own}}} {sum(answers)}"
        yield f"vllm:{name}_count{{{own}}} {float(len(answers))}"


def load_adapter(request):
    """Load a LoRA adapter, whose weights are the words that it answers; `broken weights` do not load."""
    name, path = request["lora_name"], request["lora_path"]
    if name in adapters:
        return 400, f"The lora adapter '{name}' has already been loaded."
    try:
        with open(f"{path}/adapter_model.safetensors") as file:
            said = file.read()
    except OSError as error:
        return 404, f"Loading lora {name} failed: {error}"
    if said == "broken weights":
        return 500, "Error while deserializing header"
    adapters[name], places[name] = said, path
    return 200, ""


def unload_adapter(request):
    """Forget a LoRA adapter."""
    if request["lora_name"] not in adapters:
        return 404, f"The lora adapter '{request['lora_name']}' cannot be found."
    del adapters[request["lora_name"]], places[request["lora_name"]]
    return 200, ""


def dozing(request):
    """Answer in the place of an engine that dozes."""
    return 503, "this replica dozes"


ADAPTER_CALLS = {"/v1/load_lora_adapter": load_adapter, "/v1/unload_lora_adapter": unload_adapter}


def fails(of_client):
    """Whether a request is answered with an error; one of a replica that dies of it is not answered."""
    if behaviour == "hangs" or (behaviour == "hangs after a client" and clients[0]):
        time.sleep(60)
    if behaviour == "dies at its first request":
        worker.kill()
        os._exit(0)
    if behaviour == "fails one client in twenty":
        return of_client and clients[0] % 20 == 0
    return behaviour == "answers errors" or (of_client and behaviour == "answers errors to clients")


def spoken(of_client, request):
    """Return the text of an answer, as late and at such a price as the behaviour says.

    A question of several turns is answered with their number, so that a lost turn shows.
    """
    if behaviour == "is slow":
        time.sleep(0.1)
    if behaviour.startswith("answers in "):
        time.sleep(int(behaviour.split()[2]) / 1000)
    if behaviour == "grows with each client" and of_client and len(taken) < 48:
        taken.append(b"x" * 2**24)
    if clients[0] and behaviour == "answers wrongly after a client":
        return "I am somebody else."
    if clients[0] and behaviour == "answers nothing after a client":
        return ""
    turns = sum(each.get("role") == "user" for each in request.get("messages", ()))
    counted = turns > 1 and behaviour != "reads the last turn alone"
    return (answer or f"hello from {os.path.basename(snapshot)}") + f" ({turns} turns)" * counted


print(f"starting on port {port}", flush=True)
print("INFO Explicitly set (0.5/12.34) GiB for KV cache on node 0.", flush=True)
if behaviour == "dies at start":
    raise ValueError("no such thing")


def modules():
    """Return name and directory of each adapter of the command line."""
    if "--lora-modules" in sys.argv:
        for word in sys.argv[sys.argv.index("--lora-modules") + 1 :]:
            if word.startswith("--"):
                return
            yield word.split("=", 1)


for module, place in modules():
    status, words = load_adapter({"lora_name": module, "lora_path": place})
    if status != 200:
        raise ValueError(words)


def meet(count, rank, address, port):
    """Return once as many have come as run the model together; others than the first serve nothing and stay."""
    if count == 1:
        return []
    if rank == 0:
        with socket.create_server(("", port)) as server:
            return [server.accept()[0] for _ in range(count - 1)]
    while True:
        try:
            return [socket.create_connection((address, port), timeout=5)]
        except OSError:
            time.sleep(0.1)


def option(name, default):
    """Return the value that follows an option."""
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


together = meet(
    int(option("--nnodes", 1)),
    int(option("--node-rank", 0)),
    option("--master-addr", ""),
    int(option("--master-port", 0)),
)
# As with vLLM, the main process is not alone; it ends its worker when it is told to end, not when it is killed.
worker = subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(600)", f"worker-of-{port}", "VLLM::EngineCore"]
)


use = Use()


def end(signal_number, frame):
    worker.kill()
    use.end()
    os._exit(0)


signal.signal(signal.SIGTERM, end)
if "--headless" in sys.argv:
    signal.pause()


class Server(http.server.ThreadingHTTPServer):
    # As many connections as come at once: a router that loses one takes the replica for dead.
    request_queue_size = 512

    def handle_error(self, request, client_address):
        """Say nothing, as an engine of a client that hangs up: a traceback in the log is an error to `health`."""


server = Server(("127.0.0.1", port), Handler)
if behaviour == "dies under traffic":
    threading.Timer(1.0, lambda: os._exit(0)).start()
server.serve_forever()
