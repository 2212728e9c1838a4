"""The memory of a model's weights on each device, from the headers of its files.

The engine loads the content of the files, with any method of quantisation: packed integers of AWQ and GPTQ, FP8 with
its scales, compressed-tensors. vLLM's exceptions are here, each with its place in vLLM.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod

from toolkit.domain.engines.fit import Architecture
from toolkit.domain.files.tensors import Tensor
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.cache import stages
from toolkit.planning.fit.config_numbers import NUMBER_BYTES

_FLOATS = ("F64", "F32", "F16", "BF16")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.([0-9]{1,9})\.")
_OTHER_SENSES = re.compile(r"vision|visual|audio|multi_modal|image|(?:^|\.)encoder\.")
# Layers that only predict further tokens: each model's load_weights leaves them out.
_FURTHER = re.compile(r"(?:^|\.)mtp(?:_layers|_block)?\.")
# Every device has all of these: projections into the latent vector, and the choice of experts.
_WHOLE = re.compile(
    r"kv_a_proj_with_mqa|q_a_proj|fused_qkv_a|\.(?:gate|router)\.|shared_expert_gate|_scale_inv$"
)
_KEY_VALUE = re.compile(r"\.(?:k_proj|v_proj)\.")
_QKV = re.compile(r"\.(?:q_proj|k_proj|v_proj)\.")
_GATE_UP = re.compile(r"\.(?:gate_proj|up_proj|w1|w3)\.")
_PACKED_EXPERTS = re.compile(r"\.experts\..*(?:_blocks|_scales)$")
_EXPERT = re.compile(r"\.experts\.\d+\.")
_MIB = 2**20
_EMBEDDING = re.compile(r"(?:^|\.)(?:embed_tokens|wte|word_embeddings)\.")


def loaded_weights(
    tensors: Sequence[Tensor],
    arch: Architecture,
    options: EngineOptions,
    filled: tuple[int, int] = (1, 1),
) -> tuple[int, ...]:
    """Return the bytes on one device of each stage of the pipeline, the first stage first.

    Packed experts of 4 bits are filled up to the multiples `filled` of the hidden size and of an expert's width.
    """
    return tuple(sum(sizes.values()) for sizes in _parameters(tensors, arch, options, filled))


def held_weights(
    tensors: Sequence[Tensor],
    arch: Architecture,
    options: EngineOptions,
    filled: tuple[int, int] = (1, 1),
) -> tuple[int, ...]:
    """Return the bytes that PyTorch's allocator holds for the weights on a GPU of each stage, the first stage first.

    It hands out whole parameters, see `_held`. Beside them is one table of rotary positions, a value of cosine and one
    of sine for each position and pair of numbers (vLLM, layers/rotary_embedding/base.py, _compute_cos_sin_cache).
    """
    rotary = arch.positions * arch.rotary * NUMBER_BYTES["bfloat16"]
    return tuple(
        sum(map(_held, sizes.values())) + rotary
        for sizes in _parameters(tensors, arch, options, filled)
    )


def _parameters(
    tensors: Sequence[Tensor],
    arch: Architecture,
    options: EngineOptions,
    filled: tuple[int, int],
) -> list[dict[str, int]]:
    """Return the bytes of the engine's parameters by name, for one device of each stage."""
    ranges = stages(len(arch.layers), options.pipeline_parallel)
    loaded: list[dict[str, int]] = [{} for _ in ranges]
    for tensor in tensors:
        if not _is_loaded(tensor, arch):
            continue
        size = _share(tensor, _loaded_size(tensor, arch, options), arch, options.tensor_parallel)
        if arch.quantization == "mxfp4" and _PACKED_EXPERTS.search(tensor.name):
            size = _filled(size, arch, options.tensor_parallel, filled)
        name = _parameter(tensor.name)
        for stage in _stages_of(tensor, arch, ranges):
            loaded[stage][name] = loaded[stage].get(name, 0) + size
    return loaded


