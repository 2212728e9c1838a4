"""The line that says why, found in the logs of engines that really failed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from toolkit.planning.engines.vllm_log import decisive_line, read_actual

LOGS = Path(__file__).parent / "engine_logs"

REAL_LOGS = {
    "unreadable-weights": (
        "PermissionError: [Errno 13] Permission denied: '/var/lib/toolkit/snapshots/5c1e0f3a/model.safetensors'"
    ),
    "truncated-weights": (
        "safetensors._safetensors_rust.SafetensorError: Error while deserializing header: "
        "incomplete metadata, file not fully covered"
    ),
    "unknown-flag": "vllm: error: unrecognized arguments: --max-modl-len 5",
    "port-in-use": "OSError: [Errno 98] Address already in use",
    "missing-libnuma": (
        "Failed to import from vllm._C: ImportError('libnuma.so.1: cannot open shared object file: "
        "No such file or directory')"
    ),
    "engine-killed": "[shutdown] MPClient: engine core exited unexpectedly; starting cleanup",
}
BEGINNINGS = {
    "context-too-long": (
        "ValidationError: User-specified max_model_len (999999) is greater than the derived "
        "max_model_len (max_position_embeddings=1024.0"
    ),
    "cache-too-large": (
        "RuntimeError: Worker failed with error 'Available memory on node 0 (10.83/12.34 GiB) on kv "
        "cache allocation is less than requested memory for kv (500.0 GiB)."
    ),
    "missing-model": "huggingface_hub.errors.HFValidationError: Repo id must be in the form",
}


@pytest.mark.parametrize(("name", "line"), REAL_LOGS.items())
def test_a_real_failure_is_told_in_one_line(name: str, line: str) -> None:
    assert decisive_line((LOGS / f"{name}.log").read_text().splitlines()) == line


@pytest.mark.parametrize(("name", "beginning"), BEGINNINGS.items())
def test_a_real_failure_begins_with_its_cause(name: str, beginning: str) -> None:
    assert decisive_line((LOGS / f"{name}.log").read_text().splitlines()).startswith(beginning)


def test_every_real_log_is_read() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == {*REAL_LOGS, *BEGINNINGS}


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ([], ""),
        (["", "   "], ""),
        (["INFO:     Started server process [12]", ""], "INFO:     Started server process [12]"),
        (["(EngineCore pid=7) INFO 11-22 10:17:00 [core.py:1] loading"], "loading"),
        # The cause stays the cause, whatever other processes say after it.
        (
            [
                "(Worker pid=9) ERROR 11-22 10:17:27 [multiproc_executor.py:953] ValueError: too wide",
                "Exception: WorkerProc initialization failed due to an exception in a background process. "
                "See stack trace for root cause.",
                "RuntimeError: Engine core initialization failed. See root cause above.",
            ],
            "ValueError: too wide",
        ),
        (["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"],
         "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"),
        (["INFO:     Application startup complete.", "Killed"], "Killed"),
        # With no cause of its own, what came second-hand is better than nothing.
        (
            ["(APIServer pid=1) ERROR 11-22 10:16:06 [x.py:1] EngineDeadError: EngineCore encountered an issue."],
            "EngineDeadError: EngineCore encountered an issue.",
        ),
    ],
)  # fmt: skip
def test_other_logs_have_a_decisive_line_too(lines: list[str], line: str) -> None:
    assert decisive_line(lines) == line


def test_names_without_an_end_in_metrics_take_no_time() -> None:
    """A pattern that looked at each letter of them anew took seventy seconds for what an engine may say."""
    line = "vllm:cache_config_info{%s} 1.0" % ("a" * 4000)
    began = time.thread_time()
    assert read_actual([line] * 1000) == read_actual([])
    assert time.thread_time() - began < 5
