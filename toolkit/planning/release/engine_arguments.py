"""A version's serving options -> the arguments and environment of vLLM."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.domain.facts import HostFacts
from toolkit.domain.model import Accelerator, ServingValue, Version

# Seconds that vLLM itself still gives running requests after SIGTERM. The router has drained the slot
# before; this is for a stop that nobody announced.
SHUTDOWN_TIMEOUT = 30

# Bytes that vLLM's processes take on a CPU host beside weights and cache.
CPU_RUNTIME = 2 * 2**30


def engine_arguments(
    version: Version, accelerator: Accelerator, facts: HostFacts
) -> tuple[str, ...]:
    """Return what follows `vllm serve SNAPSHOT --host 127.0.0.1 --port PORT`."""
    options: dict[str, ServingValue] = {
        "served-model-name": version.model,
        "shutdown-timeout": SHUTDOWN_TIMEOUT,
        # The router asks /health once a second and writes the access log.
        "disable-uvicorn-access-log": True,
    }
    options.update(_parallel(version, accelerator))
    if accelerator is Accelerator.CUDA:
        options["gpu-memory-utilization"] = _utilization(version, facts)
    if _is_eager(version, accelerator):
        options["enforce-eager"] = True
    if version.permission.trust_remote_code:
        options["trust-remote-code"] = True
    options.update(version.serving)
    return tuple(word for name, value in options.items() for word in _words(name, value))


def engine_environment(
    version: Version, accelerator: Accelerator, weights: int
) -> Mapping[str, str]:
    """Return the environment beyond what every replica gets; the registry's word is last.

    `weights` is the snapshot's size in bytes.
    """
    if accelerator is not Accelerator.CPU:
        return dict(version.env)
    # vLLM would otherwise take most of the machine's memory for its cache, whatever else runs on it.
    share = weights // version.resources.hosts
    cache = max(1, (version.resources.memory - share - CPU_RUNTIME) // 2**30)
    defaults = {
        "VLLM_CPU_KVCACHE_SPACE": str(cache),
        # Two replicas side by side would otherwise both bind their threads to the same cores.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }
    if _is_eager(version, accelerator):
        # vLLM still compiles single functions when a request first needs them (logprobs, some sampling, tensor
        # parallel embeddings), and on a host without a C++ compiler that request ends the engine.
        defaults["TORCHDYNAMO_DISABLE"] = "1"
    return {**defaults, **version.env}


def _parallel(version: Version, accelerator: Accelerator) -> dict[str, ServingValue]:
    """Return how a replica is spread over its devices.

    Over several hosts: tensor parallel inside a host, whose devices are close, and a stage of a pipeline for each
    host, as vLLM advises. On the CPU it is tensor parallel alone: with a pipeline between
    two CPU hosts vLLM 0.32 starts, and its second stage fails at the first request (no `intermediate_tensors`).
    """
    devices, hosts = version.resources.devices, version.resources.hosts
    options: dict[str, ServingValue] = {}
    if accelerator is Accelerator.CPU:
        if hosts > 1:
            options["tensor-parallel-size"] = hosts
    else:
        if devices > 1:
            options["tensor-parallel-size"] = devices
        if hosts > 1:
            options["pipeline-parallel-size"] = hosts
    if hosts > 1:
        # vLLM's own executor for several hosts, which needs no cluster of Ray beside it.
        options["distributed-executor-backend"] = "mp"
    return options


def _is_eager(version: Version, accelerator: Accelerator) -> bool:
    """Whether models are computed without being compiled: on a CPU that takes a C++ compiler, and servers have none."""
    return version.serving.get("enforce-eager", accelerator is Accelerator.CPU) is True


def _utilization(version: Version, facts: HostFacts) -> float:
    """Return the share of a device that the version asked for, so that a second one fits beside it."""
    share = version.resources.memory / version.resources.devices
    able = [device.memory for device in facts.devices if device.memory >= share]
    return max(0.05, min(0.95, round(share / min(able), 2))) if able else 0.9


def _words(name: str, value: ServingValue) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        return [flag]
    if value is False:
        return [f"--no-{name.replace('_', '-')}"]
    if isinstance(value, tuple):
        return [flag, *value]
    return [flag, str(value)]
