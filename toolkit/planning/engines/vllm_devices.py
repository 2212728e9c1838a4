"""The use of devices by a replica of vLLM: its spread over them, its compilation, its part of their memory."""

from __future__ import annotations

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.registry.model import ServingValue, Version
from toolkit.planning.engines import vllm_options
from toolkit.planning.engines.vllm_names import Flags


def parallel(version: Version, accelerator: Accelerator, flags: Flags) -> dict[str, ServingValue]:
    """Return how a replica is spread over its devices.

    Over several hosts: tensor parallel inside a host, whose devices are close, and a stage of a pipeline for each
    host, as vLLM advises. On the CPU it is tensor parallel alone: with a pipeline between
    two CPU hosts vLLM 0.32 starts, and its second stage fails at the first request (no `intermediate_tensors`).
    """
    devices, hosts = version.resources.devices, version.resources.hosts
    options: dict[str, ServingValue] = {}
    if not accelerator.traits.has_devices:
        if hosts > 1:
            options[flags.tensor_parallel] = hosts
    else:
        if devices > 1:
            options[flags.tensor_parallel] = devices
        if hosts > 1:
            options[flags.pipeline_parallel] = hosts
    if hosts > 1:
        # vLLM's own executor for several hosts, which needs no cluster of Ray beside it.
        options[flags.executor] = "mp"
    return options


def is_eager(version: Version, accelerator: Accelerator, flags: Flags) -> bool:
    """Whether models are computed without being compiled: on a CPU that takes a C++ compiler, and servers have none."""
    return version.serving.get(flags.eager, not accelerator.traits.has_devices) is True


def utilization(version: Version, facts: HostFacts, flags: Flags, vocabulary: int | None) -> float:
    """Return the share of a device that gives a replica the stated memory, so that a second replica fits."""
    wanted = version.resources.memory / version.resources.devices
    able = [device for device in facts.devices if device.memory >= wanted]
    if not able:
        return 0.9
    device = min(able, key=lambda each: each.memory)
    requests = version.serving.get(flags.sequences)
    return vllm_options.share_of_device(wanted, device.memory, device.name, requests, vocabulary)
