"""Whether a host can be provisioned at all: each reason why not, with the next command to type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.domain.accelerator import MAKERS
from toolkit.domain.hosts.facts import Device, HostFacts
from toolkit.domain.quantity import format_seconds, format_size
from toolkit.errors import NothingSuitableError

# The oldest version of each system whose packages and systemd the roles are written for: the router needs HAProxy 2.6.
SUPPORTED = {"debian": ("Debian", 12.0), "ubuntu": ("Ubuntu", 24.04)}
ARCHITECTURE = "x86_64"
LARGEST_SKEW = 300.0
LEAST_DISK = 10**9
# An engine has tens of thousands of files; below this not even the first packages fit.
LEAST_FILES = 10_000
LEAST_TMP = 50 * 10**6
HOT = 90
SERVES_ON = "takes no changes: it serves on, and neither changes nor takes over"
READ_ONLY = "look there with dmesg, and mount it for writing"
_REBOOT = "reboot the host; should it stay lost, have the device replaced"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """An obstacle to provisioning a host, and its remedy."""

    words: str
    hint: str


def preflight(facts: HostFacts, now: float, driver_package: str = "") -> tuple[Obstacle, ...]:
    """Return the obstacles to provisioning the host, the gravest first; none where it can be provisioned.

    `now` is this machine's clock in seconds since the epoch, at the time of the observation; `driver_package` what the
    fleet file wants installed as the driver of the host's devices.
    """
    return (
        *_system(facts),
        *_accelerators(facts),
        *clock_faults(facts.observed_at - now),
        *_disk(facts),
        *device_faults(facts, driver_package),
    )


def device_faults(facts: HostFacts, driver_package: str = "") -> tuple[Obstacle, ...]:
    """Return what is wrong with the host's devices and their driver, unless a `driver_package` is to be installed."""
    return (
        *(() if driver_package else _driver(facts)),
        *(fault for device in facts.devices for fault in _health(device)),
    )


def require_sound(facts: HostFacts, now: float, driver_package: str = "") -> None:
    """Raise NothingSuitableError with the gravest fault of a host that cannot be provisioned; see `preflight`."""
    for fault in preflight(facts, now, driver_package):
        raise NothingSuitableError(f"{facts.name}: {fault.words}", hint=fault.hint)


def remarks(facts: HostFacts) -> tuple[str, ...]:
    """Return conditions of the host that are no obstacle and deserve a look."""
    return tuple(
        f"device {device.index} has {device.temperature} degrees"
        for device in facts.devices
        if device.temperature is not None and device.temperature >= HOT
    )


def reason_to_provision(facts: HostFacts, digest: str) -> str:
    """Return why a host must be converged; empty where it matches the roles and settings of this toolkit."""
    if not facts.converged:
        return "it was never provisioned"
    if facts.converged != digest:
        return "its roles or settings changed"
    if facts.router.fault:
        return f"its router {facts.router.fault}"
    return "" if facts.router.bind else "its router's configuration is gone"


def driver_branch(driver: str) -> int:
    """Return the first number of a driver's version, 0 where there is none."""
    first = driver.partition(".")[0]
    return int(first) if first.isdecimal() else 0


def _system(facts: HostFacts) -> Iterator[Obstacle]:
    known = SUPPORTED.get(facts.os_id)
    names = " and ".join(f"{name} {oldest:g}" for name, oldest in SUPPORTED.values())
    # Debian's next release has no number until it is released.
    if known is None or (facts.os_version and _number(facts.os_version) < known[1]):
        yield Obstacle(
            f"{facts.os} is not supported; supported are {names} or newer",
            "install one of them, or take the host out of the fleet file",
        )
    if facts.architecture != ARCHITECTURE:
        yield Obstacle(
            f"its processor is {facts.architecture}; engines are locked for {ARCHITECTURE}",
            "take the host out of the fleet file",
        )
    if facts.init == "systemd" and not facts.confines:
        yield Obstacle(
            "it runs control groups of version 1, under which a replica could reach any address",
            "boot it with systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
        )


