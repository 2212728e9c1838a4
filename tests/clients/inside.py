"""Run the real LiteLLM with an exported configuration, before a fleet and before a stand-in for a closed API."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from demo.lab import free_port, wait_for_port
from tests.clients.running import LITELLM, SECONDS, Libraries
from tests.programs import end
from toolkit.config.yaml_dump import dump_yaml

CLOSED = "openai/closed-1"
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 0,
    "model": "closed-1",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "from outside"},
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


class Outside:
    """A closed API on loopback; `texts` has the body of every request that reached it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                outside.texts.append(self.rfile.read(length).decode())
                body = json.dumps(ANSWER).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def closed_api() -> Iterator[Outside]:
    """Run the stand-in until the block ends."""
    outside = Outside()
    with outside.server as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield outside
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def proxy(
    libraries: Libraries, config: Mapping[str, Any], outside: Outside, key: str
) -> Iterator[Proxy]:
    """Run LiteLLM's proxy with `config`; `key` is the fleet's."""
    file = libraries.place / f"exported-{secrets.token_hex(4)}.yaml"
    file.write_text(dump_yaml(config))
    port, master = free_port(19500), f"sk-{secrets.token_hex(32)}"
    variables = {
        "TOOLKIT_KEY": key,
        "LITELLM_MASTER_KEY": master,
        "OPENAI_API_KEY": "sk-of-nobody",
        "OPENAI_BASE_URL": outside.address,
        "OPENAI_API_BASE": outside.address,
    }
    process = subprocess.Popen(
        [libraries.python.with_name("litellm"), "--config", file, "--host", "127.0.0.1",
         "--port", str(port)],
        env={**os.environ, **variables, **LITELLM},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(port, process, SECONDS)
        yield Proxy(f"http://127.0.0.1:{port}", master)
    finally:
        end(process)


class Proxy:
    """A running proxy, as a client of it sees it."""

    def __init__(self, address: str, key: str) -> None:
        self.address, self.key = address, key

    def ask(self, model: str, prompt: str, **more: Any) -> tuple[int, str]:
        """Return the status and the text of an answer, or of the refusal."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": 8,
            "temperature": 0,
            **more,
        }
        request = urllib.request.Request(
            f"{self.address}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                said = json.loads(answer.read())
                return answer.status, said["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def nothing_inside_gets_outside(
    libraries: Libraries, toolkit: Callable[..., str], prompt: str, key: str
) -> None:
    """Require that LiteLLM falls back to a closed model where an operator says so, and never for what is inside.

    `toolkit` runs a command of a fleet that serves `tiny`, and `key` is a key of its routers.
    """
    file = libraries.place / "exported.yaml"
    toolkit("export", "litellm", "--closed", f"tiny={CLOSED}", "--output", str(file))
    opened = _read(file)
    toolkit("export", "litellm", "--inside", "--output", str(file))
    inside = _unreachable(_read(file))
    with closed_api() as outside:
        with proxy(libraries, _with_twin(opened), outside, key) as standing:
            assert standing.ask("tiny", prompt)[0] == 200
            assert outside.texts == []
            assert standing.ask("down", prompt) == (200, "from outside")
            assert len(outside.texts) == 1
        outside.texts.clear()
        with proxy(libraries, inside, outside, key) as standing:
            for more in ({}, {"fallbacks": [CLOSED]}, {"fallbacks": [{"model": CLOSED}]}):
                assert standing.ask("tiny", prompt, **more)[0] >= 400
            assert standing.ask(CLOSED, prompt)[0] >= 400
        assert outside.texts == []


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def _with_twin(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with `down` beside `tiny`: the same model, on routers that are down."""
    down = [
        {**each, "model_name": "down"}
        for each in _unreachable(config)["model_list"]
        if each["model_name"] == "tiny"
    ]
    settings = config["router_settings"]
    fallbacks = [*settings["fallbacks"], {"down": settings["fallbacks"][0]["tiny"]}]
    return {
        **config,
        "model_list": [*config["model_list"], *down],
        "router_settings": {**settings, "fallbacks": fallbacks},
    }


def _unreachable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a fleet whose every router is down."""
    nobody = f"http://127.0.0.1:{free_port(19600)}/v1"
    models = json.loads(json.dumps(config["model_list"]))
    for each in models:
        if "api_base" in each["litellm_params"]:
            each["litellm_params"]["api_base"] = nobody
    return {**config, "model_list": models}
