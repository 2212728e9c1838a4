"""vLLM and LoRA adapters: flags, calls at run time, and what an adapter's own configuration rules out.

The rules are those of `PEFTHelper.validate_legal` in vllm/lora/peft_helper.py, so that a pin refuses what an engine
would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.domain.model import Lora, ServingValue
from toolkit.planning.engines.vllm_reserved import LORA_FLAGS

# It opens /v1/load_lora_adapter and /v1/unload_lora_adapter on the replica's loopback; the router passes neither on.
RUNTIME_VARIABLE = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
_UNSUPPORTED = {
    "use_dora": "DoRA",
    "lora_bias": "a bias of its own (lora_bias)",
    "alora_invocation_tokens": "activated LoRA (alora_invocation_tokens)",
    "layer_replication": "replicated layers (layer_replication)",
    "use_bdlora": "block-diagonal LoRA (use_bdlora)",
    "use_qalora": "QALoRA",
}
# Whole modules beside the matrices, which vLLM takes for classifiers alone.
_WHOLE_MODULES = {"classifier", "score"}


def lora_options(reserved: Lora | None) -> dict[str, ServingValue]:
    """Return the flags of a replica that takes adapters; none where it takes none."""
    if reserved is None:
        return {}
    return dict(zip(LORA_FLAGS, (True, reserved.max_active, reserved.max_rank), strict=True))


def module_words(modules: Mapping[str, str]) -> list[str]:
    """Return the words of the command line that load adapters, name -> directory, at the start."""
    if not modules:
        return []
    return ["--lora-modules", *(f"{name}={path}" for name, path in modules.items())]


def config_fault(config: Mapping[str, Any], reserved: Lora) -> str:
    """Return why vLLM would not load an adapter with this `adapter_config.json`; empty where it would."""
    if config.get("peft_type", "LORA") != "LORA":
        return f"it is no LoRA adapter but {config['peft_type']!r}"
    ranks = _ranks(config)
    if not ranks or not all(isinstance(each, int) and 0 < each <= 4096 for each in ranks):
        return "it names no rank `r`"
    if max(ranks) > reserved.max_rank:
        return f"its rank is {max(ranks)}, and replicas take {reserved.max_rank} at most"
    if config.get("bias", "none") != "none":
        return "it has biases, which the engine does not add"
    modules = config.get("modules_to_save") or []
    if not isinstance(modules, list) or set(map(str, modules)) - _WHOLE_MODULES:
        return "it replaces whole modules (modules_to_save)"
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in _INITS:
        return f"its weights begin from {init[:40]!r}, which changes the base model"
    unsupported = [words for name, words in _UNSUPPORTED.items() if config.get(name)]
    return f"the engine does not know {unsupported[0]}" if unsupported else ""


def _ranks(config: Mapping[str, Any]) -> Sequence[Any]:
    pattern = config.get("rank_pattern") or {}
    rank = config.get("r")
    return [rank, *(pattern.values() if isinstance(pattern, dict) else ())]