def _parameter(name: str) -> str:
    """Return the parameter that a file's tensor becomes a part of.

    vLLM, packed_modules_mapping of its models: queries, keys and values are one parameter, gate and up too, and all
    experts of a layer (layers/fused_moe).
    """
    name = _EXPERT.sub(".experts.", name)
    return _GATE_UP.sub(".gate_up.", _QKV.sub(".qkv.", name))


def _held(size: int) -> int:
    """Return the bytes that PyTorch's allocator gives for a parameter of `size` bytes.

    PyTorch, c10/core/AllocatorConfig.h and c10/cuda/CUDACachingAllocator.cpp: from 10 MiB on memory comes in multiples
    of 2 MiB, and a remainder of up to 1 MiB stays with the parameter. vLLM, v1/worker/gpu_worker.py, load_model: from
    20 MiB on nothing is split while weights are loaded, so that every remainder stays.
    """
    if size < 10 * _MIB:
        return size
    rest = -size % (2 * _MIB)
    return size + (rest if size >= 20 * _MIB or rest <= _MIB else 0)


def _is_loaded(tensor: Tensor, arch: Architecture) -> bool:
    """Whether the engine loads the tensor: no second copy of tied embeddings, no layers for speculation.

    vLLM, models/llama.py (skips lm_head where embeddings are tied) and models/deepseek_v2.py
    (get_spec_layer_idx_from_weight_name). The engine computes rotary frequencies itself.
    """
    if tensor.name.endswith("rotary_emb.inv_freq") or _FURTHER.search(tensor.name):
        return False
    if arch.tied and tensor.name.endswith(("lm_head.weight", "proj_out.weight")):
        return False
    layer = layer_of(tensor)
    return layer is None or layer < len(arch.layers)


def _loaded_size(tensor: Tensor, arch: Architecture, options: EngineOptions) -> int:
    """Return the bytes after loading: floats of a model without quantisation become the type of the computation."""
    if arch.quantization or tensor.dtype not in _FLOATS:
        return tensor.size
    return tensor.elements * width_of(arch, options)


def width_of(arch: Architecture, options: EngineOptions) -> int:
    """Return the bytes of one number in the type of the computation."""
    return NUMBER_BYTES.get(options.dtype if options.dtype != "auto" else arch.dtype, 2)


def _share(tensor: Tensor, size: int, arch: Architecture, parallel: int) -> int:
    """Return a device's share: tensor parallelism (arXiv:1909.08053) splits matrices and KV heads, not norms."""
    if parallel == 1 or len(tensor.shape) < 2 or _WHOLE.search(tensor.name):
        return size
    if _KEY_VALUE.search(tensor.name):
        return -(-size // min(parallel, arch.kv_heads))
    return -(-size // parallel)


def _filled(size: int, arch: Architecture, parallel: int, multiples: tuple[int, int]) -> int:
    """Return the bytes of a device's packed experts of `size` once each side of their matrices is a multiple."""
    sides = arch.hidden, -(-arch.expert_width // parallel)
    full = (-(-side // each) * each for side, each in zip(sides, multiples, strict=True))
    return size * prod(full) // prod(sides)


def _stages_of(tensor: Tensor, arch: Architecture, ranges: Sequence[range]) -> tuple[int, ...]:
    """Return the stages of a tensor: embeddings, vision and audio are in the first, head and last norm in the last."""
    layer = layer_of(tensor)
    if layer is not None:
        return tuple(index for index, stage in enumerate(ranges) if layer in stage)
    last = len(ranges) - 1
    if _EMBEDDING.search(tensor.name):
        return (0, last) if arch.tied and last else (0,)
    return (0,) if _OTHER_SENSES.search(tensor.name) else (last,)


def layer_of(tensor: Tensor) -> int | None:
    """Return the number of the layer of a language model that a tensor belongs to; None where it is in none."""
    if _OTHER_SENSES.search(tensor.name):
        return None
    found = _LAYER.search(tensor.name)
    return int(found[1]) if found else None
