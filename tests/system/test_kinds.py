"""A model that answers no chats, with real vLLM: its vectors are those of its whole repository."""

from __future__ import annotations

import json
import math
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.lab import Lab, free_port
from tests.programs import own_temporary
from tests.system.beside import Command, beside
from tests.system.models import VECTORS
from tests.system.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
TEXTS = ["hello there", "what is the capital of france?", "a " * 200]
REGISTRY = """\
policy:
  licences: {allowed: [apache-2.0]}
models:
  vectors:
    licence: apache-2.0
    openness: fully-open
    source: {path: ./vectors}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 3GiB}
    env: {VLLM_CPU_KVCACHE_SPACE: "1", OMP_NUM_THREADS: "1"}
    # Without a check: that of its kind, which follows from its files.
"""


def test_an_embedding_model_serves_the_vectors_of_its_whole_repository(
    engine_lab: Lab, engine: Path, models: Path, tmp_path: Path
) -> None:
    lab, registry = engine_lab, tmp_path / "model_registry.yaml"
    repository = tmp_path / "vectors"
    shutil.copytree(models / VECTORS, repository)
    registry.write_text(REGISTRY)
    named = {"TOOLKIT_REGISTRY": str(registry)}

    with _by_hand(engine, repository) as (port, by_itself):
        lab.toolkit("registry", "pin", "vectors", "--as", "v1", **named)
        (shown,) = json.loads(lab.toolkit("registry", "show", "vectors", "--json", **named))[
            "versions"
        ]
        assert (shown["does"]["kind"], shown["does"]["context"]) == ("embedding", 96)
        lab.toolkit("deploy", "vectors@v1", "--yes", "--bake", "1", show=True, **named)
        try:
            slots = json.loads(lab.toolkit("status", "--json"))["slots"]
            (release,) = [
                each["release"] for each in slots if each["release"]["model"] == "vectors"
            ]
            assert [check["kind"] for check in release["checks"]] == ["embedding"]
            served = [_vector(lab.port, "vectors", text) for text in TEXTS]
        finally:
            lab.toolkit("stop", "vectors", "--yes", **named)
        until(lambda: by_itself.goes_on() and _healthy(port), 120)
        by_hand = [_vector(port, "vectors", text) for text in TEXTS]
    assert [len(vector) for vector in served] == [64, 64, 64]
    for mine, theirs in zip(served, by_hand, strict=True):
        assert max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) < 1e-5
    # `modules.json` normalizes them, which no engine does to a model without it.
    assert math.hypot(*served[0]) == pytest.approx(1, abs=1e-3)


@contextmanager
def _by_hand(engine: Path, repository: Path) -> Iterator[tuple[int, Command]]:
    """Serve a whole repository with the engine alone; yields its port, and its process."""
    port = free_port(18950)
    command = [
        str(engine / "bin" / "vllm"), "serve", ".", "--served-model-name", "vectors", "--host", "127.0.0.1",
        "--port", str(port), "--enforce-eager",
    ]  # fmt: skip
    more = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "TORCHDYNAMO_DISABLE": "1",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    with (
        own_temporary() as temporary,
        beside(command, {**os.environ, **more, **temporary}, repository) as by_itself,
    ):
        try:
            yield port, by_itself
        finally:
            # Its worker processes end with it only where it is asked.
            by_itself.process.terminate()
            by_itself.end(60)


def _vector(port: int, model: str, text: str) -> list[float]:
    body = {"model": model, "input": text, "truncate_prompt_tokens": 96}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/embeddings",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    vector: list[float] = answer["data"][0]["embedding"]
    return vector


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
