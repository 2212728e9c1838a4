"""What vLLM keeps of models with a state, for `tests/planning/state_models.json`: run it with an engine's own Python.

    ENGINE/bin/python tests/bench/state_memory.py [--write] [NAME...]

It builds each model on the meta device, asks its layers for their caches, and divides 10 GiB as the engine's core does:
once with the attention of the CPU, and once with FlashAttention, as on a GPU. It prints what differs from the table.
A model that imports torchvision needs an engine with that.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.update(
    VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_KVCACHE_SPACE="1", HF_HUB_OFFLINE="1"
)
TABLE = Path(__file__).parents[1] / "planning" / "state_models.json"
MEMORY = 10 * 2**30
BLOCKS = {"cpu": 128, "cuda": 16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    table = json.loads(TABLE.read_text("utf-8"))
    for name in asked.names or table:
        found = figures(table[name]["config"], table[name]["options"])
        differing = {key: value for key, value in found.items() if table[name].get(key) != value}
        print(name, differing or "as in the table", flush=True)
        table[name].update(found)
        if not asked.write:
            continue
        rows = (f"{json.dumps(name)}: {json.dumps(row)}" for name, row in table.items())
        TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


def figures(config: Any, options: Any) -> dict[str, Any]:
    """Return the bytes of the model's parameters, and how its cache is divided on each kind of device."""
    import torch
    from vllm.config import set_current_vllm_config
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.utils.torch_utils import set_default_torch_dtype

    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "config.json").write_text(json.dumps(config), "utf-8")
        args = EngineArgs(
            model=directory, skip_tokenizer_init=True, load_format="dummy", enforce_eager=True,
            dtype="bfloat16", **options,
        )  # fmt: skip
        made = args.create_engine_config()
        with set_current_vllm_config(made):
            join(made.parallel_config.tensor_parallel_size)
            with torch.device("meta"), set_default_torch_dtype(torch.bfloat16), for_devices():
                model = initialize_model(made)
    context = made.compilation_config.static_forward_context
    layers = {name: each for name, each in context.items() if isinstance(each, AttentionLayerBase)}
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    return {
        "weights": weights,
        **{kind: divided(kind, made, layers, options) for kind in BLOCKS},
    }


def divided(kind: str, made: Any, layers: Any, options: Any) -> dict[str, Any]:
    from vllm.model_executor.models.config import MODELS_CONFIG_MAP
    from vllm.platforms import current_platform
    from vllm.platforms.interface import Platform
    from vllm.v1.attention.backends.flash_attn import FlashAttentionBackend
    from vllm.v1.attention.backends.utils import (
        get_supported_kv_cache_layouts,
        resolve_kv_cache_layout,
    )
    from vllm.v1.core import kv_cache_utils

    cache, found = made.cache_config, Platform._find_non_ssm_backends.__func__
    cache.kv_cache_layout = cache.mamba_page_size_padded = None
    cache.block_size = options.get("block_size", BLOCKS[kind])
    backends = {each.get_attn_backend() for each in layers.values()}
    if kind == "cpu":
        type(current_platform).update_block_size_for_backend(made)
    else:
        # The CPU widens the recurrence before this.
        cache.mamba_ssm_cache_dtype = options.get("mamba_ssm_cache_dtype", "auto")
        if hook := MODELS_CONFIG_MAP.get(made.model_config.architecture):
            hook.verify_and_update_config(made)
        backends = {each for each in backends if each.is_ssm()} | {FlashAttentionBackend}
        attending = classmethod(
            lambda cls, config: [FlashAttentionBackend] * bool(found(cls, config))
        )
        with mock.patch.object(Platform, "_find_non_ssm_backends", attending):
            Platform.update_block_size_for_backend(made)
    specs = {name: each.get_kv_cache_spec(made) for name, each in layers.items()}
    specs = {name: spec for name, spec in specs.items() if spec is not None}
    known = [each.name for each in get_supported_kv_cache_layouts(backends)]
    resolve_kv_cache_layout(made, [known], specs.values())
    groups = kv_cache_utils.get_kv_cache_groups(made, dict(specs))
    pool = kv_cache_utils.get_kv_cache_config_from_groups(made, groups, MEMORY)
    tokens, concurrency = kv_cache_utils.get_kv_cache_capacity(made, pool)
    return {
        "page": groups[0].kv_cache_spec.page_size_bytes,
        "blocks": pool.num_blocks,
        "tokens": tokens,
        "concurrency": round(concurrency, 4),
        "context": made.model_config.max_model_len,
    }


def join(devices: int) -> None:
    """Make this process the first of so many; no model asks the others while it is built."""
    from vllm import distributed

    # Whether there is a group of experts depends on the model.
    distributed.destroy_model_parallel()
    distributed.init_distributed_environment(1, 0, "tcp://127.0.0.1:29471", 0, backend="gloo")
    distributed.initialize_model_parallel(1, 1)
    distributed.get_tp_group().world_size = devices


def for_devices() -> Any:
    """Let experts without a gate be built, which the CPU cannot compute, and allocators be set, as Triton has them."""
    from vllm.model_executor.layers.fused_moe import config
    from vllm.triton_utils import triton

    triton.set_allocator = lambda *_: None
    platform = mock.Mock(wraps=config.current_platform)
    platform.is_cuda_alike.return_value = True
    return mock.patch.object(config, "current_platform", platform)


if __name__ == "__main__":
    main()
