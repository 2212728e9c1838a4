"""Flags and variables of vLLM that a registry may never set, each with the reason."""

from __future__ import annotations

_ADDRESS = "the slot decides where a replica listens"
_PINNED = "the version's source and revision decide it"
_ROUTER = "the router is the one door, and it decides this"
_CODE = "it loads code that nothing pins"
_SPAN = "write how many hosts run it together as `hosts` under `resources`"
_PRIVATE = "secrets do not belong here"
_METRICS = "drains, `status` and the watch over hung engines read the engine's metrics"
_DEVICES = "the slot decides which devices a replica takes"
_TOOLKIT = "the toolkit sets it for every replica"
_OFFLINE = "hosts reach no Hub"
RESERVED_FLAGS = {
    "host": _ADDRESS,
    "port": _ADDRESS,
    "uds": _ADDRESS,
    "grpc": _ADDRESS,
    "grpc-port": _ADDRESS,
    "config": "flags stand here in the registry",
    "model": _PINNED,
    "tokenizer": _PINNED,
    "hf-config-path": _PINNED,
    "revision": _PINNED,
    "code-revision": _PINNED,
    "tokenizer-revision": _PINNED,
    "download-dir": "the host's snapshot is served, nothing is downloaded there",
    "hf-token": _PRIVATE,
    "api-key": _PRIVATE,
    "served-model-name": "the model's name in the registry is the public name",
    "lora-modules": _PINNED,
    "default-mm-loras": _PINNED,
    "root-path": _ROUTER,
    "middleware": _CODE,
    "tool-parser-plugin": _CODE,
    "reasoning-parser-plugin": _CODE,
    "worker-cls": _CODE,
    "worker-extension-cls": _CODE,
    "scheduler-cls": _CODE,
    "trust-remote-code": "write it under the version's `permission`, with a reason",
    "nnodes": _SPAN,
    "node-rank": _SPAN,
    "master-addr": _SPAN,
    "master-port": _SPAN,
    "headless": _SPAN,
    "device-ids": _DEVICES,
    "disable-log-stats": _METRICS,
    "allow-credentials": _ROUTER,
    "allowed-headers": _ROUTER,
    "allowed-methods": _ROUTER,
    "allowed-origins": _ROUTER,
    "allowed-local-media-path": "clients would read files of the host",
    "allowed-media-domains": "a replica reaches no network",
    "enable-ssl-refresh": _ROUTER,
    "ssl-ca-certs": _ROUTER,
    "ssl-cert-reqs": _ROUTER,
    "ssl-certfile": _ROUTER,
    "ssl-ciphers": _ROUTER,
    "ssl-keyfile": _ROUTER,
}
# Flags that `lora` of the registry sets for versions with `lora` or `adapters`: the switch, the number, the rank.
LORA_FLAGS = ("enable-lora", "max-loras", "max-cpu-loras", "max-lora-rank")
ENGINE_ENV = {
    "VLLM_SERVER_DEV_MODE": "it opens endpoints that show and change the engine",
    "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH": "a dead engine must be seen as dead",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "clients would load adapters that nothing pins",
    "VLLM_HOST_IP": _ADDRESS,
    "VLLM_PORT": _ADDRESS,
    "VLLM_LOOPBACK_IP": _ADDRESS,
    "VLLM_CACHE_ROOT": _TOOLKIT,
    "VLLM_NO_USAGE_STATS": _TOOLKIT,
    "VLLM_DO_NOT_TRACK": _TOOLKIT,
    "VLLM_USAGE_STATS_SERVER": "no usage statistics are sent",
    "VLLM_MODEL_REDIRECT_PATH": _PINNED,
    "VLLM_USE_MODELSCOPE": _OFFLINE,
    "VLLM_TEST_FORCE_LOAD_FORMAT": _PINNED,
    "CUDA_VISIBLE_DEVICES": _DEVICES,
    "DO_NOT_TRACK": _TOOLKIT,
    "TRANSFORMERS_OFFLINE": _OFFLINE,
    "TORCHINDUCTOR_CACHE_DIR": _TOOLKIT,
    "TRITON_CACHE_DIR": _TOOLKIT,
    "CUDA_CACHE_PATH": _TOOLKIT,
    "FLASHINFER_WORKSPACE_BASE": _TOOLKIT,
}
# Examples in messages and documents.
EXAMPLE_FLAG = "max-model-len"
EXAMPLE_VARIABLE = "VLLM_LOGGING_LEVEL"
EXAMPLE_PERMITTED = ("kv-transfer-config", "VLLM_PLUGINS")
