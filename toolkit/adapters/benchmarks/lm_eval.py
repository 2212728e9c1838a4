"""Run `lm-eval` on local task files and read its scores."""

from __future__ import annotations

import math
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from toolkit.adapters.benchmarks.environment import environment, finished
from toolkit.adapters.benchmarks.loopback import Ask, loopback
from toolkit.adapters.interruption import Interruption
from toolkit.domain.gates.guard import Benchmarks, Score
from toolkit.domain.outside import parse_unbounded, plainly
from toolkit.errors import InputError

# Questions that are asked at once: an engine computes several in the time of one.
CONCURRENCY = 4
_PATHS = {"local-chat-completions": "/v1/chat/completions", "local-completions": "/v1/completions"}
_MARKS = 100_000
# The errors that reading a file raises which lm-eval has not written.
_ODD = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class LmEval:
    """`lm-eval` below the home of this ops machine."""

    home: Path
    interruption: Interruption

    def scores(
        self,
        benchmarks: Benchmarks,
        model: str,
        ask: Ask,
        say: Callable[[str], None],
        *,
        chat: bool = True,
    ) -> tuple[Score, ...]:
        """Return the scores of the model called `model`, whose replica `ask` asks.

        Nothing but the replica is asked: data sets lie beside the task files. Raises SourceError where lm-eval is
        missing and cannot be installed, InputError with its words where it fails.
        """
        python = environment(self.home, self.interruption, say)
        with TemporaryDirectory(prefix="toolkit-benchmarks-") as name, loopback(ask) as port:
            scratch = Path(name)
            kind = "local-chat-completions" if chat else "local-completions"
            command = [str(python), "-m", "lm_eval", "run", "--model", kind]
            command += ["--model_args", _arguments(model, f"http://127.0.0.1:{port}{_PATHS[kind]}")]
            command += ["--apply_chat_template"] if chat else []
            command += [
                "--tasks",
                ",".join(str(Path(each).absolute()) for each in benchmarks.paths),
            ]
            command += ["--limit", str(benchmarks.limit), "--log_samples"]
            command += ["--output_path", str(scratch / "out")]
            self._run(command, benchmarks, scratch)
            return tuple(read_scores(scratch / "out"))

    def _run(self, command: list[str], benchmarks: Benchmarks, scratch: Path) -> None:
        env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(scratch),
            "LANG": "C.UTF-8",
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "OPENAI_API_KEY": "none",
            "NO_PROXY": "127.0.0.1",
        }
        # Data sets are named relative to the registry, as the tasks are.
        cwd = Path(benchmarks.directory or ".")
        try:
            code, words = finished(
                command, self.interruption, env=env, cwd=cwd, timeout=benchmarks.timeout
            )
        except subprocess.TimeoutExpired:
            raise InputError(
                f"lm-eval took longer than {benchmarks.timeout:.0f} s",
                hint="lower `limit` of `benchmarks`, or raise its `timeout`",
            ) from None
        if code:
            lines = [line.strip() for line in words.splitlines() if line.strip()]
            raise InputError(
                f"lm-eval failed: {lines[-1][:300] if lines else f'status {code}'}",
                hint="read the task files of `benchmarks`",
            )


def _arguments(model: str, url: str) -> str:
    settings = {
        "base_url": url,
        "model": model,
        "num_concurrent": CONCURRENCY,
        "max_retries": 2,
        "tokenized_requests": False,
        "tokenizer_backend": None,
        # lm-eval has no tokenizer here, so it knows no token of an end; no text has this one.
        "eos_string": "<|no such token|>",
    }
    return ",".join(f"{name}={value}" for name, value in settings.items())


def read_scores(output: Path) -> Iterator[Score]:
    """Yield the scores in a directory that lm-eval wrote, each metric with its marks of single questions.

    Each filter of a task gives a score. Where a metric has several filters, its name ends with the filter's.
    Raises InputError where it has none, or where they are not understood, such as one that is no number: nothing is
    less than that, so it would pass.
    """
    try:
        (results,) = output.glob("*/results_*.json")
        found: Mapping[str, Any] = parse_unbounded(results.read_text("utf-8"))
        marks = {
            path.name.removeprefix("samples_").rpartition("_")[0]: _samples(path)
            for path in output.glob("*/samples_*.jsonl")
        }
        for task, figures in sorted(found["results"].items()):
            better = found["higher_is_better"].get(task, {})
            yield from _scores(task, figures, better, marks.get(task, []))
    except (*_ODD, OSError) as error:
        raise InputError(
            f"the scores of lm-eval are not understood: {plainly(error)}",
            hint="read the task files of `benchmarks`",
        ) from None


def _scores(
    task: str,
    figures: Mapping[str, Any],
    better: Mapping[str, Any],
    rows: list[Mapping[str, Any]],
) -> Iterator[Score]:
    """Yield a score for each `metric,filter` in the figures of a task that is `better` where it is higher."""
    names = [name.partition(",") for name in sorted(figures)]
    filters = Counter(metric for metric, _, kept in names if kept)
    for metric, comma, kept in names:
        value = figures[metric + comma + kept]
        if kept and better.get(metric) and isinstance(value, int | float):
            shown = metric if filters[metric] == 1 else f"{metric} ({kept})"
            number = _finite(value, f"{shown} of {task}")
            yield Score(task, shown, number, _marks(rows, metric, kept))


def _samples(path: Path) -> list[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [parse_unbounded(line) for line, _ in zip(file, range(_MARKS), strict=False)]


def _marks(rows: list[Mapping[str, Any]], metric: str, kept: str) -> Mapping[str, float]:
    """Return the mark of each question that has one."""
    return {
        str(row["doc_id"]): _finite(row[metric], f"{metric} of question {row['doc_id']}")
        for row in rows
        if row.get("filter") == kept and isinstance(row.get(metric), int | float)
    }


def _finite(value: float, name: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}")
    return number
