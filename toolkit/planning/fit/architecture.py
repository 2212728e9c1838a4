"""A model's `config.json` -> the values that decide about memory.

The names are those of the configuration classes in Hugging Face Transformers. Where a file leaves a value out, the
engine computes with Transformers' default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.domain.engines.fit import Architecture, Attention, Layer, NotUnderstoodError
from toolkit.domain.outside import shown
from toolkit.planning.fit.config_numbers import LAYER_COUNTS, Config, number, optional
from toolkit.planning.fit.state import STATEFUL, read_state, state_layers
from toolkit.planning.release.longest import LENGTHS, longest

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
    "lfm2": {"tie_word_embeddings": True},
    "lfm2_moe": {"tie_word_embeddings": True},
    "granitemoehybrid": {"tie_word_embeddings": True},
    "zamba2": {"tie_word_embeddings": True},
    "mamba": {"tie_word_embeddings": True},
    "whisper": {"tie_word_embeddings": True},
}
# Models that keep a state alone have no heads, and name no length: vLLM serves 2,048 tokens (config/model.py,
# _get_and_verify_max_len).
_STATE_ALONE = {"mamba": "hidden_size", "falcon_mamba": "hidden_size", "mamba2": "num_heads"}
_LENGTH = 2048
# Other names of the same values.
_OTHER_NAMES: Mapping[str, Mapping[str, str]] = {
    "whisper": {
        "num_hidden_layers": "decoder_layers",
        "num_attention_heads": "decoder_attention_heads",
        "num_key_value_heads": "decoder_attention_heads",
        "hidden_size": "d_model",
        "intermediate_size": "decoder_ffn_dim",
    },
    "zamba2": {"head_dim": "attention_head_dim"},
    **{
        family: {"num_attention_heads": heads, "num_key_value_heads": heads}
        for family, heads in _STATE_ALONE.items()
    },
}
# These have no rotary positions in any layer.
_UNTURNED = frozenset(["jamba", "nemotron_h", "whisper", *_STATE_ALONE])
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
_DTYPES = {"half": "float16", "float": "float32"}


def read_architecture(config: Config) -> Architecture:
    """Return the architecture that a `config.json` describes.

    Raises NotUnderstoodError if the cache does not consist of keys and values, or a number is missing or of another
    type; SourceError for a number beyond its bound.
    """
    text = _text_part(config)
    family = str(text.get("model_type", ""))
    text = {**_DEFAULTS.get(family, {}), **text}
    for name, other in _OTHER_NAMES.get(family, {}).items():
        text[name] = text.get(other)
    if family in _STATE_ALONE:
        text = {LENGTHS[0]: _LENGTH, **text}
    for key, words in _OTHER_STATE.items():
        if text.get(key) and family not in STATEFUL:
            raise NotUnderstoodError(f"it has {words} (`{key}`)")
    heads = number(text, ("num_attention_heads", "n_head"))
    hidden = number(text, ("hidden_size", "n_embd", "d_model"))
    experts = optional(text, "num_experts_per_tok", "num_experts_per_token")
    latent = _latent(text)
    keys = optional(text, "qk_nope_head_dim") + optional(text, "qk_rope_head_dim")
    is_spread = bool(latent) and family not in _LATENT
    head_dim = (keys if is_spread else optional(text, "head_dim")) or hidden // heads
    if not head_dim:
        raise NotUnderstoodError(f"it has {heads} heads in a width of {hidden}")
    quantization = _quantization(text, config)
    wide = optional(text, "intermediate_size")
    context = _context(text, config)
    layers = _layers(text, family)
    return Architecture(
        layers=layers,
        heads=heads,
        kv_heads=heads if is_spread else _kv_heads(text, heads),
        head_dim=head_dim,
        hidden=hidden,
        intermediate=wide or optional(text, "n_inner") or 4 * hidden,
        vocabulary=number(text, ("vocab_size",)),
        context=context,
        positions=_positions(text, family, context),
        rotary=int(head_dim * _turned(text)),
        dtype=_dtype(text, config),
        latent=0 if is_spread else latent,
        experts=experts,
        expert_width=(optional(text, "moe_intermediate_size") or wide) if experts else 0,
        tied=bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", False))),
        quantization=str(quantization.get("quant_method", "")),
        cache_dtype=_cache_dtype(quantization),
        state=read_state(text, family)
        if any(layer.beside is Attention.STATE for layer in layers)
        else None,
    )


def _kv_heads(text: Config, heads: int) -> int:
    """Return the heads of keys and values: one where `multi_query` says so, but in Falcon's new architecture.

    vLLM, transformers_utils/model_arch_config_convertor.py, get_total_num_kv_heads.
    """
    if text.get("multi_query") and not text.get("new_decoder_architecture"):
        return 1
    return number(text, _KV_HEADS, heads)


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


def _quantization(text: Config, config: Config) -> Config:
    found = text.get("quantization_config") or config.get("quantization_config") or {}
    if not isinstance(found, Mapping):
        raise NotUnderstoodError("its `quantization_config` is no mapping")
    return found


def _layers(text: Config, family: str) -> tuple[Layer, ...]:
    count = number(text, LAYER_COUNTS)
    if family in STATEFUL:
        return state_layers(text, family, count)
    if family == "whisper":
        return (Layer(beside=Attention.CROSS),) * count
    window = optional(text, "sliding_window")
    chunk = optional(text, "attention_chunk_size")
    named = text.get("layer_types")
    if isinstance(named, list) and len(named) >= count:
        return tuple(_named_layer(each, window, chunk) for each in named[:count])
    sliding = Layer(Attention.SLIDING, window) if window else Layer()
    pattern = optional(text, "sliding_window_pattern") or _PATTERNS.get(family, 0)
    if pattern:
        return tuple(sliding if (index + 1) % pattern else Layer() for index in range(count))
    if "use_sliding_window" in text or family.startswith(_OPTIONAL_WINDOW):
        first = optional(text, "max_window_layers") if text.get("use_sliding_window") else count
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
    rank, rotary = optional(text, "kv_lora_rank"), optional(text, "qk_rope_head_dim")
    return rank + rotary if rank and rotary else 0


def _context(text: Config, config: Config) -> int:
    try:
        found = longest(text, config, optional)
    except ValueError as error:
        raise NotUnderstoodError(f"its `rope_scaling` has the factor {error}") from None
    return found or number(text, LENGTHS[:1])


def _positions(text: Config, family: str, context: int) -> int:
    """Return the number of rotary positions, which may be more than a request takes by default."""
    if family in _UNTURNED or text.get("position_embedding_type") == "nope":
        return 0
    return max(optional(text, *LENGTHS), context)


def _turned(text: Config) -> float:
    """Return the part of a head that has rotary positions."""
    ropes = text.get("rope_parameters")
    stated = ropes.get("partial_rotary_factor") if isinstance(ropes, Mapping) else None
    factor = stated or text.get("partial_rotary_factor") or 1.0
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor <= 1:
        raise NotUnderstoodError(f"its `partial_rotary_factor` is {shown(factor)}")
    return float(factor)


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
