"""The choice of a host's accelerator and of its engine lock, and the difference between two locks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.domain.accelerator import MAKERS, Accelerator
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import LockedPackage
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.quantity import format_size, stated_size
from toolkit.domain.registry.model import Version
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.errors import InputError, NothingSuitableError


@dataclass(frozen=True, slots=True)
class PackageChange:
    """The difference of one package between two locks; an empty version means that the package is not there."""

    name: str
    before: str
    after: str


def choose_lock(
    locks: Iterable[EngineLock], engine: EngineSpec, accelerator: Accelerator, python: str
) -> EngineLock:
    """Return the lock for `engine` on a host whose interpreter is `python` (`3.11`).

    The first match wins; callers put preferred locks first. Raises InputError for an engine without any lock, and
    NothingSuitableError if only this Python or accelerator lacks one.
    """
    named = [lock for lock in locks if (lock.name, lock.version) == (engine.name, engine.version)]
    title = f"{engine.name} {engine.version}"
    command = f"toolkit engine lock {engine.version} --accelerator {accelerator} --python {python}"
    if not named:
        raise InputError(f"no lock for the engine {title}", hint=command)
    for lock in named:
        if (lock.accelerator, lock.python) == (accelerator, python):
            return lock
    have = ", ".join(f"{lock.accelerator} on Python {lock.python}" for lock in named)
    raise NothingSuitableError(
        f"no lock of {title} for {accelerator} on Python {python}; there is one for {have}",
        hint=command,
    )


def find_locks(locks: Iterable[EngineLock], wanted: str) -> tuple[EngineLock, ...]:
    """Return the locks that an id (`vllm-0.32.0-cpu-py311-1a2b3c4d`) or a version names.

    Raises InputError where nothing matches.
    """
    known = tuple(locks)
    found = tuple(lock for lock in known if wanted in (lock.id, lock.version))
    if not found:
        names = ", ".join(sorted({lock.version for lock in known})) or "none"
        raise InputError(
            f"no engine {wanted!r}; versions with a lock: {names}", hint="toolkit engine list"
        )
    return found


def compare_locks(
    before: Iterable[LockedPackage], after: Iterable[LockedPackage]
) -> tuple[PackageChange, ...]:
    """Return the packages whose version or digests differ, by name.

    Where only the digests differ, both versions are equal in the change.
    """
    old = {package.name: package for package in before}
    new = {package.name: package for package in after}
    changes = []
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was and now and (was.version, set(was.sha256)) == (now.version, set(now.sha256)):
            continue
        changes.append(PackageChange(name, was.version if was else "", now.version if now else ""))
    return tuple(changes)


def system_packages(lock: EngineLock) -> list[dict[str, str]]:
    """Return the system packages that an engine needs: `name`, and the `path` of a file that the package brings."""
    return [
        {"name": each.package, "path": each.path}
        for each in lock.accelerator.traits.libraries
        if each.package
    ]


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
    devices = ", ".join(
        f"{device.name} ({device.fault or format_size(device.memory)})" for device in facts.devices
    )
    return f"{devices}, {memory}"
