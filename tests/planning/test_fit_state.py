"""Models with a state or an encoder, beside what vLLM 0.32 itself makes of them.

`tests/bench/state_memory.py` writes the figures: 10 GiB divided by vLLM's own functions, for each model's layers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.planning.fit_models import tensor
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import ModelFiles, NotUnderstoodError
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.engines.vllm_options import read_options
from toolkit.planning.fit.architecture import read_architecture
from toolkit.planning.fit.cache import capacity, divide_cache
from toolkit.planning.fit.options import StepLimits
from toolkit.planning.fit.predict import FitPlace, predict
from toolkit.planning.fit.state import state_bytes
from toolkit.planning.fit.weights import loaded_weights

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "state_models.json").read_text("utf-8"))
QWEN3_NEXT = TABLE["qwen3-next"]["config"]
# What a process of vLLM's CPU build plans for.
LIMITS = StepLimits(2048, 128, 2048)


def said(options: dict[str, Any], context: int) -> EngineOptions:
    """Return the options as a release has them."""
    words = [f"--max-model-len={context}"]
    for name, value in options.items():
        flag = name.replace("_", "-")
        words.append(f"--no-{flag}" if value is False else f"--{flag}={value}")
    return read_options("0.32.0", words, {})


@pytest.mark.parametrize("accelerator", [Accelerator.CPU, Accelerator.CUDA])
@pytest.mark.parametrize("model", TABLE)
def test_a_cache_with_states_is_divided_as_vllm_does(model: str, accelerator: Accelerator) -> None:
    row, expected = TABLE[model], TABLE[model][str(accelerator)]
    arch = read_architecture(row["config"])
    cache = divide_cache(arch, said(row["options"], expected["context"]), accelerator)
    layers, memory = range(len(arch.layers)), 10 * 2**30
    held = capacity(cache, [(layers, memory)], expected["context"], arch.context, LIMITS)
    assert {
        "page": cache.page,
        "blocks": memory // cache.block_bytes(layers),
        "tokens": held.tokens,
        "concurrency": round(held.concurrency, 4),
        "context": expected["context"],
    } == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"speculative_config": "{}"}, "has the option `speculative-config`"),
        ({"use_replayssm": ""}, "has the option `use-replayssm`"),
        ({"tensor_parallel_size": 3}, "cannot be split over 3 devices"),
        ({"mamba_cache_dtype": "fp8"}, "a state of the type 'fp8'"),
    ],
)
def test_a_state_that_is_not_known_is_said(options: dict[str, Any], words: str) -> None:
    arch = read_architecture(QWEN3_NEXT)
    with pytest.raises(NotUnderstoodError, match=words):
        divide_cache(arch, said(options, 8192), Accelerator.CUDA)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"layer_types": ["linear_attention"] * 47 + ["new_attention"]}, "type new_attention"),
        ({"linear_num_value_heads": None}, "does not say `linear_num_value_heads`"),
        ({"linear_key_head_dim": "128"}, "`linear_key_head_dim` is '128'"),
        ({"partial_rotary_factor": "1"}, "`partial_rotary_factor` is '1'"),
        ({"model_type": "kimi_linear", "full_attention_interval": 4}, "linear attention"),
    ],
)
def test_a_configuration_of_another_state_is_not_understood(
    changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(NotUnderstoodError, match=words):
        read_architecture({**QWEN3_NEXT, **changed})


# MambaStateShapeCalculator of vLLM 0.32 for 4 devices, worked on paper: the convolution's bytes, and the recurrence's.
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("qwen3-next", 8192 // 4 * 3 * 2 + 32 // 4 * 128 * 128 * 2),
        # 8 groups are split, a single one is repeated on each device.
        ("nemotron-nano-9b-v2", (10_240 + 2 * 8 * 128) // 4 * 3 * 2 + 128 // 4 * 80 * 128 * 4),
        ("granite-4.0-h-small", (8192 + 2 * 4 * 128) // 4 * 3 * 2 + 128 // 4 * 64 * 128 * 2),
        ("jamba-1.5-mini", 8192 // 4 * 3 * 2 + 8192 // 4 * 16 * 2),
    ],
)
def test_a_state_is_split_over_devices(model: str, expected: int) -> None:
    arch = read_architecture(TABLE[model]["config"])
    assert state_bytes(arch, EngineOptions(tensor_parallel=4), Accelerator.CUDA) == expected


@pytest.mark.parametrize(("short", "full"), [("half", "float16"), ("float", "float32")])
def test_a_type_has_two_names(short: str, full: str) -> None:
    arch = read_architecture(QWEN3_NEXT)
    first, second = (
        state_bytes(arch, EngineOptions(dtype=each), Accelerator.CUDA) for each in (short, full)
    )
    assert first == second > 0


def test_a_prediction_says_what_a_request_keeps_beside_its_tokens() -> None:
    files = ModelFiles(QWEN3_NEXT, (tensor("model.embed_tokens.weight", 151_936, 2048),))
    place = FitPlace(Accelerator.CUDA, 80 * 2**30, "NVIDIA H100 80GB HBM3")
    found = predict(files, EngineOptions(context=8192), place)
    # Two states of three groups, each of 12 pages of 544 tokens; a token is in 12 of 48 layers.
    assert found.state == 3 * 2 * 12 * 544 * 2048
    assert found.token == 12 * 2 * 2 * 256 * 2
    assert (found.note, found.longest) == ("", 262_144)
    assert found.least == found.weights + found.reserve + (6 + 16 + 1) * 12 * 544 * 2048


def test_a_model_of_states_alone_keeps_a_cache_without_tokens() -> None:
    config = TABLE["mamba2-7b"]["config"]
    files = ModelFiles(config, (tensor("backbone.embeddings.weight", 32_768, 4096),))
    found = predict(files, EngineOptions(), FitPlace(Accelerator.CUDA, 24 * 2**30))
    assert (found.token, found.keeps_cache, found.context) == (0, True, 2048)
    assert found.tokens == found.cache // (64 * 2_158_592) * 2048


# As vLLM leaves them out: models/qwen3_next.py and nemotron_h.py skip `mtp.`, models/whisper.py ties its head.
@pytest.mark.parametrize(
    ("model", "name", "loaded"),
    [
        ("qwen3-next", "mtp.layers.0.mlp.gate.weight", False),
        ("whisper-large-v3", "proj_out.weight", False),
        ("whisper-large-v3", "model.encoder.layers.31.fc1.weight", True),
        ("qwen3-next", "model.layers.0.linear_attn.in_proj_qkvz.weight", True),
    ],
)
def test_which_weights_are_loaded(model: str, name: str, loaded: bool) -> None:
    config = {**TABLE[model]["config"], **({"decoder_layers": 2} if "whisper" in model else {})}
    files = (tensor(name, 10, 10),)
    assert loaded_weights(files, read_architecture(config), EngineOptions()) == (200 * loaded,)
