"""Flags and variables of vLLM that a registry may not set, each with the reason."""

from __future__ import annotations

_ADDRESS = "the slot decides where a replica listens"
_PINNED = "the version's source and revision decide it"
_ROUTER = "the router is the one door, and it decides this"
_CODE = "it loads code that nothing pins"
_SPAN = "write how many hosts run it together as `hosts` under `resources`"
RESERVED_FLAGS = {
    "host": _ADDRESS,
    "port": _ADDRESS,
    "uds": _ADDRESS,
    "config": "flags stand here in the registry",
    "model": _PINNED,
    "tokenizer": _PINNED,
    "hf-config-path": _PINNED,
    "revision": _PINNED,
    "code-revision": _PINNED,
    "tokenizer-revision": _PINNED,
    "download-dir": "the host's snapshot is served, nothing is downloaded there",
    "hf-token": "secrets do not belong here",
    "api-key": "secrets do not belong here",
    "served-model-name": "the model's name in the registry is the public name",
    "lora-modules": _PINNED,
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
    "allow-credentials": _ROUTER,
    "enable-ssl-refresh": _ROUTER,
}
# Flags of their own, although a reserved one begins like them.
WHOLE_FLAGS = ("reasoning-parser",)
RESERVED_PREFIXES = {"ssl-": _ROUTER, "allowed-": _ROUTER}
ENGINE_ENV = {
    "VLLM_SERVER_DEV_MODE": "it opens endpoints that show and change the engine",
    "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH": "a dead engine must be seen as dead",
}
# Examples in messages and documents.
EXAMPLE_FLAG = "max-model-len"
EXAMPLE_VARIABLE = "VLLM_LOGGING_LEVEL"
