"""The memory options of a vLLM replica, from its arguments and environment, with vLLM's own defaults."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import NotUnderstoodError
from toolkit.domain.registry.model import ServingValue
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.engines.vllm_names import names

GIB = 2**30
# config/cache.py: of a device's memory, where nothing is said.
UTILIZATION = 0.92
# Bytes of a device that a process has before vLLM's first look at it (v1/worker/gpu_worker.py, init_device): CUDA's
# context. Measured on an H100 with driver 580: 0.52 GiB.
_CONTEXT = 532 * 2**20
# Entries of the vocabulary where a model is not known yet; current models have 128 to 262 thousand.
_VOCABULARY = 2**17
_FLOAT = 4
# CacheConfig.DEFAULT_BLOCK_SIZE; platforms/cpu.py, where latent attention keeps to 16.
_SMALLEST = 0.0001
_BLOCK = 16
_BLOCK_CPU = 128
# Devices of compute capability 9 and 10 by the names that their driver gives.
_TRITON_EXPERTS = re.compile(r"\b(?:H20|H100|H200|H800|GH200|B100|B200|B300|GB200|GB300)\b")
_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKmMgGtT]?)")
_FACTORS = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
    "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40,
}  # fmt: skip


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
        adapters=(_count(said.get(flags.active_loras)) or 1) if flags.lora in said else 0,
        adapter_rank=(_count(said.get(flags.lora_rank)) or 16) if flags.lora in said else 0,
        state_dtype=said.get(flags.state_dtype, "auto"),
        convolution_dtype=said.get(flags.convolution_dtype, "auto"),
        prefixes=f"no-{flags.prefixes}" not in said,
        beside_state=next(
            (each for each in (flags.drafts, flags.state_window) if each in said), ""
        ),
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
    requests = _requests_by_device(device, name)
    if device >= 160 * GIB:
        return 16384, requests
    return (8192 if requests == 1024 else 2048), requests


def _requests_by_device(device: int, name: str) -> int:
    return 1024 if device >= 70 * GIB and "a100" not in name.lower() else 256


def outside(requests: int, vocabulary: int = _VOCABULARY) -> int:
    """Return the bytes of a device that a replica takes beside its share, for so many requests in a step.

    Sampled requests need a copy of their logits as 32-bit floats (v1/worker/gpu/sample/sampler.py,
    apply_sampling_params), and the step by which vLLM measures its memory makes none (v1/worker/gpu/model_runner.py,
    _dummy_sampler_run). Measured on an H100 beside the context: 0.48 GiB with a 7B of 152,064 entries, where the copy
    has 0.58 GiB; none with 384 entries.
    """
    return _CONTEXT + requests * vocabulary * _FLOAT


def share_of_device(
    wanted: float,
    device: int,
    name: str,
    requests: ServingValue | None,
    vocabulary: int | None = None,
) -> float:
    """Return the share of a device of `device` bytes that vLLM may take so that a replica takes `wanted` bytes in all.

    `requests` is the registry's bound on the requests of a step, `vocabulary` the model's tokens, None where its files
    were pinned by a toolkit that did not read them. The share has four decimals and is never rounded up.
    """
    most = _count(None if requests is None else str(requests)) or _requests_by_device(device, name)
    share = (min(wanted, device) - outside(most, vocabulary or _VOCABULARY)) / device
    return max(_SMALLEST, math.floor(share * 10_000) / 10_000)


def block_size(accelerator: Accelerator, *, latent: bool) -> int:
    """Return the tokens of one block of the cache where nothing is said."""
    return _BLOCK if accelerator.traits.has_devices or latent else _BLOCK_CPU


def experts_filled(accelerator: Accelerator, name: str) -> tuple[int, int]:
    """Return the multiples to which packed experts of 4 bits are filled up on a device with this `name`.

    layers/fused_moe/oracle/mxfp4.py, _get_priority_backends_for_gpt_oss and
    mxfp4_round_up_hidden_size_and_intermediate_size: Triton's kernels multiply them on compute capability 9 and 10,
    Marlin's on every other one. The CPU fills up blocks of 32, which are full.
    """
    if not accelerator.traits.has_devices:
        return 32, 32
    return (1, 64) if _TRITON_EXPERTS.search(name) else (256, 128)


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
