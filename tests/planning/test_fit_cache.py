"""Bytes of a token and capacity of a cache, for real configurations; expected figures computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.planning import fit_models as models
from tests.planning.fit_models import Config
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import Attention, Layer, NotUnderstoodError
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.engines.vllm_options import read_options
from toolkit.planning.fit.architecture import read_architecture
from toolkit.planning.fit.cache import capacity, divide_cache, stages, token_bytes
from toolkit.planning.fit.options import StepLimits, step_limits

GIB = 2**30
FULL = Layer()
LIMITS = StepLimits(2048, 256, 4096)


def options(**more: Any) -> EngineOptions:
    return EngineOptions(**more)


# bytes = layers x 2 x KV heads x head size x width, or layers x (512 + 64) x width for latent attention
TOKENS: list[tuple[str, Config, dict[str, Any], int]] = [
    ("multi-head", models.OPT_LIKE_MHA, {}, 28 * 2 * 16 * 256 * 2),
    ("Qwen2.5-7B", models.QWEN25_7B, {}, 57_344),
    ("Llama-3.1-8B", models.LLAMA31_8B, {}, 131_072),
    ("Mistral-7B-v0.1", models.MISTRAL_7B_V1, {}, 131_072),
    ("Mistral-7B-v0.3", models.MISTRAL_7B_V3, {}, 131_072),
    ("Qwen3-32B, head size 128 and not 80", models.QWEN3_32B, {}, 262_144),
    ("Qwen3-30B-A3B, experts add nothing", models.QWEN3_30B_A3B, {}, 98_304),
    ("Mixtral-8x7B, experts add nothing", models.MIXTRAL_8X7B, {}, 131_072),
    ("DeepSeek-V3, one vector of 576", models.DEEPSEEK_V3, {}, 61 * 576 * 2),
    ("DeepSeek-V2-Lite", models.DEEPSEEK_V2_LITE, {}, 31_104),
    # vLLM 0.32 asks for 29.06 GiB for 32,768 tokens (check_enough_kv_cache_memory).
    ("MiniCPM3-4B, keys and values of all heads", models.MINICPM3_4B, {}, 62 * 2 * 40 * (64 + 32) * 2),
    # Attention.get_kv_cache_spec of vLLM 0.32 for such files: 20,480 bytes a token, one head for any `num_kv_heads`.
    ("StarCoder, one head of keys", models.STARCODER, {}, 40 * 2 * 128 * 2),
    ("Falcon-7B's key beside it", {**models.STARCODER, "num_kv_heads": 48}, {}, 40 * 2 * 128 * 2),
    ("Falcon-40B ignores it", {**models.STARCODER, "num_kv_heads": 8, "new_decoder_architecture": True}, {},
     40 * 2 * 8 * 128 * 2),
    ("Gemma-3-4B, heads by default", models.GEMMA3_4B, {}, 34 * 2 * 4 * 256 * 2),
    ("Gemma-2-9B", models.GEMMA2_9B, {}, 42 * 2 * 8 * 256 * 2),
    ("gpt-oss-20B", models.GPT_OSS_20B, {}, 24 * 2 * 8 * 64 * 2),
    ("an AWQ keeps a cache of 16 bits", models.QWEN25_7B_AWQ, {}, 57_344),
    ("8 bits halve it", models.QWEN25_7B, {"cache_dtype": "fp8"}, 28_672),
    ("8 bits in the other form", models.LLAMA31_8B, {"cache_dtype": "fp8_e5m2"}, 65_536),
    ("computed in 32 bits", models.QWEN25_7B, {"dtype": "float32"}, 114_688),
    ("a latent cache of 8 bits", models.DEEPSEEK_V3, {"cache_dtype": "fp8"}, 61 * 576),
    ("a packed latent cache", models.DEEPSEEK_V3, {"cache_dtype": "fp8_ds_mla"}, 61 * 656),
    ("heads are split over 2 devices", models.QWEN25_7B, {"tensor_parallel": 2}, 28_672),
    ("over 4", models.QWEN25_7B, {"tensor_parallel": 4}, 14_336),
    ("over 8 each has one, twice in all", models.QWEN25_7B, {"tensor_parallel": 8}, 14_336),
    ("a latent vector is never split", models.DEEPSEEK_V3, {"tensor_parallel": 8}, 61 * 576 * 2),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "said", "expected"), [row[1:] for row in TOKENS], ids=[r[0] for r in TOKENS]
)
def test_bytes_of_one_token(config: Config, said: dict[str, Any], expected: int) -> None:
    assert token_bytes(read_architecture(config), options(**said)) == expected


def sliding(window: int) -> Layer:
    return Layer(Attention.SLIDING, window)


@pytest.mark.parametrize(
    ("config", "full", "windowed", "layer"),
    [
        (models.QWEN25_7B, 28, 0, FULL),
        (models.MISTRAL_7B_V3, 32, 0, FULL),
        (models.MISTRAL_7B_V1, 0, 32, sliding(4096)),
        (models.GEMMA3_4B, 5, 29, sliding(1024)),
        (models.GEMMA2_9B, 21, 21, sliding(4096)),
        (models.GPT_OSS_20B, 12, 12, sliding(128)),
        ({**models.QWEN25_7B, "use_sliding_window": True}, 28, 0, FULL),
        ({**models.QWEN25_7B, "use_sliding_window": True, "max_window_layers": 20}, 20, 8, sliding(131072)),
        (models.QWEN25_VL_7B, 28, 0, FULL),
        ({**models.QWEN25_VL_7B, "text_config": {**models.QWEN25_7B, "model_type": "qwen2_5_vl_text"}}, 28, 0, FULL),
        ({**models.MISTRAL_7B_V1, "model_type": "mimo", "use_sliding_window": False}, 32, 0, FULL),
        ({**models.LLAMA31_8B, "layer_types": ["full_attention"] * 32, "sliding_window": 9}, 32, 0, FULL),
        ({**models.LLAMA31_8B, "attention_chunk_size": 8192}, 8, 24, Layer(Attention.CHUNKED, 8192)),
    ],
)  # fmt: skip
def test_which_layers_look_back_over_a_window(
    config: Config, full: int, windowed: int, layer: Layer
) -> None:
    layers = read_architecture(config).layers
    assert (layers.count(FULL), len(layers) - layers.count(FULL)) == (full, windowed)
    if windowed:
        assert layers.count(layer) == windowed


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (models.QWEN25_7B, 32768),
        (models.LLAMA31_8B, 131072),
        (models.DEEPSEEK_V3, 163840),
        (models.GEMMA3_4B, 131072),
        ({**models.QWEN25_7B, "rope_scaling": {"type": "linear", "factor": 4.0}}, 131072),
        ({**models.QWEN25_7B, "model_max_length": 131072}, 131072),
        ({**models.QWEN25_7B, "seq_length": 8192}, 8192),
        (
            {
                **models.QWEN25_7B,
                "original_max_position_embeddings": 4096,
                "rope_scaling": {"type": "longrope"},
            },
            4096,
        ),
    ],
)
def test_the_longest_request_that_is_served_without_an_option_for_it(
    config: Config, expected: int
) -> None:
    assert read_architecture(config).context == expected


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({**models.DEEPSEEK_V3, "index_topk": 2048}, "a sparse attention index"),
        ({**models.QWEN3_32B, "layer_types": ["linear_attention"] * 64}, "layers of the type linear_attention"),
        ({**models.QWEN3_32B, "full_attention_interval": 4}, "linear attention"),
        ({"model_type": "new", "state_size": 16}, "state-space layers"),
        ({**models.DEEPSEEK_V3, "zero_expert_num": 256}, "two attentions in a layer"),
        ({**models.LLAMA31_8B, "full_attn_idxs": [2, 5]}, "convolutions"),
        ({**models.LLAMA31_8B, "conv_L_cache": 3}, "convolutions"),
        ({**models.LLAMA31_8B, "layer_group_size": 8}, "linear attention"),
        ({**models.LLAMA31_8B, "layers_block_type": ["mamba"]}, "state-space layers"),
        ({**models.LLAMA31_8B, "hybrid_layer_pattern": [0, 1]}, "heads of different sizes"),
        ({**models.LLAMA31_8B, "attention_other_setting": {"num_attention_heads": 96}}, "heads of different sizes"),
        ({**models.LLAMA31_8B, "swa_num_key_value_heads": 8}, "heads of different sizes"),
        ({"model_type": "new", "num_hidden_layers": 2}, "does not say `num_attention_heads`"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_said(config: Config, words: str) -> None:
    with pytest.raises(NotUnderstoodError, match=words):
        read_architecture(config)


def test_a_cache_of_unknown_width_is_not_guessed() -> None:
    with pytest.raises(NotUnderstoodError, match="turboquant_k8v4"):
        token_bytes(read_architecture(models.QWEN25_7B), options(cache_dtype="turboquant_k8v4"))
    odd = {**models.QWEN25_7B, "dtype": "\x1b]0;x\n", "torch_dtype": "\x1b]0;x\n"}
    with pytest.raises(NotUnderstoodError) as caught:
        token_bytes(read_architecture(odd), options())
    assert r"of the type '\x1b]0;x\n' is" in str(caught.value)


def test_scales_in_a_checkpoint_make_a_cache_of_8_bits() -> None:
    scheme = {
        "quant_method": "compressed-tensors",
        "kv_cache_scheme": {"num_bits": 8, "type": "float"},
    }
    arch = read_architecture({**models.LLAMA31_8B, "quantization_config": scheme})
    assert token_bytes(arch, options()) == 65_536
    assert token_bytes(arch, options(cache_dtype="bfloat16")) == 131_072


@pytest.mark.parametrize(
    ("layers", "parallel", "sizes"),
    [(32, 1, [32]), (32, 2, [16, 16]), (61, 2, [31, 30]), (61, 4, [15, 15, 16, 15]), (30, 4, [7, 8, 8, 7])],
)  # fmt: skip
def test_layers_are_split_over_a_pipeline(layers: int, parallel: int, sizes: list[int]) -> None:
    found = stages(layers, parallel)
    assert [len(stage) for stage in found] == sizes
    assert [index for stage in found for index in stage] == list(range(layers))


# Each of the first group counts by hand: blocks of 16 tokens, 10 GiB.
CAPACITIES: list[tuple[str, Config, dict[str, Any], int, int, float, int]] = [
    # 10 GiB // (16 * 57,344) = 11,702 blocks; 512 a request of 8,192
    ("Qwen2.5-7B", models.QWEN25_7B, {}, 8192, 187_232, 22.8555, 32_768),
    # 10 GiB // (16 * 131,072) = 5,120 blocks
    ("Llama-3.1-8B", models.LLAMA31_8B, {}, 8192, 81_920, 10.0, 81_904),
    # 4,095 of the window + 4,096 in flight = 512 blocks + 1, however long the request
    ("a window everywhere", models.MISTRAL_7B_V1, {}, 32_768, 327_041, 9.9805, 32_768),
    # 5 layers in full, 29 with windows: 1 + 6 groups of 5; a block is 5 pages of 16 x 4,096 bytes; a request
    # of 131,072 takes 8,192 + 6 * (ceil((1,023 + 4,096) / 16) + 1) = 10,118 of 32,768 blocks
    ("Gemma-3-4B", models.GEMMA3_4B, {}, 131_072, 424_487, 3.2386, 131_072),
    ("a latent cache", models.DEEPSEEK_V3, {}, 16_384, 152_784, 9.3252, 152_768),
    # both stages hold 16 of 32 layers
    ("a pipeline of 2", models.LLAMA31_8B, {"pipeline_parallel": 2}, 8192, 163_840, 20.0, 131_072),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "said", "context", "tokens", "concurrency", "longest"),
    [row[1:] for row in CAPACITIES],
    ids=[row[0] for row in CAPACITIES],
)
def test_what_ten_gibibytes_hold(
    config: Config,
    said: dict[str, Any],
    context: int,
    tokens: int,
    concurrency: float,
    longest: int,
) -> None:
    arch = read_architecture(config)
    asked = options(context=context, **said)
    limits = step_limits(arch, asked, Accelerator.CUDA, 24 * GIB)
    cache = divide_cache(arch, asked, Accelerator.CUDA)
    memory = [(stage, 10 * GIB) for stage in stages(len(arch.layers), asked.pipeline_parallel)]
    found = capacity(cache, memory, context, arch.context, limits)
    assert (found.tokens, round(found.concurrency, 4), found.longest) == (
        tokens,
        pytest.approx(concurrency, abs=1e-4),
        longest,
    )


def test_the_smallest_stage_counts_for_all() -> None:
    arch = read_architecture(models.LLAMA31_8B)
    asked = options(pipeline_parallel=2)
    cache = divide_cache(arch, asked, Accelerator.CUDA)
    first, second = stages(32, 2)
    found = capacity(cache, [(first, GIB), (second, 10 * GIB)], 8192, 131_072, LIMITS)
    assert found.tokens == GIB // (16 * 65_536) * 16


def test_nothing_is_left_for_a_cache() -> None:
    arch = read_architecture(models.LLAMA31_8B)
    cache = divide_cache(arch, options(), Accelerator.CUDA)
    found = capacity(cache, [(range(32), -GIB)], 8192, 131_072, LIMITS)
    assert (found.tokens, found.concurrency, found.longest) == (0, 0.0, 0)


# As vLLM 0.32.0 logged it on the CPU: 2 layers, 2 KV heads of 32, a cache of 1 GiB, blocks of 128.
def test_the_capacity_is_the_one_that_vllm_logged() -> None:
    config = {
        "model_type": "qwen3", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
        "num_hidden_layers": 2, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 384,
        "max_position_embeddings": 1024, "dtype": "bfloat16",
    }  # fmt: skip
    arch = read_architecture(config)
    asked = read_options("0.32.0", (), {"VLLM_CPU_KVCACHE_SPACE": "1"})
    cache = divide_cache(arch, asked, Accelerator.CPU)
    found = capacity(cache, [(range(2), asked.cache)], 1024, 1024, LIMITS)
    assert (found.tokens, found.concurrency) == (2_097_152, 2048.0)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), options()),
        (("--max-model-len", "16k"), options(context=16_000)),
        (("--max_model_len=16K", "--enforce-eager"), options(context=16_384, eager=True)),
        (("--max-model-len", "-1"), options()),
        (("--tensor-parallel-size", "4", "--block-size", "32"), options(tensor_parallel=4, block=32)),
        (("--enforce-eager", "--kv-cache-dtype", "fp8"), options(eager=True, cache_dtype="fp8")),
        (("--gpu-memory-utilization", "0.5", "--gpu-memory-utilization", "0.7"), options(utilization=0.7)),
        (("--kv-cache-memory-bytes", "2G", "--max-num-seqs", "8"), options(cache=2 * GIB, sequences=8)),
    ],
)  # fmt: skip
def test_options_are_read_as_vllm_reads_them(
    args: tuple[str, ...], expected: EngineOptions
) -> None:
    assert read_options("0.32.0", args, {}) == expected


@pytest.mark.parametrize(
    ("accelerator", "memory", "name", "said", "expected"),
    [
        (Accelerator.CUDA, 24 * GIB, "NVIDIA L4", {}, (2048, 256, 4096)),
        (Accelerator.CUDA, 80 * GIB, "NVIDIA H100", {}, (8192, 1024, 16384)),
        (Accelerator.CUDA, 80 * GIB, "NVIDIA A100-SXM4-80GB", {}, (2048, 256, 4096)),
        (Accelerator.CUDA, 180 * GIB, "NVIDIA B200", {}, (16384, 1024, 32768)),
        (Accelerator.CPU, 24 * GIB, "", {}, (2048, 128, 2048)),
        (Accelerator.CPU, 24 * GIB, "", {"pipeline_parallel": 2}, (4096, 256, 8192)),
        (
            Accelerator.CUDA,
            24 * GIB,
            "NVIDIA L4",
            {"sequences": 2, "context": 512},
            (1024, 2, 2048),
        ),
        (Accelerator.CUDA, 24 * GIB, "NVIDIA L4", {"batch": 100}, (100, 100, 200)),
        (Accelerator.CUDA, 24 * GIB, "NVIDIA L4", {"pipeline_parallel": 3}, (2048, 256, 8192)),
    ],
)
def test_a_step_is_as_large_as_vllm_makes_it(
    accelerator: Accelerator,
    memory: int,
    name: str,
    said: dict[str, Any],
    expected: tuple[int, int, int],
) -> None:
    arch = read_architecture(models.QWEN25_7B)
    limits = step_limits(arch, options(**said), accelerator, memory, name)
    assert (limits.batch, limits.sequences, limits.in_flight) == expected
