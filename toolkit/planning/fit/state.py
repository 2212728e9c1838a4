"""The state that layers without attention keep of a request: convolutions, and recurrences in place of a cache.

vLLM, layers/mamba/mamba_utils.py, MambaStateShapeCalculator and MambaStateDtypeCalculator, and of each model
get_mamba_state_shape_from_config. The keys are those of the configuration classes in Hugging Face Transformers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import (
    Architecture,
    Attention,
    Layer,
    LayerState,
    NotUnderstoodError,
)
from toolkit.domain.outside import shown
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.config_numbers import NUMBER_BYTES, Config, number, optional

_STATE = Layer(Attention.NONE, beside=Attention.STATE)
_BOTH = Layer(beside=Attention.STATE)
_NEITHER = Layer(Attention.NONE)
# The names of layers in `layer_types` and `layers_block_type`, and NemotronH's letters in `hybrid_override_pattern`.
_NAMED = {
    **dict.fromkeys(("full_attention", "attention", "*"), Layer()),
    **dict.fromkeys(("linear_attention", "mamba", "conv", "M"), _STATE),
    **dict.fromkeys(("moe", "mlp", "-", "E"), _NEITHER),
    "hybrid": _BOTH,
}
# With cached prefixes a request holds the states of two blocks (v1/kv_cache_interface.py, MambaSpec), and Mamba 2 one
# more from inside a prompt (layers/mamba/mamba_mixer2.py, get_kv_cache_spec).
_BLOCKS, _BLOCKS_MAMBA2 = 2, 3


@dataclass(frozen=True, slots=True)
class _Mamba2:
    """The keys of a Mamba 2: its heads, their width, the groups, a state's width, the convolution, the inner width."""

    heads: str
    width: str
    groups: str
    state: str
    kernel: str
    inner: str = ""
    dtype: str = ""


_MAMBA2 = {
    "mamba2": _Mamba2("num_heads", "head_dim", "n_groups", "state_size", "conv_kernel"),
    "granitemoehybrid": _Mamba2(
        "mamba_n_heads", "mamba_d_head", "mamba_n_groups", "mamba_d_state", "mamba_d_conv"
    ),
    "falcon_h1": _Mamba2(
        "mamba_n_heads",
        "mamba_d_head",
        "mamba_n_groups",
        "mamba_d_state",
        "mamba_d_conv",
        "mamba_d_ssm",
    ),
    "nemotron_h": _Mamba2(
        "mamba_num_heads",
        "mamba_head_dim",
        "n_groups",
        "ssm_state_size",
        "conv_kernel",
        dtype="mamba_ssm_cache_dtype",
    ),
    "zamba2": _Mamba2(
        "n_mamba_heads", "mamba_headdim", "mamba_ngroups", "mamba_d_state", "mamba_d_conv"
    ),
}
# The keys of a state's width and of the convolution.
_MAMBA1 = {
    "jamba": ("mamba_d_state", "mamba_d_conv"),
    "mamba": ("state_size", "conv_kernel"),
    "falcon_mamba": ("state_size", "conv_kernel"),
}
_GATED_DELTA = ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text")
_CONVOLUTIONS = ("lfm2", "lfm2_moe")
STATEFUL = frozenset([*_MAMBA2, *_MAMBA1, *_GATED_DELTA, *_CONVOLUTIONS])


def state_bytes(arch: Architecture, options: EngineOptions, accelerator: Accelerator) -> int:
    """Return the bytes of one state in one layer on one device, 0 without any.

    On the CPU the recurrence has 32 bits (platforms/cpu.py, check_and_update_config, on processors with bfloat16).
    """
    state, parallel = arch.state, options.tensor_parallel
    if state is None:
        return 0
    if options.beside_state:
        raise NotUnderstoodError(f"it keeps a state, and has the option `{options.beside_state}`")
    # Groups that cannot be split evenly are repeated, so that each device has those of its heads.
    groups = state.groups + (parallel - state.groups if state.groups % parallel else 0)
    channels = state.channels + groups * state.group_width
    if channels % parallel or state.heads % parallel:
        raise NotUnderstoodError(f"its state cannot be split over {parallel} devices")
    plain = _width(options.convolution_dtype, options.dtype, arch.dtype)
    wide = _width(
        options.state_dtype, state.dtype, options.convolution_dtype, options.dtype, arch.dtype
    )
    if not accelerator.traits.has_devices:
        wide = NUMBER_BYTES["float32"]
    recurrence = state.heads // parallel * state.head_width
    return channels // parallel * state.positions * plain + recurrence * wide


