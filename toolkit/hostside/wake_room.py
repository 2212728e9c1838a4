"""Whether replicas that wake have room: slots keep their devices, and others may have taken the memory meanwhile."""

from __future__ import annotations

from collections.abc import Collection

import accelerators
import processes
import slot_manifest
from memory import SYSTEM_RESERVE, available

# The place of a replica's memory beside the numbers of devices: the system.
_SYSTEM = -1


def lacking(root: str, programs: Collection[str], starting: Collection[str]) -> str:
    """Return why the replicas of `programs` cannot start together, in words; empty where they can, or nobody knows.

    Those that are `starting` still take what their releases need beyond what they have already.
    """
    wanted, coming = _sums(root, programs, {}), dict[int, int]()
    on_devices = any(place != _SYSTEM for place in wanted)
    if starting:
        coming = _sums(root, starting, accelerators.users() if on_devices else {}, less=True)
    free = {_SYSTEM: available() - SYSTEM_RESERVE}
    if on_devices:
        _, devices, _ = accelerators.devices(accelerators.makers())
        free.update({each["index"]: each["memory_free"] for each in devices})
    for place, needed in sorted(wanted.items()):
        left = free.get(place, needed) - coming.get(place, 0)
        if needed > left:
            where = "memory" if place == _SYSTEM else f"device {place}"
            return f"{_size(needed)} of {where} needed, {_size(max(left, 0))} free"
    return ""


def _sums(
    root: str, programs: Collection[str], users: dict[int, int], *, less: bool = False
) -> dict[int, int]:
    """Return the bytes that the releases of `programs` need of each place, `less` what they have of it already."""
    found: dict[int, int] = {}
    for program in programs:
        manifest = slot_manifest.read(root, program)
        release, devices = manifest.get("release"), manifest.get("devices") or [_SYSTEM]
        memory = release.get("memory") if isinstance(release, dict) else None
        if not isinstance(memory, int):
            continue
        has = _taken(root, program, devices, users) if less else 0
        for place in devices:
            found[place] = found.get(place, 0) + max(0, memory - has) // len(devices)
    return found


def _taken(root: str, program: str, devices: list[int], users: dict[int, int]) -> int:
    pid = processes.state(root, program)["pid"]
    if devices == [_SYSTEM]:
        return processes.resident(pid)
    return sum(users.get(each, 0) for each in processes.tree(pid))


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
