"""Configurations of public models, cut down to what decides about memory, and tensors like theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from toolkit.domain.files.tensors import Tensor

Config = Mapping[str, Any]

QWEN25_7B: Config = {
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
    "num_hidden_layers": 28, "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768,
    "max_window_layers": 28, "sliding_window": 131072, "use_sliding_window": False,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
# A model that also sees, in the form that its first files have: one level, and the name of its own family.
QWEN25_VL_7B: Config = {
    **QWEN25_7B, "model_type": "qwen2_5_vl", "max_position_embeddings": 128000, "sliding_window": 32768,
    "vision_config": {"depth": 32},
}  # fmt: skip
QWEN25_7B_AWQ: Config = {
    **QWEN25_7B,
    "torch_dtype": "float16",
    "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True},
}  # fmt: skip
LLAMA31_8B: Config = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072,
    "rope_scaling": {"factor": 8.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
MISTRAL_7B_V1: Config = {
    "model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 32768,
    "sliding_window": 4096, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
MISTRAL_7B_V3: Config = {**MISTRAL_7B_V1, "vocab_size": 32768, "sliding_window": None}
QWEN3_32B: Config = {
    "model_type": "qwen3", "hidden_size": 5120, "intermediate_size": 25600, "num_attention_heads": 64,
    "num_hidden_layers": 64, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    "max_position_embeddings": 40960, "max_window_layers": 64, "sliding_window": None,
    "use_sliding_window": False, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
QWEN3_30B_A3B: Config = {
    "model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 768,
    "num_attention_heads": 32, "num_hidden_layers": 48, "num_key_value_heads": 4, "head_dim": 128,
    "num_experts": 128, "num_experts_per_tok": 8, "vocab_size": 151936, "max_position_embeddings": 40960,
    "sliding_window": None, "use_sliding_window": False, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}  # fmt: skip
MIXTRAL_8X7B: Config = {
    "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
    "vocab_size": 32000, "max_position_embeddings": 32768, "sliding_window": None,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
DEEPSEEK_V3: Config = {
    "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432,
    "moe_intermediate_size": 2048, "num_attention_heads": 128, "num_hidden_layers": 61,
    "num_key_value_heads": 128, "num_nextn_predict_layers": 1, "n_routed_experts": 256,
    "num_experts_per_tok": 8, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 129280, "max_position_embeddings": 163840,
    "rope_scaling": {"factor": 40, "original_max_position_embeddings": 4096, "type": "yarn"},
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
}  # fmt: skip
DEEPSEEK_V2_LITE: Config = {
    "model_type": "deepseek_v2", "hidden_size": 2048, "intermediate_size": 10944,
    "moe_intermediate_size": 1408, "num_attention_heads": 16, "num_hidden_layers": 27,
    "num_key_value_heads": 16, "n_routed_experts": 64, "num_experts_per_tok": 6, "kv_lora_rank": 512,
    "q_lora_rank": None, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "vocab_size": 102400, "max_position_embeddings": 163840, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}  # fmt: skip
# Latent attention in its file, which vLLM keeps as keys and values of all heads.
MINICPM3_4B: Config = {
    "model_type": "minicpm3", "hidden_size": 2560, "intermediate_size": 6400, "num_attention_heads": 40,
    "num_hidden_layers": 62, "num_key_value_heads": 40, "kv_lora_rank": 256, "q_lora_rank": 768,
    "qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "vocab_size": 73448, "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
}  # fmt: skip
# Its file leaves heads, context and the pattern of windows to the configuration class.
GEMMA3_4B: Config = {
    "model_type": "gemma3", "torch_dtype": "bfloat16", "vision_config": {"num_hidden_layers": 27},
    "text_config": {
        "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
        "num_hidden_layers": 34, "sliding_window": 1024, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    },
}  # fmt: skip
GEMMA2_9B: Config = {
    "model_type": "gemma2", "hidden_size": 3584, "intermediate_size": 14336, "num_attention_heads": 16,
    "num_hidden_layers": 42, "num_key_value_heads": 8, "head_dim": 256, "vocab_size": 256000,
    "max_position_embeddings": 8192, "sliding_window": 4096, "torch_dtype": "bfloat16",
}  # fmt: skip
GPT_OSS_20B: Config = {
    "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_attention_heads": 64,
    "num_hidden_layers": 24, "num_key_value_heads": 8, "head_dim": 64, "num_local_experts": 32,
    "num_experts_per_tok": 4, "vocab_size": 201088, "max_position_embeddings": 131072, "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 12, "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "mxfp4"},
}  # fmt: skip
# Multi-head attention: as many heads for keys and values as for queries.
OPT_LIKE_MHA: Config = {
    "model_type": "gptj", "n_embd": 4096, "n_head": 16, "n_layer": 28, "vocab_size": 50400, "n_positions": 2048,
    "torch_dtype": "float16",
}  # fmt: skip

# One head for keys and values, which its file says by `multi_query` alone.
STARCODER: Config = {
    "model_type": "gpt_bigcode", "n_embd": 6144, "n_head": 48, "n_layer": 40, "n_inner": 24576,
    "n_positions": 8192, "vocab_size": 49152, "multi_query": True, "torch_dtype": "bfloat16",
}  # fmt: skip

_BYTES = {"BF16": 2, "F16": 2, "F32": 4, "I32": 4, "F8_E4M3": 1, "U8": 1}


def tensor(name: str, *shape: int, dtype: str = "BF16") -> Tensor:
    """Return a tensor of that shape, as large as its type makes it."""
    return Tensor(name, dtype, shape, prod(shape) * _BYTES[dtype])


def dense(config: Config, *, bias: bool = False, dtype: str = "BF16") -> tuple[Tensor, ...]:
    """Return the tensors of a model of Llama's or Qwen2's build, head not tied."""
    return tuple(_dense(config, bias, dtype))


def _dense(config: Config, bias: bool, dtype: str) -> Iterator[Tensor]:
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    size = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    yield tensor("model.embed_tokens.weight", config["vocab_size"], hidden, dtype=dtype)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        for name, out in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
            yield tensor(f"{at}.self_attn.{name}.weight", out, hidden, dtype=dtype)
            if bias:
                yield tensor(f"{at}.self_attn.{name}.bias", out, dtype=dtype)
        yield tensor(f"{at}.self_attn.o_proj.weight", hidden, queries, dtype=dtype)
        for name in ("gate_proj", "up_proj"):
            yield tensor(f"{at}.mlp.{name}.weight", wide, hidden, dtype=dtype)
        yield tensor(f"{at}.mlp.down_proj.weight", hidden, wide, dtype=dtype)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield tensor(f"{at}.{name}.weight", hidden, dtype=dtype)
        if config["model_type"] == "qwen3":
            for name in ("q_norm", "k_norm"):
                yield tensor(f"{at}.self_attn.{name}.weight", size, dtype=dtype)
    yield tensor("model.norm.weight", hidden, dtype=dtype)
    yield tensor("lm_head.weight", config["vocab_size"], hidden, dtype=dtype)


def awq(config: Config) -> tuple[Tensor, ...]:
    """Return a Qwen2 in AWQ: 4 bits packed into 32, groups of 128 with zeros and scales."""
    found = []
    for each in dense(config, bias=True, dtype="F16"):
        if "_proj.weight" not in each.name:
            found.append(each)
            continue
        out, into = each.shape
        name = each.name.removesuffix(".weight")
        found.append(tensor(f"{name}.qweight", into, out // 8, dtype="I32"))
        found.append(tensor(f"{name}.qzeros", into // 128, out // 8, dtype="I32"))
        found.append(tensor(f"{name}.scales", into // 128, out, dtype="F16"))
    return tuple(found)


def packed_experts(config: Config) -> tuple[Tensor, ...]:
    """Return the experts of a gpt-oss: 4 bits packed into bytes, and a scale of 8 bits for each 32 of them."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    found = []
    for layer in range(config["num_hidden_layers"]):
        for name, out, into in (("gate_up_proj", 2 * wide, hidden), ("down_proj", hidden, wide)):
            at, count = f"model.layers.{layer}.mlp.experts.{name}", config["num_local_experts"]
            found.append(tensor(f"{at}_blocks", count, out, into // 32, 16, dtype="U8"))
            found.append(tensor(f"{at}_scales", count, out, into // 32, dtype="U8"))
    return tuple(found)
