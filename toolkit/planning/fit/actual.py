"""What an engine says of its own memory, in its log or its metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolkit.domain.fit import Actual

GIB = 2**30
# `GPU KV cache size: 187,232 tokens, Maximum concurrency for 8,192 tokens per request: 22.86x`
_CAPACITY = re.compile(
    r"KV cache size: ([\d,]+) tokens(?:, Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x)?"
)
_WEIGHTS = re.compile(r"Model loading took ([\d.]+) (?:GiB|GB)")
# Measured on a GPU, set on the CPU.
_CACHE = re.compile(
    r"Available KV cache memory: (-?[\d.]+) GiB|(?:Explicitly|Auto) set \(([\d.]+)/"
)
_GRAPHS = re.compile(r"Graph capturing finished in \d+ secs?, took (-?[\d.]+) GiB")
_METRIC = re.compile(r"^vllm:cache_config_info\{(.*)\} 1(?:\.0)?$")
_LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')


def read_actual(lines: Sequence[str]) -> Actual:
    """Return the figures that log lines and the metric `vllm:cache_config_info` hold, in whatever order.

    Every worker says what it took; the largest counts, and the smallest cache. The log's own capacity is
    preferred to the metric's blocks, which are those of one group of layers.
    """
    said = _Said()
    for line in lines:
        said.take(line)
    return Actual(
        tokens=said.tokens or said.metric_tokens,
        context=said.context,
        concurrency=said.concurrency,
        weights=max(said.weights, default=None),
        cache=min(said.cache, default=None),
        graphs=max(said.graphs, default=None),
    )


class _Said:
    """What was found so far."""

    def __init__(self) -> None:
        self.tokens: int | None = None
        self.metric_tokens: int | None = None
        self.context: int | None = None
        self.concurrency: float | None = None
        self.weights: list[int] = []
        self.cache: list[int] = []
        self.graphs: list[int] = []

    def take(self, line: str) -> None:
        """Take what one line says."""
        if found := _METRIC.match(line):
            self._take_metric(dict(_LABEL.findall(found[1])))
        if found := _CAPACITY.search(line):
            self.tokens = _count(found[1])
            self.context = _count(found[2]) if found[2] else None
            self.concurrency = float(found[3]) if found[3] else None
        for pattern, into in (
            (_WEIGHTS, self.weights),
            (_CACHE, self.cache),
            (_GRAPHS, self.graphs),
        ):
            if found := pattern.search(line):
                into.append(int(float(next(each for each in found.groups() if each)) * GIB))

    def _take_metric(self, labels: dict[str, str]) -> None:
        if labels.get("kv_cache_size_tokens", "").isdigit():
            self.metric_tokens = int(labels["kv_cache_size_tokens"])
        elif labels.get("num_gpu_blocks", "").isdigit() and labels.get("block_size", "").isdigit():
            self.metric_tokens = int(labels["num_gpu_blocks"]) * int(labels["block_size"])


def _count(text: str) -> int:
    return int(text.replace(",", ""))
