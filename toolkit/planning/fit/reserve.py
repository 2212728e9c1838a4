"""The memory that an engine takes on a GPU beside weights and cache.

vLLM measures it at its start: it runs one step of the largest size with dummy inputs and keeps the peak of that step
free (v1/worker/gpu_worker.py, determine_available_memory; v1/worker/gpu/model_runner.py, profile_run). Before the
start, the shapes of that step predict it. `tests/planning/test_fit_measured.py` compares with an H100.
"""

from __future__ import annotations

from toolkit.domain.engines.fit import Architecture
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.options import StepLimits

_WIDTH = 2
_MIB = 2**20
# Memory that is not PyTorch's: the code of the kernels that a step loads, and handles of libraries. Measured on an H100
# with vLLM 0.26; it depends on the device and the engine, not on the model.
_KERNELS = 225 * _MIB
# cuBLAS's workspace on Hopper (PyTorch, aten/src/ATen/cuda/CublasHandlePool.cpp), which the first multiplication takes.
_CUBLAS = 32 * _MIB
# An assumption: buffers of the collectives between devices. No machine with several devices was measured.
_COLLECTIVES = 768 * _MIB
# The driver's memory for one CUDA graph. Measured on an H100 with driver 580: 0.89 GiB for the 1,530 graphs of a model
# of 28 layers, 0.11 GiB for the 204 graphs of one of 2 layers.
_GRAPH = 11 * _MIB // 20
# vLLM, v1/worker/gpu/cudagraph_utils.py, _MIN_PER_GRAPH_BYTES: it budgets at least this for the graph of a whole step.
_BUDGETED_GRAPH = _MIB


def device_reserve(arch: Architecture, options: EngineOptions, limits: StepLimits) -> int:
    """Return the bytes kept free on each device for activations, sampling, kernels and CUDA graphs."""
    between = _COLLECTIVES if options.tensor_parallel * options.pipeline_parallel > 1 else 0
    return (
        peak_step(arch, options, limits)
        + _KERNELS
        + between
        + budgeted_graphs(arch, options, limits)
    )


def peak_step(arch: Architecture, options: EngineOptions, limits: StepLimits) -> int:
    """Return the peak of the largest step: of its way through the layers, or of its logits."""
    forward = _forward(arch, options, limits.batch)
    return max(forward, _sampling(arch, options, limits)) + _CUBLAS


def graphs(arch: Architecture, options: EngineOptions, limits: StepLimits) -> int:
    """Return the bytes that CUDA graphs take.

    Steps with prompts are captured in pieces, between the attention of one layer and of the next; steps of decoding
    also whole. All graphs share the memory of the largest step among them (v1/worker/gpu/cudagraph_utils.py).
    """
    pieces, whole = _counts(arch, options, limits)
    return _pool(arch, options, limits) + (pieces + whole) * _GRAPH


def budgeted_graphs(arch: Architecture, options: EngineOptions, limits: StepLimits) -> int:
    """Return the bytes that vLLM takes from the cache for CUDA graphs before it captures them.

    v1/worker/gpu/cudagraph_utils.py, profile_cudagraph_memory: it measures the pieces and extrapolates whole graphs.
    """
    pieces, whole = _counts(arch, options, limits)
    return _pool(arch, options, limits) + pieces * _GRAPH + whole * _BUDGETED_GRAPH


def _forward(arch: Architecture, options: EngineOptions, tokens: int) -> int:
    """Return the peak of a step of `tokens` through the layers.

    In the feed-forward part a layer needs gate, up and their product (arXiv:2002.05202), split over devices, and four
    tensors of the hidden size: the attention's output and the residual, which the caller of a compiled piece holds
    until the piece ends, and the residual and the normed state after them. A mixture of experts has gate, up and
    product once for each expert of a token, and also the experts' outputs before their sum (vLLM, layers/fused_moe, its
    three workspaces). A layer that keeps a state is measured without its recurrence (layers/mamba, where a step has no
    attn_metadata).
    """
    parallel = options.tensor_parallel
    wide = 3 * arch.intermediate // parallel
    if arch.experts:
        width = arch.expert_width // parallel
        wide = max(wide, arch.experts * (max(2 * width, arch.hidden) + width))
    heads = (arch.heads + 2 * max(arch.kv_heads, parallel)) * arch.head_dim // parallel
    projected = arch.state.projected // parallel if arch.state else 0
    return tokens * (4 * arch.hidden + max(wide, 2 * heads, projected)) * _WIDTH


def _sampling(arch: Architecture, options: EngineOptions, limits: StepLimits) -> int:
    """Return the logits of each request as computed, gathered from several devices.

    v1/worker/gpu/model_runner.py, _dummy_sampler_run: the measured step samples greedily, without a copy of the logits.
    """
    gathered = _WIDTH if options.tensor_parallel > 1 else 0
    return limits.sequences * arch.vocabulary * (_WIDTH + gathered)


def _pool(arch: Architecture, options: EngineOptions, limits: StepLimits) -> int:
    return 0 if options.eager else _forward(arch, options, _largest(limits))


def _counts(arch: Architecture, options: EngineOptions, limits: StepLimits) -> tuple[int, int]:
    """Return the number of graphs of pieces, and of whole steps.

    vLLM, config/vllm.py, _set_cudagraph_sizes: sizes 1, 2, 4, then every 8th to 256 and every 16th to twice the
    requests, at most 512 (1,024 on devices of compute capability 10, of which nothing is known here). A model has one
    piece more than layers.
    """
    if options.eager:
        return 0, 0
    layers = -(-len(arch.layers) // options.pipeline_parallel)
    return _sizes(_largest(limits)) * (layers + 1), _sizes(min(limits.sequences, 512))


def _largest(limits: StepLimits) -> int:
    return min(2 * limits.sequences, 512, limits.batch)


def _sizes(largest: int) -> int:
    small = sum(size <= largest for size in (1, 2, 4))
    return small + max(0, min(largest, 255) // 8) + max(0, (largest - 256) // 16 + 1)
