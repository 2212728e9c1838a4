"""vLLM's log and metrics: the phases of its start, the cause of a failure, and the memory that it took."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from toolkit.domain.bounds import TEXT, WHOLE
from toolkit.domain.engines.fit import Actual
from toolkit.planning.engines.vllm_names import BY_MINOR

GIB = 2**30

# `(EngineCore pid=123) ERROR 11-22 10:17:27 [core.py:1510] `, either part alone too.
_PREFIX = re.compile(
    r"^(?:\([\w-]+(?: pid=\d+)?\) )?(?:(?P<level>[A-Z]+) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] )?"
)
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Warning)|Exception): \S"
)
_USAGE = re.compile(r"^[\w.-]+: error: \S")
# Exceptions that only report an exception of another process.
_SECOND_HAND = (
    "See root cause above",
    "See stack trace",
    "Engine core initialization failed",
    "initialization failed due to an exception in a background process",
    "EngineDeadError",
)
# Acts of the operating system, which leave no traceback.
_VIOLENT = re.compile(
    r"exited unexpectedly|died unexpectedly|Segmentation fault|Out of memory|oom-kill|^Killed\b"
)
_LIBRARY = re.compile(r"^Failed to import from vllm\._C: ")
_NOISE = re.compile(r"^\s*$|^nanobind: |^See https?://| - (?:leaked|\.\.\.)|^\s*\^+$")

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
_CACHE_METRIC = "|".join(sorted({row.metrics.cache for row in BY_MINOR.values()}))
_METRIC = re.compile(rf"^(?:{_CACHE_METRIC})\{{(.*)\}} 1(?:\.0)?$")
_LABEL = re.compile(r'(?<!\w)([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
# Words of the lines that hold these figures, as hosts look for them.
MEMORY_LINES = (
    "KV cache size: ",
    "Available KV cache memory: ",
    "Model loading took ",
    "Graph capturing finished",
    "GiB for KV cache",
)
# After a line with one of these the engine computes nothing any more, whatever its server answers.
FATAL_WORDS = ("EngineDeadError", "CUDA error", "torch.OutOfMemoryError")

# In their order, each with words of the lines that begin it or belong to it. Lines of vLLM 0.31 to 0.33.
PHASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("importing", ()),
    ("starting the engine's processes", ("Initializing a V1 LLM engine", "world_size=")),
    (
        "loading weights",
        (
            "Starting to load model",
            "Loading safetensors checkpoint",
            "Loading weights took",
            "Filesystem type for checkpoints",
            "Model loading took",
        ),
    ),
    (
        "compiling",
        (
            "torch.compile takes",
            "Compiling a graph",
            "Dynamo bytecode transform",
            "for vLLM's torch.compile",
        ),
    ),
    ("measuring memory", ("Available KV cache memory", "KV cache size:", "GiB for KV cache")),
    ("capturing graphs", ("Capturing CUDA graph", "Graph capturing finished", "Autotuning")),
    (
        "warming up",
        (
            "init engine (profile",
            "Starting vLLM server",
            "Supported tasks",
            "Available routes are",
            "launcher.py",
            "Waiting for application startup",
        ),
    ),
)


def decisive_line(lines: Sequence[str]) -> str:
    """Return the engine's own words for the cause of its failure, without process, time and place.

    Consequences do not count: remarks of other processes, the shutdown, leaks at exit. A log without a failure yields
    its last meaningful line, an empty log nothing.
    """
    told = list(_told(lines))
    causes = [text for text, _ in told if _is_cause(text)]
    if causes and "_OpNamespace" in causes[-1]:
        # A compiled part was not loaded. The reason is a warning, long before.
        causes += [text for text, _ in told if _LIBRARY.match(text)][-1:]
    violent = [text for text, _ in told if _VIOLENT.search(text)]
    errors = [text for text, level in told if level in ("ERROR", "CRITICAL")]
    rest = [text for text, _ in told]
    for candidates in (causes, violent, errors, rest):
        if candidates:
            return candidates[-1].strip()
    return ""


def troubles(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the lines that report an exception or an act of the operating system, without process, time and place."""
    return tuple(
        text.strip() for text, _ in _told(lines) if _is_cause(text) or _VIOLENT.search(text)
    )


