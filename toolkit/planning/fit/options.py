"""What a replica's arguments and environment say about its memory, with vLLM's own defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.domain.fit import Architecture
from toolkit.domain.model import Accelerator
from toolkit.planning.fit.architecture import NotUnderstoodError

GIB = 2**30
# vLLM, config/cache.py: of a device's memory, where nothing is said.
DEFAULT_UTILIZATION = 0.92
_COUNT = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)")
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """`context`, `batch` (tokens of one step) and `sequences` are None where they are left to vLLM.

    `cache` is the size of the cache in bytes where it is given outright, 0 where vLLM measures it.
    """

    context: int | None = None
    sequences: int | None = None
    batch: int | None = None
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    cache_dtype: str = "auto"
    dtype: str = "auto"
    block: int = 0
    eager: bool = False
    utilization: float = DEFAULT_UTILIZATION
    cache: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How large one step may be: tokens in a step, requests in it, tokens scheduled but not settled."""

    batch: int
    sequences: int
    in_flight: int


def read_options(args: Sequence[str], env: Mapping[str, str]) -> EngineOptions:
    """Return the options among a release's `args` and `env`; raises NotUnderstoodError for a bad number."""
    said = _said(args)
    cache = _count(said.get("kv-cache-memory-bytes")) or 0
    if not cache and env.get("VLLM_CPU_KVCACHE_SPACE"):
        cache = int(float(env["VLLM_CPU_KVCACHE_SPACE"]) * GIB)
    context = _count(said.get("max-model-len"))
    return EngineOptions(
        context=context if context and context > 0 else None,
        sequences=_count(said.get("max-num-seqs")),
        batch=_count(said.get("max-num-batched-tokens")),
        tensor_parallel=_count(said.get("tensor-parallel-size") or said.get("tp")) or 1,
        pipeline_parallel=_count(said.get("pipeline-parallel-size") or said.get("pp")) or 1,
        cache_dtype=said.get("kv-cache-dtype", "auto"),
        dtype=said.get("dtype", "auto"),
        block=_count(said.get("block-size")) or 0,
        eager="enforce-eager" in said,
        utilization=float(said.get("gpu-memory-utilization", DEFAULT_UTILIZATION)),
        cache=cache,
    )


def served_context(arch: Architecture, options: EngineOptions) -> int:
    """Return the tokens that a request may have: as asked, else all that the model was made for."""
    return options.context or arch.context


def step_limits(
    arch: Architecture,
    options: EngineOptions,
    accelerator: Accelerator,
    device: int,
    name: str = "",
) -> Limits:
    """Return how large a step vLLM plans for; `device` is a device's memory in bytes, `name` its name.

    vLLM, engine/arg_utils.py, get_batch_defaults for its OpenAI server: more tokens and requests on devices
    of 70 GiB and more, A100 excepted, and per worker on the CPU. config/vllm.py, max_in_flight_tokens: two
    steps overlap (asynchronous scheduling), and one more for each stage of a pipeline.
    """
    batch, sequences = _step_defaults(options, accelerator, device, name)
    context = served_context(arch, options)
    sequences = options.sequences or sequences
    batch = options.batch or min(batch, sequences * context)
    if not options.sequences:
        sequences = min(sequences, batch)
    return Limits(batch, sequences, batch * (options.pipeline_parallel + 1))


def _step_defaults(
    options: EngineOptions, accelerator: Accelerator, device: int, name: str
) -> tuple[int, int]:
    if accelerator is Accelerator.CPU:
        workers = options.tensor_parallel * options.pipeline_parallel
        return 2048 * workers, 128 * workers
    if device >= 160 * GIB:
        return 16384, 1024
    if device >= 70 * GIB and "a100" not in name.lower():
        return 8192, 1024
    return 2048, 256


def _said(args: Sequence[str]) -> dict[str, str]:
    """Return option -> value; an empty value where none follows. The last one said counts."""
    said: dict[str, str] = {}
    for index, word in enumerate(args):
        if not word.startswith("--"):
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        following = args[index + 1] if index + 1 < len(args) else "--"
        if not equals and not following.startswith("--"):
            value = following
        said[name.replace("_", "-")] = value
    return said


def _count(text: str | None) -> int | None:
    """Return a number as vLLM reads it: `16k` is 16,000, `16K` is 16,384; None for `auto` and -1."""
    if text is None or text in ("auto", "-1", ""):
        return None
    found = _COUNT.fullmatch(text.strip())
    if found is None:
        raise NotUnderstoodError(f"{text!r} among its options is no number")
    return int(float(found[1]) * _FACTORS[found[2]])
