"""Which of the accelerators a version runs on does a host have."""

from __future__ import annotations

from toolkit.domain.facts import HostFacts
from toolkit.domain.model import Accelerator, Version
from toolkit.domain.quantity import format_size
from toolkit.errors import NothingSuitableError


def choose_accelerator(version: Version, facts: HostFacts) -> Accelerator:
    """Return the first accelerator of the version that the host has and that can hold it at all.

    "At all" counts the whole memory, whoever uses it now. Raises NothingSuitableError, saying what the
    version needs and what is there; nothing has been downloaded by then.
    """
    for accelerator in version.resources.accelerators:
        if accelerator is Accelerator.CPU and facts.memory >= version.resources.memory:
            return accelerator
        share = version.resources.memory / version.resources.devices
        able = [device for device in facts.devices if device.memory >= share]
        if accelerator is Accelerator.CUDA and len(able) >= version.resources.devices:
            return accelerator
    raise NothingSuitableError(
        f"{version.title} does not fit on {facts.name}: it needs {describe_needs(version)}; "
        f"there is {describe_host(facts)}",
        hint=f"choose a smaller model (toolkit registry list) or a host that has it; "
        f"needs are stated under `resources` of {version.model} in the registry",
    )


def describe_needs(version: Version) -> str:
    """Return `20.0 GB on 1 CUDA device or 16 GB of memory on the CPU`."""
    size, count = format_size(version.resources.memory), version.resources.devices
    words = {
        Accelerator.CUDA: f"{size} on {count} CUDA device{'s' if count > 1 else ''}",
        Accelerator.CPU: f"{size} of memory on the CPU",
    }
    return " or ".join(words[accelerator] for accelerator in version.resources.accelerators)


def describe_host(facts: HostFacts) -> str:
    """Return what a host has to compute with."""
    memory = f"{facts.cpus} CPU cores with {format_size(facts.memory)} of memory"
    if not facts.devices:
        return f"no NVIDIA device, {memory}"
    devices = ", ".join(f"{device.name} ({format_size(device.memory)})" for device in facts.devices)
    return f"{devices}, {memory}"
