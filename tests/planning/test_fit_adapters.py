"""What a replica reserves for LoRA adapters, by the shapes of its matrices."""

from __future__ import annotations

from typing import Any

import pytest

from tests.planning.fit_models import QWEN3_30B_A3B, QWEN25_7B, QWEN25_7B_AWQ, Config, dense
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import ModelFiles, NotUnderstoodError
from toolkit.domain.files.tensors import Tensor
from toolkit.planning.engines import engine_named
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.adapters import adapter_memory
from toolkit.planning.fit.architecture import read_architecture
from toolkit.planning.fit.predict import FitPlace, predict

SMALL: Config = {
    "model_type": "qwen2", "hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 8,
    "num_hidden_layers": 3, "num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 512,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "architectures": ["Qwen2ForCausalLM"],
}  # fmt: skip
LLAMA = {**SMALL, "model_type": "llama", "architectures": ["LlamaForCausalLM"]}
# Of every 8th rank: a layer of SMALL has 3,968 inputs and outputs, embeddings and head 2,512.
LAYER = 3968 * 8 * 2 * 2


def reserved(config: Config, tensors: tuple[Tensor, ...] = (), **said: Any) -> tuple[int, ...]:
    options = EngineOptions(**{"adapters": 2, "adapter_rank": 8, **said})
    return adapter_memory(tensors or dense(config), config, read_architecture(config), options)


def test_a_small_model_is_as_measured() -> None:
    # vLLM 0.32 on the CPU, `tests/bench/adapter_memory.py qwen2`: 380928 bytes.
    assert reserved(SMALL) == (380_928,) == (3 * LAYER,)


@pytest.mark.parametrize(
    ("config", "said", "expected"),
    [
        (SMALL, {"adapters": 0}, (0,)),
        (SMALL, {"adapters": 4}, (6 * LAYER,)),
        (SMALL, {"adapter_rank": 16}, (6 * LAYER,)),
        (SMALL, {"dtype": "float32"}, (6 * LAYER,)),
        (SMALL, {"pipeline_parallel": 3}, (LAYER, LAYER, LAYER)),
        # Half of the outputs, or of a row-parallel matrix's inputs, and the whole of the rest.
        (SMALL, {"tensor_parallel": 2}, (3 * (4 * 256 + 2 * 256 + 256 + 128 + 2 * 32 + 128 + 3 * 256) * 32,)),
        (LLAMA, {}, (3 * LAYER + 2 * 1256 * 32,)),
        (LLAMA, {"pipeline_parallel": 3}, (LAYER + 1256 * 32, LAYER, LAYER + 1256 * 32)),
    ],
)  # fmt: skip
def test_room_follows_from_options(
    config: Config, said: dict[str, Any], expected: tuple[int, ...]
) -> None:
    assert reserved(config, **said) == expected


def test_a_common_model_and_its_packed_twin_need_the_same() -> None:
    # 40.4 million numbers of an adapter of rank 16 for all matrices of Qwen2.5 7B.
    options = {"adapters": 4, "adapter_rank": 16}
    assert reserved(QWEN25_7B, **options) == (28 * 90_112 * 4 * 16 * 2,)
    packed = (Tensor("model.layers.0.mlp.down_proj.qweight", "I32", (8, 8), 256),)
    assert reserved(QWEN25_7B_AWQ, packed, **options) == reserved(QWEN25_7B, **options)


def test_packed_experts_are_not_understood() -> None:
    packed = (Tensor("model.layers.0.mlp.experts.0.w1.qweight", "I32", (8, 8), 256),)
    with pytest.raises(NotUnderstoodError, match="packed experts"):
        reserved(QWEN3_30B_A3B, packed)


def test_a_prediction_has_it_as_a_part_of_the_weights() -> None:
    files, place = ModelFiles(SMALL, dense(SMALL)), FitPlace(Accelerator.CUDA, 2**34)
    without = predict(files, EngineOptions(), place)
    said = predict(files, EngineOptions(adapters=2, adapter_rank=8), place)
    assert (without.adapters, said.adapters) == (0, 380_928)
    assert said.weights - without.weights == without.cache - said.cache == 380_928


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("--max-loras 4", (0, 0)),
        ("--enable-lora", (1, 16)),
        ("--enable-lora --max-loras 4 --max-lora-rank 32", (4, 32)),
    ],
)
def test_arguments_say_for_how_many_and_of_which_rank(args: str, expected: tuple[int, int]) -> None:
    options = engine_named("vllm").read_options("0.32.0", args.split(), {})
    assert (options.adapters, options.adapter_rank) == expected
