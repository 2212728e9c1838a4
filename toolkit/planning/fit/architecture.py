"""A model's `config.json` -> the values that decide about memory.

The names are those of the configuration classes in Hugging Face Transformers. Where a file leaves a value out, the
engine computes with Transformers' default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.domain.bounds import CONTEXT, LAYERS, WIDTH
from toolkit.domain.engines.fit import Architecture, Attention, Layer, NotUnderstoodError
from toolkit.domain.outside import shown
from toolkit.errors import SourceError
from toolkit.planning.release.longest import LENGTHS, longest

Config = Mapping[str, Any]


# Transformers fills these in where the files of a family leave them out.
_DEFAULTS: Mapping[str, Config] = {
    "gemma3_text": {
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262_208,
        "max_position_embeddings": 131_072,
        "sliding_window": 4096,
        "tie_word_embeddings": True,
    },
    "gemma2": {"sliding_window": 4096, "tie_word_embeddings": True},
    "gemma": {"tie_word_embeddings": True},
    "gpt_oss": {"sliding_window": 128},
    "cohere2": {"sliding_window": 4096, "tie_word_embeddings": True},
    "mistral": {"sliding_window": 4096},
}
# Every n-th layer attends to the whole context, the others to a window.
_PATTERNS = {"gemma3_text": 6, "gemma2": 2, "gpt_oss": 2, "cohere2": 4}
# All of these families use their window only if `use_sliding_window` is true, whatever they see or hear beside text; so
# does each other one that has this key.
_OPTIONAL_WINDOW = ("qwen2", "qwen3")
# vLLM, transformers_utils/model_arch_config_convertor.py, is_deepseek_mla: these keep the latent vector, and other
# families with the same keys keep what is computed from it.
_LATENT = frozenset(
    [
        "axk1",
        "deepseek_v2",
        "deepseek_v3",
        "deepseek_v32",
        "dots3_note",
        "glm5_next",
        "glm5_next_text",
        "glm_moe_dsa",
        "glm4_moe_lite",
        "kimi_k2",
        "kimi_linear",
        "longcat_flash",
        "pangu_ultra_moe",
        "bailing_hybrid",
        "hy_v4",
    ]
)
_LAYER_TYPES = {
    "full_attention": Attention.FULL,
    "sliding_attention": Attention.SLIDING,
    "chunked_attention": Attention.CHUNKED,
}
# Models with these keys keep other state than keys and values of equal heads in every layer.
_OTHER_STATE = {
    "compress_ratios": "compressed attention",
    "index_topk": "a sparse attention index",
    "linear_attn_config": "linear attention",
    "full_attention_interval": "linear attention",
    "layer_group_size": "linear attention",
    "full_attn_idxs": "convolutions",
    "conv_L_cache": "convolutions",
    "attn_layer_period": "state-space layers",
    "hybrid_override_pattern": "state-space layers",
    "layers_block_type": "state-space layers",
    "ssm_cfg": "state-space layers",
    "mamba_d_state": "state-space layers",
    "state_size": "state-space layers",
    "global_head_dim": "heads of different sizes",
    "hybrid_layer_pattern": "heads of different sizes",
    "swa_num_key_value_heads": "heads of different sizes",
    "attention_other_setting": "heads of different sizes",
    "block_configs": "layers of different shapes",
    "zero_expert_num": "two attentions in a layer",
    "num_kv_shared_layers": "layers that share their cache",
}
_TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")
_KV_HEADS = ("n_head_kv", "num_kv_heads", "num_key_value_heads", "multi_query_group_num")
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
# The bounds of the other numbers are WIDTH.
_MOST = {
    **dict.fromkeys((*_LAYERS, "max_window_layers"), LAYERS),
    **dict.fromkeys(
        (*LENGTHS, "original_max_position_embeddings", "sliding_window", "attention_chunk_size"),
        CONTEXT,
    ),
}
_DTYPES = {"half": "float16", "float": "float32"}


def read_architecture(config: Config) -> Architecture:
    """Return the architecture that a `config.json` describes.

    Raises NotUnderstoodError if the cache does not consist of keys and values, or a number is missing or of another
    type; SourceError for a number beyond its bound.
    """
    text = _text_part(config)
    family = str(text.get("model_type", ""))
    text = {**_DEFAULTS.get(family, {}), **text}
    for key, words in _OTHER_STATE.items():
        if text.get(key):
            raise NotUnderstoodError(f"it has {words} (`{key}`)")
    heads = _number(text, ("num_attention_heads", "n_head"))
    hidden = _number(text, ("hidden_size", "n_embd", "d_model"))
    experts = _optional(text, "num_experts_per_tok", "num_experts_per_token")
    latent = _latent(text)
    keys = _optional(text, "qk_nope_head_dim") + _optional(text, "qk_rope_head_dim")
    is_spread = bool(latent) and family not in _LATENT
    head_dim = (keys if is_spread else _optional(text, "head_dim")) or hidden // heads
    if not head_dim:
        raise NotUnderstoodError(f"it has {heads} heads in a width of {hidden}")
    quantization = _quantization(text, config)
    wide = _optional(text, "intermediate_size")
    context = _context(text, config)
    return Architecture(
        layers=_layers(text, family),
        heads=heads,
        kv_heads=heads if is_spread else _kv_heads(text, heads),
        head_dim=head_dim,
        hidden=hidden,
        intermediate=wide or _optional(text, "n_inner") or 4 * hidden,
        vocabulary=_number(text, ("vocab_size",)),
        context=context,
        positions=_positions(text, context),
        dtype=_dtype(text, config),
        latent=0 if is_spread else latent,
        experts=experts,
        expert_width=(_optional(text, "moe_intermediate_size") or wide) if experts else 0,
        tied=bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", False))),
        quantization=str(quantization.get("quant_method", "")),
        cache_dtype=_cache_dtype(quantization),
    )


def _kv_heads(text: Config, heads: int) -> int:
    """Return the heads of keys and values: one where `multi_query` says so, but in Falcon's new architecture.

    vLLM, transformers_utils/model_arch_config_convertor.py, get_total_num_kv_heads.
    """
    if text.get("multi_query") and not text.get("new_decoder_architecture"):
        return 1
    return _number(text, _KV_HEADS, heads)


def _text_part(config: Config) -> dict[str, Any]:
    """Return the part about the language model of a model that also sees or hears."""
    for name in _TEXT_PARTS:
        part = config.get(name)
        if isinstance(part, Mapping):
            return (
                _text_part(part)
                if any(isinstance(part.get(n), Mapping) for n in _TEXT_PARTS)
                else dict(part)
            )
    return dict(config)


def _number(text: Config, names: tuple[str, ...], default: int = 0) -> int:
    found = _optional(text, *names) or default
    if not found:
        raise NotUnderstoodError(f"its config.json does not say `{names[0]}`")
    return found


def _optional(text: Config, *names: str) -> int:
    """Return the first of the numbers that is there and not 0, else 0."""
    for name in names:
        value = text.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None or value is False or value == 0:
            continue
        if type(value) is not int or value < 0:
            raise NotUnderstoodError(f"its config.json says that `{name}` is {shown(value)}")
        most = _MOST.get(name, WIDTH)
        if value > most:
            raise SourceError(
                f"config.json says that `{name}` is {shown(value)}; no model has more than {most}",
                hint="do not trust this repository, or choose another revision: "
                "toolkit registry pin MODEL",
            )
        return value
    return 0


def _quantization(text: Config, config: Config) -> Config:
    found = text.get("quantization_config") or config.get("quantization_config") or {}
    if not isinstance(found, Mapping):
        raise NotUnderstoodError("its `quantization_config` is no mapping")
    return found


def _layers(text: Config, family: str) -> tuple[Layer, ...]:
    count = _number(text, _LAYERS)
    window = _optional(text, "sliding_window")
    chunk = _optional(text, "attention_chunk_size")
    named = text.get("layer_types")
    if isinstance(named, list) and len(named) >= count:
        return tuple(_named_layer(each, window, chunk) for each in named[:count])
    sliding = Layer(Attention.SLIDING, window) if window else Layer()
    pattern = _optional(text, "sliding_window_pattern") or _PATTERNS.get(family, 0)
    if pattern:
        return tuple(sliding if (index + 1) % pattern else Layer() for index in range(count))
    if "use_sliding_window" in text or family.startswith(_OPTIONAL_WINDOW):
        first = _optional(text, "max_window_layers") if text.get("use_sliding_window") else count
        return tuple(sliding if index >= first else Layer() for index in range(count))
    if chunk:
        # Llama 4: every fourth layer has no chunks.
        local = Layer(Attention.CHUNKED, chunk)
        return tuple(local if (index + 1) % 4 else Layer() for index in range(count))
    return (sliding,) * count


def _named_layer(name: Any, window: int, chunk: int) -> Layer:
    if not isinstance(name, str) or name not in _LAYER_TYPES:
        raise NotUnderstoodError(f"it has layers of the type {shown(name).strip(chr(39))}")
    attention = _LAYER_TYPES[name]
    reach = {Attention.FULL: 0, Attention.SLIDING: window, Attention.CHUNKED: chunk}[attention]
    return Layer(attention, reach) if reach else Layer()


def _latent(text: Config) -> int:
    """DeepSeek-V2 (arXiv:2405.04434, 2.1) keeps a compressed vector and one rotary key of each token."""
    rank, rotary = _optional(text, "kv_lora_rank"), _optional(text, "qk_rope_head_dim")
    return rank + rotary if rank and rotary else 0


def _context(text: Config, config: Config) -> int:
    try:
        found = longest(text, config, _optional)
    except ValueError as error:
        raise NotUnderstoodError(f"its `rope_scaling` has the factor {error}") from None
    return found or _number(text, LENGTHS[:1])


def _positions(text: Config, context: int) -> int:
    """Return the number of rotary positions, which may be more than a request takes by default."""
    return max(_optional(text, *LENGTHS), context)


def _dtype(text: Config, config: Config) -> str:
    """Return the type to compute in: the file's, and bfloat16 in place of float32 or none."""
    named = next(
        (
            str(part[key])
            for part in (text, config)
            for key in ("dtype", "torch_dtype")
            if part.get(key)
        ),
        "",
    ).removeprefix("torch.")
    named = _DTYPES.get(named, named)
    return "bfloat16" if named in ("", "float32", "auto") else named


def _cache_dtype(quantization: Config) -> str:
    """Return `fp8` for a checkpoint with scales for an 8-bit cache, which the engine then uses by default."""
    inner = quantization.get("quantization")
    parts = (inner, quantization) if isinstance(inner, Mapping) else (quantization,)
    for part in parts:
        scheme = part.get("kv_cache_scheme")
        if isinstance(scheme, Mapping) and scheme.get("num_bits") == 8:
            return "fp8"
        if str(part.get("kv_cache_quant_algo") or "").upper() == "FP8":
            return "fp8"
    return "auto"
