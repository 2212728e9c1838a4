"""What vLLM reserves for LoRA adapters beside a small model: run it with an engine's own Python.

    ENGINE/bin/python tests/bench/adapter_memory.py [llama|qwen2]

It starts the engine in this process with made-up weights, and adds up the tensors of all layers that take adapters.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_KVCACHE_SPACE="1")
SHAPE = {
    "hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 8, "num_hidden_layers": 3,
    "num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 512, "torch_dtype": "bfloat16",
    "tie_word_embeddings": False, "rms_norm_eps": 1e-6, "hidden_act": "silu",
}  # fmt: skip
NAMES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}


def main() -> None:
    from vllm import LLM

    family = sys.argv[1] if len(sys.argv) > 1 else "llama"
    with tempfile.TemporaryDirectory() as directory:
        config = {**SHAPE, "model_type": family, "architectures": [NAMES[family]]}
        Path(directory, "config.json").write_text(json.dumps(config))
        engine = LLM(
            model=directory, load_format="dummy", skip_tokenizer_init=True, enforce_eager=True, max_num_seqs=4,
            max_model_len=128, enable_lora=True, max_loras=2, max_lora_rank=8, dtype="bfloat16",
        )  # fmt: skip
        print({"family": family, "bytes": sum(engine.apply_model(reserved))})


def reserved(model: object) -> int:
    """Return the bytes of all tensors that adapters are copied into."""
    found = 0
    for module in model.modules():  # type: ignore[attr-defined]
        for name in ("lora_a_stacked", "lora_b_stacked"):
            stacked = getattr(module, name, ())
            parts = stacked if isinstance(stacked, (tuple, list)) else (stacked,)
            found += sum(each.numel() * each.element_size() for each in parts)
    return found


if __name__ == "__main__":
    main()
