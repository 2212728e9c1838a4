"""Bytes of weights, from headers as the files of real models have them."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from tests.planning import fit_models as models
from tests.planning.fit_models import awq, dense, packed_experts, tensor
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.files.tensors import Tensor, header_length, parse_header
from toolkit.planning.engines import engine_named
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.architecture import read_architecture
from toolkit.planning.fit.weights import held_weights, loaded_weights


def loaded(tensors: tuple[Tensor, ...], config: models.Config, **said: Any) -> tuple[int, ...]:
    return loaded_weights(tensors, read_architecture(config), EngineOptions(**said))


# The sums that the models' own index files give as total_size.
@pytest.mark.parametrize(
    ("config", "tensors", "expected"),
    [
        (models.QWEN25_7B, dense(models.QWEN25_7B, bias=True), 15_231_233_024),
        (models.LLAMA31_8B, dense(models.LLAMA31_8B), 16_060_522_496),
        (models.MISTRAL_7B_V1, dense(models.MISTRAL_7B_V1), 14_483_464_192),
        (models.QWEN3_32B, dense(models.QWEN3_32B), 65_524_246_528),
    ],
    ids=["Qwen2.5-7B", "Llama-3.1-8B", "Mistral-7B", "Qwen3-32B"],
)
def test_weights_of_real_models(
    config: models.Config, tensors: tuple[Tensor, ...], expected: int
) -> None:
    assert loaded(tensors, config) == (expected,)


# A parameter of so many MiB in files with these names takes this of the allocator, in MiB.
@pytest.mark.parametrize(
    ("names", "size", "held"),
    [
        (("self_attn.o_proj",), 9.5, 9.5),
        (("self_attn.o_proj",), 11.5, 12),
        (("self_attn.o_proj",), 10.5, 10.5),
        (("self_attn.o_proj",), 24.5, 26),
        (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), 10.5, 32),
        (("mlp.gate_proj", "mlp.up_proj"), 129.5, 260),
        (("mlp.experts.0.gate_proj", "mlp.experts.0.up_proj", "mlp.experts.1.gate_proj",
          "mlp.experts.1.up_proj"), 5.25, 22),
        (("mlp.experts.0.down_proj", "mlp.experts.1.down_proj"), 10.25, 22),
        (("mlp.experts.0.gate_proj", "mlp.shared_experts.gate_proj"), 10.5, 21),
    ],
)  # fmt: skip
def test_the_allocator_hands_out_whole_parameters(
    names: tuple[str, ...], size: float, held: float
) -> None:
    mib = 2**20
    files = tuple(tensor(f"model.layers.0.{name}.weight", int(size * mib / 2)) for name in names)
    arch = read_architecture(models.QWEN25_7B)
    positions = 32_768 * 128 * 2
    assert held_weights(files, arch, EngineOptions()) == (held * mib + positions,)


def test_quantised_weights_are_what_the_files_hold() -> None:
    tensors = awq(models.QWEN25_7B)
    assert loaded(tensors, models.QWEN25_7B_AWQ) == (sum(each.size for each in tensors),)
    # 4 bits, and for 128 of them one scale of 16 bits and one zero of 4; embeddings and head have 16 bits
    matrices = 28 * (2 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18944)
    packed = matrices // 2 + matrices // 128 * 2 + matrices // 128 // 2
    rest = 2 * (2 * 152064 * 3584 + 28 * (2 * 3584 + 3584 + 2 * 512) + 3584)
    assert sum(each.size for each in tensors) == packed + rest == 5_570_747_392


# Sides as vLLM 0.32 gives them: mxfp4_round_up_hidden_size_and_intermediate_size(backend, 2880, 2880 // devices) for
# Triton's kernels (capability 9 and 10) and Marlin's, of layers/fused_moe/oracle/mxfp4.py.
@pytest.mark.parametrize(
    ("accelerator", "name", "devices", "hidden", "wide"),
    [
        (Accelerator.CUDA, "NVIDIA H100 80GB HBM3", 1, 2880, 2880),
        (Accelerator.CUDA, "NVIDIA GH200 480GB", 1, 2880, 2880),
        (Accelerator.CUDA, "NVIDIA B200", 4, 2880, 768),
        (Accelerator.CUDA, "NVIDIA L4", 1, 3072, 2944),
        (Accelerator.CUDA, "NVIDIA A100-SXM4-80GB", 1, 3072, 2944),
        (Accelerator.CUDA, "NVIDIA RTX PRO 6000 Blackwell Server Edition", 1, 3072, 2944),
        (Accelerator.CUDA, "NVIDIA L40S", 4, 3072, 768),
        (Accelerator.CPU, "", 1, 2880, 2880),
    ],
)  # fmt: skip
def test_packed_experts_are_filled_up_as_the_device_multiplies_them(
    accelerator: Accelerator, name: str, devices: int, hidden: int, wide: int
) -> None:
    filled = engine_named("vllm").experts_filled(accelerator, name)
    options = EngineOptions(tensor_parallel=devices)
    arch = read_architecture(models.GPT_OSS_20B)
    experts = packed_experts(models.GPT_OSS_20B)
    expected = 24 * 32 * 3 * hidden * wide * 17 // 32
    assert loaded_weights(experts, arch, options, filled) == (expected,)


def test_scales_of_quantised_weights_keep_their_type() -> None:
    files = (
        tensor("model.layers.0.mlp.up_proj.weight", 256, 128, dtype="F8_E4M3"),
        tensor("model.layers.0.mlp.up_proj.weight_scale_inv", 2, 1, dtype="F32"),
    )
    assert loaded(files, models.DEEPSEEK_V3) == (256 * 128 + 8,)


@pytest.mark.parametrize(
    ("stored", "dtype", "expected"),
    [("F32", "auto", 200), ("BF16", "float32", 400), ("I32", "auto", 400)],
)
def test_floats_become_the_type_that_is_computed_in(stored: str, dtype: str, expected: int) -> None:
    files = (tensor("model.layers.0.mlp.up_proj.weight", 10, 10, dtype=stored),)
    assert loaded(files, models.QWEN25_7B, dtype=dtype) == (expected,)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("lm_head.weight", {**models.QWEN25_7B, "tie_word_embeddings": True}),
        ("model.layers.61.mlp.gate.weight", models.DEEPSEEK_V3),
        ("model.layers.0.self_attn.rotary_emb.inv_freq", models.LLAMA31_8B),
    ],
)
def test_what_the_engine_leaves_out_takes_nothing(name: str, config: models.Config) -> None:
    assert loaded((tensor(name, 100, 100),), config) == (0,)


def test_eight_experts_are_all_loaded() -> None:
    experts = tuple(
        tensor(
            f"model.layers.{layer}.block_sparse_moe.experts.{expert}.w{part}.weight", 14336, 4096
        )
        for layer in range(32)
        for expert in range(8)
        for part in (1, 2, 3)
    )
    assert loaded(experts, models.MIXTRAL_8X7B) == (32 * 8 * 3 * 14336 * 4096 * 2,)


@pytest.mark.parametrize(
    ("name", "shape", "parallel", "expected"),
    [
        ("model.layers.0.mlp.up_proj.weight", (800, 100), 8, 20_000),
        ("model.layers.0.self_attn.k_proj.weight", (512, 100), 8, 25_600),
        ("model.layers.0.input_layernorm.weight", (100,), 8, 200),
        ("model.layers.0.self_attn.kv_a_proj_with_mqa.weight", (576, 100), 8, 115_200),
        ("model.layers.0.mlp.gate.weight", (256, 100), 8, 51_200),
        ("model.embed_tokens.weight", (800, 100), 4, 40_000),
    ],
)
def test_what_each_of_several_devices_holds(
    name: str, shape: tuple[int, ...], parallel: int, expected: int
) -> None:
    # 4 KV heads: the keys of 8 devices are there twice
    assert loaded((tensor(name, *shape),), models.QWEN25_7B, tensor_parallel=parallel) == (
        expected,
    )


def test_a_pipeline_splits_layers_and_puts_the_head_last() -> None:
    whole = dense(models.LLAMA31_8B)
    layer = sum(each.size for each in whole if ".layers.0." in each.name)
    embedding = 128256 * 4096 * 2
    assert loaded(whole, models.LLAMA31_8B, pipeline_parallel=2) == (
        embedding + 16 * layer,
        embedding + 16 * layer + 4096 * 2,
    )


def test_tied_embeddings_are_on_both_ends_of_a_pipeline() -> None:
    config = {**models.LLAMA31_8B, "tie_word_embeddings": True}
    files = (tensor("model.embed_tokens.weight", 10, 10),)
    assert loaded(files, config, pipeline_parallel=3) == (200, 0, 200)


def test_another_sense_is_on_the_first_stage() -> None:
    files = (tensor("vision_tower.encoder.layers.26.mlp.fc1.weight", 10, 10),)
    assert loaded(files, models.GEMMA3_4B, pipeline_parallel=2) == (200, 0)


HEADER = json.dumps(
    {
        "__metadata__": {"format": "pt"},
        "w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]},
        "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
    }
).encode()


def test_a_header_names_its_tensors() -> None:
    assert header_length(struct.pack("<Q", len(HEADER)) + b"anything") == len(HEADER)
    assert parse_header(HEADER) == (Tensor("a", "F32", (), 4), Tensor("w", "BF16", (2, 3), 12))
    assert [each.elements for each in parse_header(HEADER)] == [1, 6]


@pytest.mark.parametrize("start", [b"", b"\x01", struct.pack("<Q", 1), b"\xff" * 8])
def test_what_is_no_header_is_refused(start: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|beginning"):
        header_length(start)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"w": {"dtype": "F32"}}',
        b'{"w": {"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
    ],
)
def test_a_broken_header_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_header(text)
