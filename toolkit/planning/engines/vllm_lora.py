"""vLLM and LoRA adapters: flags, calls at run time, and what an adapter's own configuration rules out.

The rules are those of `PEFTHelper.validate_legal` in vllm/lora/peft_helper.py, so that a pin refuses what an engine
would refuse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.domain.outside import shown
from toolkit.domain.registry.model import Lora, ServingValue
from toolkit.planning.engines.vllm_names import Flags

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
# The variable `lora_at_run_time` opens them on the replica's loopback; the router passes neither on.
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
_TOKENIZE = "/tokenize"
# Each with its directory as `root` and its base as `parent` (entrypoints/openai/models/serving.py).
LISTED = "/v1/models"
# Adapters that an engine keeps in the host's memory. It reads any other one from the disk when a request names it.
_KEPT = 16
_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
_UNSUPPORTED = {
    "use_dora": "DoRA",
    "lora_bias": "a bias of its own (lora_bias)",
    "alora_invocation_tokens": "activated LoRA (alora_invocation_tokens)",
    "layer_replication": "replicated layers (layer_replication)",
    "use_bdlora": "block-diagonal LoRA (use_bdlora)",
    "use_qalora": "QALoRA",
}
# Models whose embeddings and head take adapters too: `embedding_modules` of their classes in model_executor/models,
# their own or inherited (vLLM 0.32).
_WITH_EMBEDDINGS = re.compile(
    r"(?:Apertus|Cohere2?|DeciLM|Ernie4_5|Exaone4?|ExaoneMo[eE]|FalconH1|Granite\w*|HyperCLOVAX|IQuestCoder|InternLM3"
    r"|Jamba|K2Horizon|LLaMA|Llama4?|Lfm2(?:Moe)?|MiniCPM3?|Mixtral|Nemotron\w*|Param2MoE|Phi3|PhiMoE"
    r"|Qwen3(?:_5)?(?:Moe)?|Solar|TeleChat[23]|TeleFLM)ForCausalLM"
)
# Whole modules beside the matrices, which vLLM takes for classifiers alone.
_WHOLE_MODULES = {"classifier", "score"}


def taken_in(model: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Return path and body of requests whose answers come once earlier requests have their adapters, or none.

    The engine looks at the name of a request's model, lets a queue of threads make tokens of its text, and then looks
    for the adapter (entrypoints/openai/chat_completion/serving.py). These pass the same queue and compute nothing. A
    model without a template for chats answers the second alone.
    """
    chat = {"model": model, "messages": [{"role": "user", "content": "."}]}
    return (_TOKENIZE, chat), (_TOKENIZE, {"model": model, "prompt": "."})


def lora_options(reserved: Lora | None, flags: Flags) -> dict[str, ServingValue]:
    """Return the options of a replica that takes adapters; none where it takes none."""
    if reserved is None:
        return {}
    return {
        flags.lora: True,
        flags.active_loras: reserved.max_active,
        # One more than are computed at once: a new one proves itself beside them.
        flags.kept_loras: max(_KEPT, reserved.max_active + 1),
        flags.lora_rank: reserved.max_rank,
    }


def module_words(modules: Mapping[str, str], flags: Flags) -> list[str]:
    """Return the words of the command line that load adapters, name -> directory, at the start."""
    if not modules:
        return []
    return [f"--{flags.lora_modules}", *(f"{name}={path}" for name, path in modules.items())]


def config_fault(config: Mapping[str, Any], reserved: Lora) -> str:
    """Return why vLLM would not load an adapter with this `adapter_config.json`; empty where it would."""
    if config.get("peft_type", "LORA") != "LORA":
        return f"it is no LoRA adapter but {shown(config['peft_type'])}"
    ranks = _ranks(config)
    if not ranks or not all(type(each) is int and 0 < each <= 4096 for each in ranks):
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
        return f"its weights begin from {shown(init)}, which changes the base model"
    unsupported = [words for name, words in _UNSUPPORTED.items() if config.get(name)]
    return f"the engine does not know {unsupported[0]}" if unsupported else ""


def adapts_embeddings(config: Mapping[str, Any]) -> bool:
    """Return whether the embeddings and the head of a model with this `config.json` take adapters too."""
    named = config.get("architectures")
    found = named if isinstance(named, list) else []
    return any(isinstance(each, str) and _WITH_EMBEDDINGS.fullmatch(each) for each in found)


def _ranks(config: Mapping[str, Any]) -> Sequence[Any]:
    pattern = config.get("rank_pattern") or {}
    rank = config.get("r")
    return [rank, *(pattern.values() if isinstance(pattern, dict) else ())]
