"""Adapters loaded and forgotten at run time: the same cases for the double in memory and for the stub of an engine.

The main job (`tests/system/`) does the same with vLLM itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.host_lab import STUB
from tests.hostside.router_lab import free_port
from tests.planning.facts import release, slot
from toolkit.adapters.fakes.host import FakeHost
from toolkit.planning.engines import engine_named

ENGINE = engine_named("vllm")
CHAT = "/v1/chat/completions"
GOOD, OTHER, BROKEN, NOWHERE = "a" * 64, "b" * 64, "c" * 64, "d" * 64
# path and body of a request -> the status of its answer
Ask = Callable[[str, Mapping[str, Any]], int]


class Kept:
    """An engine that takes adapters, and the directory in which their snapshots lie."""

    def __init__(self, ask: Ask, snapshots: str) -> None:
        self.ask, self.snapshots = ask, snapshots

    def load(self, name: str, digest: str) -> int:
        return self.ask(*ENGINE.load_adapter(name, f"{self.snapshots}/{digest}"))

    def unload(self, name: str) -> int:
        return self.ask(*ENGINE.unload_adapter(name))

    def chat(self, model: str) -> int:
        return self.ask(CHAT, {"model": model, "messages": [], "max_tokens": 1})


@pytest.fixture(params=["in memory", "a process"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "in memory":
        yield _in_memory()
    else:
        yield from _a_process(tmp_path)


def _in_memory() -> Kept:
    host = FakeHost()
    host._set(slot("blue", release(1)))
    host.adapters.broken |= {BROKEN, NOWHERE}
    return Kept(lambda path, body: host.ask(8100, path, body, 5.0).status, "/snapshots")


def _a_process(directory: Path) -> Iterator[Kept]:
    for digest, words in ((GOOD, "one"), (OTHER, "two"), (BROKEN, "broken weights")):
        (directory / digest).mkdir()
        (directory / digest / "adapter_model.safetensors").write_text(words)
    (directory / "base").mkdir()
    (directory / "base" / "behaviour").write_text("good")
    port = free_port()
    command = [sys.executable, str(STUB), "serve", str(directory / "base"), "--host", "127.0.0.1"]
    more = ["--port", str(port), "--served-model-name", "tiny", "--enable-lora"]
    with subprocess.Popen([*command, *more], stdout=subprocess.DEVNULL) as process:
        try:
            _wait(port)
            yield Kept(lambda path, body: _status(port, path, body), str(directory))
        finally:
            process.terminate()


def _wait(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the stub of an engine does not answer")


def _status(port: int, path: str, body: Mapping[str, Any]) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_an_adapter_is_a_model_from_its_load_to_its_unload(engine: Kept) -> None:
    assert engine.chat("sql") == 404
    assert engine.load("sql", GOOD) == 200
    assert (engine.chat("sql"), engine.chat("tiny")) == (200, 200)
    assert engine.unload("sql") == 200
    assert (engine.chat("sql"), engine.chat("tiny")) == (404, 200)


def test_a_name_is_exchanged_by_forgetting_it_first(engine: Kept) -> None:
    assert engine.load("sql", GOOD) == 200
    assert engine.load("sql", OTHER) == 400
    assert engine.unload("sql") == 200
    assert engine.load("sql", OTHER) == 200


def test_two_names_stand_beside_each_other(engine: Kept) -> None:
    assert engine.load("sql", GOOD) == 200
    assert engine.load("sql@bbbbbbbbbbbb", OTHER) == 200
    assert (engine.chat("sql"), engine.chat("sql@bbbbbbbbbbbb")) == (200, 200)


@pytest.mark.parametrize("digest", [BROKEN, NOWHERE])
def test_a_bad_adapter_does_not_load_and_leaves_the_rest_alone(engine: Kept, digest: str) -> None:
    assert engine.load("sql", GOOD) == 200
    assert engine.load("sql@cccccccccccc", digest) >= 400
    assert engine.chat("sql@cccccccccccc") == 404
    assert (engine.chat("sql"), engine.chat("tiny")) == (200, 200)


def test_an_unknown_name_is_forgotten_already(engine: Kept) -> None:
    assert engine.unload("law") == 404
