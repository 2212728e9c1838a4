"""The memory that an engine reserves for LoRA adapters when it starts, whether or not any is loaded.

vLLM, lora/layers: beside each matrix of a layer lie two of each adapter, A (rank x inputs) and B (outputs x rank), for
`max_loras` adapters of the rank `max_lora_rank` in the type of the computation (base_linear.py,
column_parallel_linear.py, row_parallel_linear.py, fused_moe.py). It is a part of what vLLM calls the model's memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.domain.engines.fit import Architecture, NotUnderstoodError
from toolkit.domain.files.tensors import Tensor
from toolkit.planning.engines import engine_named
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.cache import stages
from toolkit.planning.fit.weights import layer_of, width_of

# Row parallel: inputs are split over devices, not outputs.
_ROWS = re.compile(r"\.(?:o_proj|down_proj|w2|out_proj|c_proj|dense|dense_4h_to_h)\.")
# Every device has all of these.
_WHOLE = re.compile(
    r"kv_a_proj_with_mqa|q_a_proj|fused_qkv_a|\.(?:gate|router)\.|shared_expert_gate"
)
_PACKED = (".qweight", ".weight_packed")


def adapter_memory(
    tensors: Sequence[Tensor],
    config: Mapping[str, Any],
    arch: Architecture,
    options: EngineOptions,
) -> tuple[int, ...]:
    """Return the bytes on one device of each stage of the pipeline; zeros where the replica takes no adapters.

    Raises NotUnderstoodError for packed weights of a mixture of experts, whose shapes the files do not tell.
    """
    ranges = stages(len(arch.layers), options.pipeline_parallel)
    if not options.adapters:
        return tuple(0 for _ in ranges)
    found = [0 for _ in ranges]
    packed = any(each.name.endswith(_PACKED) for each in tensors)
    if arch.experts and (packed or any(len(each.shape) > 2 for each in tensors)):
        raise NotUnderstoodError("room for adapters beside packed experts")
    if packed:
        for place, stage in enumerate(ranges):
            found[place] = len(stage) * _layer_of_shapes(arch, options.tensor_parallel)
    else:
        for tensor in tensors:
            layer = layer_of(tensor)
            if layer is None or len(tensor.shape) != 2 or not tensor.name.endswith(".weight"):
                continue
            for place, stage in enumerate(ranges):
                found[place] += (layer in stage) * _matrix(tensor, options.tensor_parallel)
    if engine_named(options.engine).adapts_embeddings(config):
        # Each of both matrices once for the embeddings and once for the head, on each device whole.
        for place in {0, len(ranges) - 1}:
            ends = (place == 0) + (place == len(ranges) - 1)
            found[place] += ends * (arch.vocabulary + arch.hidden)
    each = options.adapters * options.adapter_rank * width_of(arch, options)
    return tuple(size * each for size in found)


def _matrix(tensor: Tensor, parallel: int) -> int:
    """Return inputs plus outputs of a matrix on one device: the elements of A and B for each rank."""
    outputs, inputs = tensor.shape
    if _WHOLE.search(tensor.name):
        return outputs + inputs
    if _ROWS.search(tensor.name):
        return outputs + -(-inputs // parallel)
    return -(-outputs // parallel) + inputs


def _layer_of_shapes(arch: Architecture, parallel: int) -> int:
    """Return inputs plus outputs of all matrices of a dense layer, by the model's configuration."""
    queries = arch.heads * arch.head_dim // parallel
    values = max(1, arch.kv_heads // parallel) * arch.head_dim
    wide = arch.intermediate // parallel
    attention = (arch.hidden + queries) + 2 * (arch.hidden + values) + (queries + arch.hidden)
    return attention + 2 * (arch.hidden + wide) + (wide + arch.hidden)
