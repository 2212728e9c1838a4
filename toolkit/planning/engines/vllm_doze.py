"""vLLM's sleep mode: which replicas can doze, that is, give their device back and keep their weights.

It is level 1: the weights go to the host's memory, and the cache is dropped (device_allocator/sleep_mode_backend.py).
"""

from __future__ import annotations

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.domain.registry.model import Version
from toolkit.errors import NothingSuitableError
from toolkit.planning.engines.vllm_names import Flags

SOCKET = "doze.sock"


def can_doze(release: Release, flags: Flags) -> bool:
    """Return whether a replica of the release can doze.

    So far that is known of one on one device, whose one server knows of its sleep, and without room for adapters.
    """
    unknown = {f"--{name}" for name in (flags.servers, flags.data_parallel, flags.lora)}
    return (
        f"--{flags.sleep}" in release.args
        and Accelerator(release.accelerator) is Accelerator.CUDA
        and release.devices == 1
        and release.span is None
        and not unknown.intersection(release.args)
    )


def require_device(version: Version, accelerator: Accelerator, flags: Flags) -> None:
    """Raise NothingSuitableError where a version asks for sleep mode and its engine has none there.

    vLLM itself refuses to start then, a minute later (config/model.py).
    """
    if version.serving.get(flags.sleep) is True and accelerator is not Accelerator.CUDA:
        raise NothingSuitableError(
            f"{version.title} has {flags.sleep} in its serving options, and on {accelerator} engines cannot sleep",
            hint=f"take {flags.sleep} out of serving, or name hosts with a GPU: --host HOST",
        )
