"""A person who waits for a replica reads how far its start is, not whatever its log said last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.world import World, release
from toolkit.planning.engines import engine_named
from toolkit.workflows.change.starting import Starting

VLLM = engine_named("vllm")
HEAD = "(EngineCore pid=15) INFO 11-27 00:14:59 "
# A start of vLLM 0.32 as its log tells it, second by second.
REPORTS = (
    (1, "Triton is installed, but doesn't include CPU backend. Disabling Triton."),
    (
        5,
        "(APIServer pid=3) INFO 11-27 00:14:48 [model.py:733] Resolved architecture: Qwen3ForCausalLM",
    ),
    (
        12,
        "(APIServer pid=3) INFO 11-27 00:14:48 [compilation.py:317] Enabled custom fusions: norm_quant",
    ),
    (14, f"{HEAD}[core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='.'"),
    (
        20,
        "(Worker pid=24) INFO 11-27 00:15:08 [cpu_model_runner.py:68] Starting to load model ....",
    ),
    (21, "Loading safetensors checkpoint shards:   0% Completed | 0/1 [00:00<?, ?it/s]"),
    (31, "Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:10<00:00, 392.47it/s]"),
    (32, "Triton is installed, but doesn't include CPU backend. Disabling Triton."),
    (33, f"{HEAD}[kv_cache_utils.py:2327] CPU KV cache size: 2,097,152 tokens"),
    (
        35,
        "(APIServer pid=3) INFO 11-27 00:15:12 [entry.py:140] Starting vLLM server on http://127.0.0.1:1",
    ),
)


def test_a_start_is_told_by_its_phases() -> None:
    said: list[str] = []
    starting = Starting(VLLM, said.append)
    for seconds, line in REPORTS:
        starting({"seconds": seconds + 0.2, "line": line})
    assert said == [
        "  starting for 1 s: importing",
        "  starting for 12 s: importing",
        "  starting for 14 s: starting the engine's processes",
        "  starting for 20 s: loading weights",
        "  starting for 31 s: loading weights",
        "  starting for 33 s: measuring memory",
        "  starting for 35 s: warming up",
    ]


def test_a_phase_is_told_with_its_usual_duration() -> None:
    said: list[str] = []
    starting = Starting(VLLM, said.append, {"importing": 13.6, "loading weights": 0.44})
    for seconds, line in REPORTS:
        starting({"seconds": seconds + 0.25, "line": line})
    assert said[:4] == [
        "  starting for 1 s: importing, usually 14 s",
        "  starting for 12 s: importing, usually 14 s",
        "  starting for 14 s: starting the engine's processes",
        "  starting for 20 s: loading weights, usually 0.4 s",
    ]
    assert starting.phases(40.0) == {
        "importing": 14.25,
        "starting the engine's processes": 6.0,
        "loading weights": 13.0,
        "measuring memory": 2.0,
        "warming up": 4.75,
    }


def test_a_start_without_a_report_has_no_phases() -> None:
    assert Starting(VLLM, print).phases(3.0) == {}


def test_the_next_start_of_a_model_knows_what_the_last_one_took(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(release(1))
    (host,) = world.hosts
    (kept,) = world.history.starts("tiny")
    assert (kept.release, kept.host, kept.engine) == (1, host, release(1).engine)
    assert sum(kept.phases.values()) == pytest.approx(kept.phases["importing"])
    world.said.clear()
    world.deploy(release(2))
    assert any(each.endswith("importing, usually 1.0 s") for each in world.said)


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        (f"{HEAD}[backends.py:900] Dynamo bytecode transform time: 5.45 s", "compiling"),
        (f"{HEAD}[monitor.py:34] torch.compile takes 21.45 s in total", "compiling"),
        ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  12%|█▏", "capturing graphs"),
        (f"{HEAD}[gpu_worker.py:298] Available KV cache memory: 59.33 GiB", "measuring memory"),
        (f"{HEAD}[launcher.py:195] Route: /health, Methods: GET", "warming up"),
        ("", "importing"),
        ("x" * 100_000, "importing"),
    ],
)
def test_lines_have_their_phase(line: str, phase: str) -> None:
    assert VLLM.phases[VLLM.phase_of(line)] == phase
