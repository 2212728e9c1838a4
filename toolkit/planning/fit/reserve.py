"""An estimate of the memory that an engine takes on a GPU beside weights and cache.

vLLM measures it at its start: it runs one step of the largest size with dummy inputs and keeps the peak of that step
free (v1/worker/gpu_worker.py, determine_available_memory; v1/worker/gpu/model_runner.py, profile_run). Before the
start, the shapes of that step give an estimate.
"""

from __future__ import annotations

from toolkit.domain.fit import Architecture
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.options import Limits

_WIDTH = 2
# Workspaces of attention kernels and libraries; and buffers of the collectives between devices.
_WORKSPACES = 256 * 2**20
_COLLECTIVES = 768 * 2**20
# An assumption for each graph and layer: one public log has 0.73 GiB for 51 + 35 graphs of 34 layers.
_GRAPH_LAYER = 2**18


def device_reserve(arch: Architecture, options: EngineOptions, limits: Limits) -> int:
    """Return the bytes kept free on each device for activations, sampling, workspaces and CUDA graphs."""
    between = _COLLECTIVES if options.tensor_parallel * options.pipeline_parallel > 1 else 0
    peak = max(_forward(arch, options, limits), _sampling(arch, options, limits))
    return peak + _WORKSPACES + between + _graphs(arch, options, limits)


def _forward(arch: Architecture, options: EngineOptions, limits: Limits) -> int:
    """Return the peak of a step through the layers.

    A layer needs at the same time: residual and hidden state, and gate, up and their product in the feed-forward part
    (arXiv:2002.05202), split over devices. A mixture of experts has these once for each expert of a token, and also the
    experts' outputs before their sum (vLLM, layers/fused_moe, its three workspaces).
    """
    parallel = options.tensor_parallel
    wide = 3 * arch.intermediate // parallel
    if arch.experts:
        width = arch.expert_width // parallel
        wide = max(wide, arch.experts * (max(2 * width, arch.hidden) + width))
    heads = (arch.heads + 2 * max(arch.kv_heads, parallel)) * arch.head_dim // parallel
    return limits.batch * (2 * arch.hidden + max(wide, 2 * heads)) * _WIDTH


def _sampling(arch: Architecture, options: EngineOptions, limits: Limits) -> int:
    """Return the peak of sampling: logits for each request as computed, as 32-bit floats, and noise for them."""
    gathered = _WIDTH if options.tensor_parallel > 1 else 0
    return limits.sequences * arch.vocabulary * (_WIDTH + gathered + 4 + 4)


def _graphs(arch: Architecture, options: EngineOptions, limits: Limits) -> int:
    """Return the memory of CUDA graphs: piecewise for all sizes, and whole for steps of decoding.

    vLLM, config/vllm.py: sizes 1, 2, 4, then every 8th to 256 and every 16th to twice the requests, at most 512.
    """
    if options.eager:
        return 0
    piecewise = _sizes(min(2 * limits.sequences, 512, limits.batch))
    whole = _sizes(min(limits.sequences, 512))
    layers = -(-len(arch.layers) // options.pipeline_parallel)
    return (piecewise + whole) * layers * _GRAPH_LAYER


def _sizes(largest: int) -> int:
    small = sum(size <= largest for size in (1, 2, 4))
    return small + max(0, min(largest, 255) // 8) + max(0, (largest - 256) // 16 + 1)