def read_state(text: Config, family: str) -> LayerState | None:
    """Return the state of a family; None for one that keeps none, or whose state is not known here."""
    if names := _MAMBA2.get(family):
        return _mamba2(text, names)
    if keys := _MAMBA1.get(family):
        inner = optional(text, "intermediate_size") if family != "jamba" else 0
        inner = inner or 2 * number(text, ("hidden_size",))
        size, kernel = (
            number(text, (key,), default) for key, default in zip(keys, (16, 4), strict=True)
        )
        return LayerState(inner, kernel - 1, inner, size, blocks=_BLOCKS, projected=4 * inner)
    if family in _CONVOLUTIONS:
        inner = number(text, ("hidden_size",))
        return LayerState(
            inner, number(text, ("conv_L_cache",)) - 1, blocks=_BLOCKS, projected=4 * inner
        )
    return _gated_delta(text) if family in _GATED_DELTA else None


def state_layers(text: Config, family: str, count: int) -> tuple[Layer, ...]:
    """Return the layers of a family that keeps a state."""
    if family in ("mamba", "mamba2", "falcon_mamba"):
        return (_STATE,) * count
    if family == "falcon_h1":
        return (_BOTH,) * count
    if family == "jamba":
        period, offset = number(text, ("attn_layer_period",), 8), text.get("attn_layer_offset", 4)
        return tuple(Layer() if index % period == offset else _STATE for index in range(count))
    for name in ("layer_types", "layers_block_type", "hybrid_override_pattern"):
        named = text.get(name)
        if isinstance(named, (list, str)) and len(named) >= count:
            return tuple(map(_named, named[:count]))
    interval = number(text, ("full_attention_interval",), 4)
    return tuple(_STATE if (index + 1) % interval else Layer() for index in range(count))


def _named(name: Any) -> Layer:
    if not isinstance(name, str) or name not in _NAMED:
        raise NotUnderstoodError(f"it has layers of the type {shown(name).strip(chr(39))}")
    return _NAMED[name]


def _mamba2(text: Config, names: _Mamba2) -> LayerState:
    heads, width = number(text, (names.heads,)), number(text, (names.width,))
    groups, size = number(text, (names.groups,)), number(text, (names.state,))
    inner = optional(text, names.inner) or heads * width
    # models/config.py, NemotronHForCausalLMConfig: 32 bits where the file says nothing.
    stated = text.get(names.dtype, "float32") if names.dtype else "auto"
    return LayerState(
        inner,
        number(text, (names.kernel,), 4) - 1,
        heads,
        width * size,
        groups=groups,
        group_width=2 * size,
        dtype=str(stated),
        blocks=_BLOCKS_MAMBA2,
        projected=4 * inner + 2 * groups * size,
    )


def _gated_delta(text: Config) -> LayerState:
    keys = number(text, ("linear_num_key_heads",)) * number(text, ("linear_key_head_dim",))
    heads, width = (
        number(text, ("linear_num_value_heads",)),
        number(text, ("linear_value_head_dim",)),
    )
    values = heads * width
    return LayerState(
        2 * keys + values,
        number(text, ("linear_conv_kernel_dim",), 4) - 1,
        heads,
        width * number(text, ("linear_key_head_dim",)),
        # models/config.py, Qwen3_5ForConditionalGenerationConfig.
        dtype=str(text.get("mamba_ssm_dtype") or "auto"),
        blocks=_BLOCKS,
        projected=2 * keys + 3 * values,
    )


def _width(*named: str) -> int:
    """Return the bytes of a number of the first type that is not left open."""
    name = next((each for each in named if each != "auto"), "auto")
    if name not in NUMBER_BYTES:
        raise NotUnderstoodError(
            f"the width of a state of the type {shown(name)} is not known here"
        )
    return NUMBER_BYTES[name]