def _is_cause(text: str) -> bool:
    if any(words in text for words in _SECOND_HAND):
        return False
    return bool(_EXCEPTION.match(text) or _USAGE.match(text))


def _told(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield text and level of the meaningful lines, without prefixes."""
    bare = [_split(line[:TEXT]) for line in lines]
    for index, (text, level) in enumerate(bare):
        if _NOISE.search(text):
            continue
        if "validation error" in text and _EXCEPTION.match(text) and index + 1 < len(bare):
            # pydantic counts its errors in the first line and names them in the next.
            named = bare[index + 1][0].strip().removeprefix("Value error, ")
            yield f"ValidationError: {named}", level
            continue
        yield text, level


def _split(line: str) -> tuple[str, str]:
    found = _PREFIX.match(line)
    assert found is not None  # both parts are optional
    return line[found.end() :].rstrip(), found["level"] or ""


def read_actual(lines: Sequence[str]) -> Actual:
    """Return the figures in log lines and metrics, in any order.

    Each worker reports its memory: the largest figure counts, and the smallest cache. The log's capacity comes before
    the metric's blocks, which are those of one group of layers.
    """
    said = _Said()
    for line in lines:
        said.take(line[:TEXT])
    return Actual(
        tokens=said.tokens or said.metric_tokens,
        context=said.context,
        concurrency=said.concurrency,
        weights=max(said.weights, default=None),
        cache=min(said.cache, default=None),
        graphs=max(said.graphs, default=None),
    )


class _Said:
    """The figures found so far."""

    def __init__(self) -> None:
        self.tokens: int | None = None
        self.metric_tokens: int | None = None
        self.context: int | None = None
        self.concurrency: float | None = None
        self.weights: list[int] = []
        self.cache: list[int] = []
        self.graphs: list[int] = []

    def take(self, line: str) -> None:
        """Take the figures of one line."""
        if found := _METRIC.match(line):
            self._take_metric(dict(_LABEL.findall(found[1])))
        if found := _CAPACITY.search(line):
            self.tokens = _count(found[1])
            self.context = _count(found[2] or "")
            self.concurrency = _figure(found[3] or "")
        for pattern, into in (
            (_WEIGHTS, self.weights),
            (_CACHE, self.cache),
            (_GRAPHS, self.graphs),
        ):
            if found := pattern.search(line):
                figure = _figure(next(each for each in found.groups() if each))
                into += [] if figure is None else [int(figure * GIB)]

    def _take_metric(self, labels: dict[str, str]) -> None:
        tokens, blocks, size = (
            _count(labels.get(name, ""))
            for name in ("kv_cache_size_tokens", "num_gpu_blocks", "block_size")
        )
        if tokens is not None:
            self.metric_tokens = tokens
        elif blocks is not None and size is not None:
            self.metric_tokens = min(blocks * size, WHOLE)


def _count(text: str) -> int | None:
    """Return a number of the log, which may have commas; None for anything else."""
    digits = text.replace(",", "")
    return int(digits) if re.fullmatch(r"[0-9]{1,15}", digits) else None


def _figure(text: str) -> float | None:
    """Return a decimal number of the log; None for anything else."""
    return float(text) if re.fullmatch(r"-?[0-9]{1,6}(\.[0-9]{1,9})?", text) else None


def phase_of(line: str) -> int:
    """Return the number of the phase that a line of the log belongs to; 0, the first one, where it names none."""
    found = (
        number for number, (_, words) in enumerate(PHASES) if any(each in line for each in words)
    )
    return next(found, 0)
