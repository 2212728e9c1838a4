"""What an engine says of its memory, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.domain.engines.fit import Actual, FitRecord, Prediction
from toolkit.planning.engines.vllm_log import read_actual

GIB = 2**30
CPU = (
    "(Worker pid=11748) INFO 11-22 10:14:52 [cpu_worker.py:260] Explicitly set (1.0/12.34) GiB for KV cache on node 0.",
    "(EngineCore pid=11147) INFO 11-22 10:14:52 [kv_cache_utils.py:2327] CPU KV cache size: 2,097,152 tokens, "
    "Maximum concurrency for 1,024 tokens per request: 2048.00x",
)
GPU = (
    "(Worker_TP0 pid=34) INFO 05-06 20:59:59 Model loading took 12.5 GiB memory and 31.6 seconds",
    "(Worker_TP1 pid=35) INFO 05-06 20:59:59 Model loading took 12.25 GiB memory and 31.7 seconds",
    "(Worker_TP0 pid=34) INFO 05-06 21:00:30 Available KV cache memory: 8.5 GiB",
    "(EngineCore pid=33) INFO 05-06 21:00:31 [kv_cache_utils.py:2327] GPU KV cache size: 178,880 tokens, "
    "Maximum concurrency for 40,960 tokens per request: 4.37x",
    "(Worker_TP0 pid=34) INFO 05-06 21:00:50 Graph capturing finished in 19 secs, took 0.75 GiB",
)
METRIC = (
    'vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="0",'
    'kv_cache_size_tokens="%s",num_gpu_blocks="100"} 1.0'
)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (CPU, Actual(tokens=2_097_152, context=1024, concurrency=2048.0, cache=GIB)),
        (GPU, Actual(178_880, 40_960, 4.37, int(12.5 * GIB), int(8.5 * GIB), int(0.75 * GIB))),
        (tuple(reversed(GPU)), read_actual(GPU)),
        ((METRIC % "2000",), Actual(tokens=2000)),
        ((METRIC % "None",), Actual(tokens=1600)),
        ((METRIC % "2000", CPU[1]), Actual(tokens=2_097_152, context=1024, concurrency=2048.0)),
        (("INFO Model loading took 2.2845 GiB and 74.27 seconds",), Actual(weights=int(2.2845 * GIB))),
        (("INFO GPU KV cache size: 100 tokens",), Actual(tokens=100)),
        ((), Actual()),
        (("starting on port 8100", "KV cache usage: 0.3%"), Actual()),
    ],
)  # fmt: skip
def test_what_an_engine_says(lines: tuple[str, ...], expected: Actual) -> None:
    assert read_actual(lines) == expected
    assert expected.known == any(value is not None for value in expected.as_json().values())


# Recorded from vLLM 0.32.0 on the CPU: the one that got as far as its cache, and those that did not.
def test_what_real_logs_say() -> None:
    logs = Path(__file__).parent / "engine_logs"
    said = {path.stem: read_actual(path.read_text("utf-8").splitlines()) for path in logs.iterdir()}
    assert said.pop("engine-killed") == read_actual(CPU)
    assert said
    assert all(each.tokens is None for each in said.values())


def prediction(*, tokens: int, weights: int) -> Prediction:
    return Prediction(24, weights, 1, 5, 1, 8, tokens, 1.0, 8, 9)


def test_errors_are_shares_of_what_came_true() -> None:
    record = FitRecord(
        "tiny", 1, "a", prediction(tokens=110, weights=90), Actual(tokens=100, weights=100), 1.0
    )
    assert record.token_error == pytest.approx(0.1)
    assert record.weight_error == pytest.approx(-0.1)
    unsaid = FitRecord("tiny", 1, "a", prediction(tokens=110, weights=90), Actual(cache=1), 1.0)
    assert (unsaid.token_error, unsaid.weight_error) == (None, None)


def test_figures_survive_the_history() -> None:
    said = prediction(tokens=110, weights=90)
    assert Prediction.from_json(said.as_json()) == said
    assert Actual.from_json(read_actual(GPU).as_json()) == read_actual(GPU)
