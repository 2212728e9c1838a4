"""The tokens that fit into a cache of a given size, counted as vLLM's allocator counts them.

Sources: "Efficient Memory Management for Large Language Model Serving with PagedAttention"
(arXiv:2309.06180) for blocks; vLLM v1/kv_cache_interface.py for a block's bytes, v1/core/kv_cache_utils.py
for groups of layers, the pool of blocks and the capacity that it logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import Architecture, Attention, Layer, NotUnderstoodError
from toolkit.domain.outside import shown
from toolkit.planning.engines import engine_named
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.config_numbers import NUMBER_BYTES
from toolkit.planning.fit.options import StepLimits
from toolkit.planning.fit.state import state_bytes

_EIGHT_BITS = ("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc")
# model_executor/layers/attention/mla_attention.py: one packed record with its scales for each token.
_PACKED_LATENT = {"fp8_ds_mla": 656, "nvfp4_ds_mla": 352}


@dataclass(frozen=True, slots=True)
class Cache:
    """The division of a model's cache. `page` is the bytes of one block in one layer on one device.

    `groups` are sets of layers that share a table of blocks; all have the same attention. A block of the
    pool holds a page for each layer of the largest group. A request takes `states` blocks of a group that keeps
    a state.
    """

    block: int
    page: int
    groups: tuple[tuple[Layer, tuple[int, ...]], ...]
    states: int = 1

    def block_bytes(self, stage: range) -> int:
        """Return the bytes of one block of the pool on a device that holds the layers of `stage`."""
        return self.page * max(sum(index in stage for index in layers) for _, layers in self.groups)

    def blocks(self, context: int, limits: StepLimits) -> int:
        """Return the number of blocks that one request of `context` tokens takes; see `_blocks`."""
        return sum(self._blocks(layer, context, limits) for layer, _ in self.groups)

    def state(self) -> int:
        """Return the bytes that a request takes for states, however long it is."""
        kept = [layers for layer, layers in self.groups if layer.attention is Attention.STATE]
        widest = max(len(layers) for _, layers in self.groups)
        return len(kept) * self.states * widest * self.page

    def _blocks(self, layer: Layer, context: int, limits: StepLimits) -> int:
        """Return the blocks that a request holds at most in a group of such layers.

        FullAttentionSpec: all tokens. SlidingWindowSpec: the window and the tokens in flight, plus one block, because a
        window may begin inside a block. ChunkedLocalAttentionSpec: the chunk and the tokens in flight.
        CrossAttentionSpec: as many tokens as a step has, however few the encoder makes. MambaSpec: one state or more.
        """
        tokens = {
            Attention.FULL: context,
            Attention.SLIDING: min(layer.window - 1 + limits.in_flight, context) + self.block,
            Attention.CHUNKED: min(layer.window + limits.in_flight, context),
            Attention.CROSS: limits.batch,
            Attention.STATE: self.states * self.block,
        }[layer.attention]
        return -(-tokens // self.block)


@dataclass(frozen=True, slots=True)
class PoolContent:
    """The content of a pool: `tokens` in `concurrency` requests of the served context, or one request of `longest`."""

    tokens: int
    concurrency: float
    longest: int


def divide_cache(arch: Architecture, options: EngineOptions, accelerator: Accelerator) -> Cache:
    """Return how the cache of `arch` is divided; raises NotUnderstoodError for a type of unknown width.

    All pages are equally large. Where a state is larger than a block of tokens, blocks get as many times their tokens
    as it takes (platforms/interface.py, _align_hybrid_block_size); a smaller one is filled up. Where no layer has
    attention, a page is a state, and no prefixes are cached (config/model.py, is_prefix_caching_supported).
    """
    engine = engine_named(options.engine)
    block = options.block or engine.block_size(accelerator, latent=bool(arch.latent))
    groups = _groups(arch.layers)
    state = state_bytes(arch, options, accelerator)
    if all(layer.attention is Attention.STATE for layer, _ in groups):
        return Cache(block, state, groups)
    token = layer_token_bytes(arch, options)
    block *= max(1, -(-state // (block * token)))
    states = arch.state.blocks if arch.state and options.prefixes else 1
    return Cache(block, block * token, groups, states)


def layer_token_bytes(arch: Architecture, options: EngineOptions) -> int:
    """Return the bytes that one token takes in one layer on one device.

    Keys and values of each KV head (grouped-query attention, arXiv:2305.13245): 2 x heads x head size x width.
    A device has its share of the heads, and at least one: with fewer heads than devices, several devices keep the same
    head (vLLM, ModelConfig.get_num_kv_heads). Latent attention keeps one vector for all heads, kv_lora_rank +
    qk_rope_head_dim wide, on every device (arXiv:2405.04434; MLAAttentionSpec).
    """
    named = options.cache_dtype if options.cache_dtype != "auto" else arch.cache_dtype
    if arch.latent:
        return _PACKED_LATENT.get(named) or arch.latent * _width(named, arch, options)
    heads = max(1, arch.kv_heads // options.tensor_parallel)
    return 2 * heads * arch.head_dim * _width(named, arch, options)


def token_bytes(arch: Architecture, options: EngineOptions) -> int:
    """Return the bytes that one token takes in all layers, on all devices of a stage's rank together."""
    attending = sum(layer.attention is not Attention.NONE for layer in arch.layers)
    return attending * layer_token_bytes(arch, options) if attending else 0