def _accelerators(facts: HostFacts) -> Iterator[Obstacle]:
    if facts.accelerators and not MAKERS.keys() & set(facts.accelerators):
        makers = " and ".join(each.upper() for each in facts.accelerators)
        yield Obstacle(
            f"its accelerators are {makers}'s, which are not supported yet",
            "take the host out of the fleet file",
        )


def clock_faults(skew: float) -> Iterator[Obstacle]:
    """Yield what is wrong with a clock that is so many seconds ahead of this machine's."""
    if abs(skew) > LARGEST_SKEW:
        which = "ahead of" if skew > 0 else "behind"
        yield Obstacle(
            f"its clock is {format_seconds(abs(skew))} {which} this machine's",
            "set it there: sudo timedatectl set-ntp true; or look at this machine's: date",
        )


def _disk(facts: HostFacts) -> Iterator[Obstacle]:
    if facts.disk_free < LEAST_DISK:
        yield Obstacle(
            f"its disk is full: {format_size(facts.disk_free)} of {format_size(facts.disk_total)} are free, "
            f"provisioning needs {format_size(LEAST_DISK)}",
            "toolkit prune, or make room there: df -h",
        )
    if facts.files_free is not None and facts.files_free < LEAST_FILES:
        yield Obstacle(
            f"its disk takes only {facts.files_free:,} more files, an engine has tens of thousands",
            "toolkit prune, or remove files there: df -i",
        )
    if facts.read_only:
        yield Obstacle("its disk takes no changes", READ_ONLY)
    if facts.noexec:
        yield Obstacle(
            "its disk for engines is mounted noexec: no program runs there",
            "mount it there with exec, or name a directory on another disk as toolkit_root",
        )
    if facts.tmp_free is not None and facts.tmp_free < LEAST_TMP:
        yield Obstacle(
            f"its /tmp is full: {format_size(facts.tmp_free)} are free, "
            f"provisioning needs {format_size(LEAST_TMP)}",
            "make room there: df -h /tmp",
        )


def _driver(facts: HostFacts) -> Iterator[Obstacle]:
    for maker in dict.fromkeys((*facts.accelerators, *(each.maker for each in facts.devices))):
        driver = MAKERS[maker].traits.driver if maker in MAKERS else None
        if driver is None:
            continue
        name_one = f"name a {driver.setting} for it in the fleet file, or install one there"
        if facts.driver_fault and facts.devices:
            yield Obstacle(f"its {driver.name} has lost a device: {facts.driver_fault}", _REBOOT)
        elif facts.driver_fault:
            yield Obstacle(f"its {driver.name} does not work: {facts.driver_fault}", name_one)
        versions = [each.driver for each in facts.devices if each.maker == maker]
        found = min(versions, key=driver_branch, default="")
        if found and driver_branch(found) < driver.oldest:
            yield Obstacle(
                f"its {driver.name} is {found}; {driver.runtime} needs {driver.oldest} or newer",
                name_one,
            )


def _health(device: Device) -> Iterator[Obstacle]:
    name, accelerator = f"device {device.index} ({device.name})", MAKERS.get(device.maker)
    driver = accelerator.traits.driver if accelerator else None
    reset = driver.reset.format(index=device.index) if driver else "toolkit hosts"
    if device.fault == "split":
        whole = driver.whole.format(index=device.index) if driver else "toolkit hosts"
        yield Obstacle(
            f"{name} is split into parts (MIG), and replicas take whole devices",
            f"make it whole there: {whole}",
        )
    elif device.fault:
        yield Obstacle(
            f"{name} does not say its memory: {device.fault}",
            f"reset it there: {reset}; or reboot the host",
        )
    elif device.remapping == "failed":
        yield Obstacle(f"{name} has no spare memory rows left", "have the device replaced")
    elif device.memory_errors:
        yield Obstacle(
            f"{name} has {device.memory_errors} uncorrected memory errors",
            f"reset it there: {reset}",
        )
    elif device.remapping == "pending":
        yield Obstacle(
            f"{name} waits for a reset to replace memory rows",
            f"reset it there: {reset}",
        )


def _number(version: str) -> float:
    try:
        return float(version)
    except ValueError:
        return 0.0
