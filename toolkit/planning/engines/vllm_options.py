"""The memory options of a vLLM replica, from its arguments and environment, with vLLM's own defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.fit import NotUnderstoodError
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.engines.vllm_names import names

GIB = 2**30
# config/cache.py: of a device's memory, where nothing is said.
UTILIZATION = 0.92
# CacheConfig.DEFAULT_BLOCK_SIZE; platforms/cpu.py, where latent attention keeps to 16.
_BLOCK = 16
_BLOCK_CPU = 128
_COUNT = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)")
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}


def read_options(version: str, args: Sequence[str], env: Mapping[str, str]) -> EngineOptions:
    """Return the options among arguments and environment; raises NotUnderstoodError for a bad number."""
    said, flags, variables = _said(args), names(version).flags, names(version).variables
    cache = _count(said.get(flags.cache_size)) or 0
    if not cache and env.get(variables.cpu_cache):
        cache = int(float(env[variables.cpu_cache]) * GIB)
    context = _count(said.get(flags.context))
    return EngineOptions(
        context=context if context and context > 0 else None,
        sequences=_count(said.get(flags.sequences)),
        batch=_count(said.get(flags.batch)),
        tensor_parallel=_count(said.get(flags.tensor_parallel) or said.get("tp")) or 1,
        pipeline_parallel=_count(said.get(flags.pipeline_parallel) or said.get("pp")) or 1,
        cache_dtype=said.get(flags.cache_dtype, "auto"),
        dtype=said.get(flags.dtype, "auto"),
        block=_count(said.get(flags.block)) or 0,
        eager=flags.eager in said,
        utilization=float(said.get(flags.utilization, UTILIZATION)),
        cache=cache,
    )


def step_defaults(
    options: EngineOptions, accelerator: Accelerator, device: int, name: str
) -> tuple[int, int]:
    """Return tokens and requests of the largest step where nothing is said.

    engine/arg_utils.py, get_batch_defaults for the OpenAI server: more tokens and requests on devices of 70 GiB and
    more, A100 excepted, and per worker on the CPU.
    """
    if not accelerator.traits.has_devices:
        workers = options.tensor_parallel * options.pipeline_parallel
        return 2048 * workers, 128 * workers
    if device >= 160 * GIB:
        return 16384, 1024
    if device >= 70 * GIB and "a100" not in name.lower():
        return 8192, 1024
    return 2048, 256


def block_size(accelerator: Accelerator, *, latent: bool) -> int:
    """Return the tokens of one block of the cache where nothing is said."""
    return _BLOCK if accelerator.traits.has_devices or latent else _BLOCK_CPU


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