def stages(layers: int, parallel: int) -> tuple[range, ...]:
    """Return the layers of each stage of a pipeline.

    vLLM, distributed/utils.py, get_pp_indices: the remaining layers go to the stages before the last, from the back.
    """
    sizes = [layers // parallel] * parallel
    for back in range(2, layers % parallel + 2):
        sizes[-back] += 1
    starts = [sum(sizes[:index]) for index in range(parallel)]
    return tuple(range(start, start + size) for start, size in zip(starts, sizes, strict=True))


def capacity(
    cache: Cache,
    memory: Sequence[tuple[range, int]],
    context: int,
    most: int,
    limits: StepLimits,
) -> PoolContent:
    """Return the capacity of a pool; `memory` has the bytes for the cache on the device of each stage.

    `context` is the served one, `most` the model's. The smallest number of blocks of any stage counts for all stages
    (get_kv_cache_configs). The logged capacity is the number of blocks, divided by the blocks of one request, times the
    context (get_kv_cache_capacity). The longest request has one block less, because the pool keeps one (BlockPool's
    null block).
    """
    blocks = max(0, min(size // cache.block_bytes(stage) for stage, size in memory))
    concurrency = blocks / cache.blocks(context, limits)
    longest, above = 0, most + 1
    while above - longest > 1:
        middle = (longest + above) // 2
        if cache.blocks(middle, limits) <= blocks - 1:
            longest = middle
        else:
            above = middle
    return PoolContent(int(concurrency * context), concurrency, longest)


def _width(named: str, arch: Architecture, options: EngineOptions) -> int:
    if named in _EIGHT_BITS:
        return 1
    name = named
    if named == "auto":
        name = options.dtype if options.dtype != "auto" else arch.dtype
    if name not in NUMBER_BYTES:
        raise NotUnderstoodError(
            f"the width of a cache of the type {shown(name)} is not known here"
        )
    return NUMBER_BYTES[name]


def _groups(layers: tuple[Layer, ...]) -> tuple[tuple[Layer, tuple[int, ...]], ...]:
    """Return sets of layers of one kind and equal size.

    _get_kv_cache_groups_uniform_page_size: a set has as many layers as the rarest kind, or as the commonest kind if
    that has less than 1.5 times as many. Layer i of a kind goes to set i modulo the number of sets.
    """
    kinds: dict[Layer, list[int]] = {}
    for index, layer in enumerate(layers):
        for kind in (Layer(layer.attention, layer.window), Layer(layer.beside)):
            if kind.attention is not Attention.NONE:
                kinds.setdefault(kind, []).append(index)
    fewest = min(len(each) for each in kinds.values())
    most = max(len(each) for each in kinds.values())
    size = most if most < fewest * 1.5 else fewest
    groups = []
    for layer, indexes in kinds.items():
        count = -(-len(indexes) // size)
        groups += [(layer, tuple(indexes[start::count])) for start in range(count)]
    return tuple(groups)
