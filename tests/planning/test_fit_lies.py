"""A `config.json` that lies: a number beyond its bound is refused, an odd one is said, none keeps `plan` busy."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.planning.fit_models import GEMMA3_4B, LLAMA31_8B
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import ModelFiles, NotUnderstoodError
from toolkit.errors import SourceError
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.architecture import read_architecture
from toolkit.planning.fit.predict import FitPlace, predict

OPTIONS = EngineOptions()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hidden_layers", 1_000_000_000),
        ("num_hidden_layers", 10**300),
        ("num_hidden_layers", 1025.0),
        ("num_attention_heads", 2**24 + 1),
        ("num_key_value_heads", 10**12),
        ("head_dim", 10**12),
        ("hidden_size", 10**12),
        ("vocab_size", 10**12),
        ("max_position_embeddings", 2**32 + 1),
        ("sliding_window", 10**15),
        ("num_experts_per_tok", 10**15),
        ("kv_lora_rank", 10**9),
    ],
)
def test_a_number_beyond_its_bound_is_refused(name: str, value: Any) -> None:
    with pytest.raises(SourceError, match=f"`{name}` is .*no model has more than"):
        read_architecture({**LLAMA31_8B, name: value})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"num_hidden_layers": "32"}, "`num_hidden_layers` is '32'"),
        ({"num_hidden_layers": -1}, "`num_hidden_layers` is -1"),
        ({"num_hidden_layers": 1.5}, "`num_hidden_layers` is 1.5"),
        ({"num_hidden_layers": True}, "`num_hidden_layers` is True"),
        ({"num_hidden_layers": None}, "does not say `num_hidden_layers`"),
        ({"num_key_value_heads": [8, 8]}, "`num_key_value_heads` is a list"),
        ({"head_dim": {"a": 1}}, "`head_dim` is a mapping"),
        ({"head_dim": float("inf")}, "`head_dim` is inf"),
        ({"intermediate_size": [1]}, "`intermediate_size` is a list"),
        ({"hidden_size": 1}, "32 heads in a width of 1"),
        ({"quantization_config": [1]}, "`quantization_config` is no mapping"),
        ({"rope_scaling": {"type": "linear", "factor": "8"}}, "the factor '8'"),
        ({"rope_scaling": {"type": "linear", "factor": float("nan")}}, "the factor nan"),
        ({"rope_scaling": {"type": "linear", "factor": -1}}, "the factor -1"),
        ({"layer_types": [["a"]] * 32}, "layers of the type a list"),
        ({"layer_types": [1] * 32}, "layers of the type 1"),
    ],
)
def test_an_odd_value_is_said(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        read_architecture({**LLAMA31_8B, **changed})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"num_hidden_layers": 1024, "sliding_window_pattern": 1024},
        {"num_hidden_layers": 1024, "max_position_embeddings": 2**32, "sliding_window": 1},
        {"num_attention_heads": 2**20, "hidden_size": 2**20, "head_dim": 2**24},
    ],
)
def test_the_largest_numbers_are_computed_at_once(changed: dict[str, Any]) -> None:
    config = {**GEMMA3_4B["text_config"], **changed}
    # The processor's time: what else runs on the machine takes none of it.
    started = time.process_time()
    predict(ModelFiles(config, ()), OPTIONS, FitPlace(Accelerator.CUDA, 80 * 10**9))
    assert time.process_time() - started < 2
