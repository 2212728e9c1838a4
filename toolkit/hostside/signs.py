"""The signs of a replica's state: paths, metrics and log lines of its engine, as its slot's manifest says.

This is the hostside half of `toolkit.planning.engines`. Manifests of a former toolkit have no signs; their slots run
vLLM, whose signs stand here for them.
"""

from __future__ import annotations

import slot_manifest
from wire import Document

VLLM = {
    "health": "/health",
    "metrics": "/metrics",
    "load": ["vllm:num_requests_running", "vllm:num_requests_waiting"],
    "cache": "vllm:cache_config_info",
    "memory": [
        "KV cache size: ",
        "Available KV cache memory: ",
        "Model loading took ",
        "Graph capturing finished",
        "GiB for KV cache",
    ],
    "server": "serve",
    "progress": ["vllm:prompt_tokens", "vllm:generation_tokens", "vllm:kv_cache_usage_perc"],
    "core": "VLLM::",
    "ranks": r"_(TP|DCP|EP)\d+",
    "preemptions": "vllm:num_preemptions",
    "times": {
        "first": "vllm:time_to_first_token_seconds",
        "between": "vllm:inter_token_latency_seconds",
    },
    "flow": {
        "running": "vllm:num_requests_running",
        "waiting": "vllm:num_requests_waiting",
        "prompt": "vllm:prompt_tokens",
        "generated": "vllm:generation_tokens",
        "cache_use": "vllm:kv_cache_usage_perc",
    },
    "adapters": "",
    "fatal": ["EngineDeadError", "CUDA error", "torch.OutOfMemoryError"],
}


def signs(manifest: Document) -> Document:
    """Return the signs in a slot's manifest. Signs that a former toolkit did not write are those of vLLM."""
    body = {"model": manifest.get("model", ""), "prompt": "a", "max_tokens": 1, "temperature": 0}
    vllm = {**VLLM, "probe": {"path": "/v1/completions", "body": body}}
    told = manifest.get("signs")
    if isinstance(told, dict):
        return {**vllm, **told}
    address = ["--host", "127.0.0.1", "--port", str(manifest.get("port", 0))]
    return {**vllm, "ending": [*address, *manifest.get("release", {}).get("args", [])]}


def of_slot(root: str, program: str) -> Document:
    """Return the signs of the replica in a slot, `program` being model and slot joined by a dash."""
    return signs(slot_manifest.read(root, program))
