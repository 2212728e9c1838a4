"""The choice of an accelerator that a version allows and a host has."""

from __future__ import annotations

from toolkit.domain.accelerator import MAKERS, Accelerator
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.quantity import format_size, stated_size
from toolkit.domain.registry.model import Version
from toolkit.errors import NothingSuitableError


def choose_accelerator(version: Version, facts: HostFacts) -> Accelerator:
    """Return the first accelerator of the version that the host has and that can hold it at all.

    "At all" counts the whole memory, used or not. Raises NothingSuitableError with the version's needs and the host's
    means, before any download.
    """
    for accelerator in version.resources.accelerators:
        if _can_hold(version, accelerator, facts):
            return accelerator
    raise NothingSuitableError(
        f"{version.title} does not fit on {facts.name}: it needs {describe_needs(version)}; "
        f"there is {describe_host(facts)}",
        hint=f"choose a smaller model (toolkit registry list) or a host that has it; "
        f"needs are stated under `resources` of {version.model} in the registry",
    )


def _can_hold(version: Version, accelerator: Accelerator, facts: HostFacts) -> bool:
    needs, maker = version.resources, accelerator.traits.maker
    if not maker:
        return facts.memory >= needs.memory
    share = needs.memory / needs.devices
    able = [each for each in facts.devices if each.maker == maker and each.memory >= share]
    return len(able) >= needs.devices


def describe_needs(version: Version) -> str:
    """Return `20.0 GB on 1 CUDA device or 16 GB of memory on the CPU`."""
    size, count = stated_size(version.resources.memory), version.resources.devices
    places = (
        f"on {count} {each.traits.device}{'s' if count > 1 else ''}"
        if each.traits.has_devices
        else f"of memory on the {each.traits.device}"
        for each in version.resources.accelerators
    )
    return " or ".join(f"{size} {place}" for place in places)


def describe_host(facts: HostFacts) -> str:
    """Return the devices, cores and memory of a host in words."""
    memory = f"{facts.cpus} CPU cores with {format_size(facts.memory)} of memory"
    if not facts.devices:
        return f"no {' or '.join(each.upper() for each in MAKERS)} device, {memory}"
    devices = ", ".join(f"{device.name} ({format_size(device.memory)})" for device in facts.devices)
    return f"{devices}, {memory}"
