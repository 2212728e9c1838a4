"""The accelerators that engines compute on, one row each.

Another one takes a row here, a collector of its facts in `toolkit/hostside/accelerators.py`, and engine locks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Accelerator(StrEnum):
    """The device type of an engine; each has its own engine locks, named after it."""

    CUDA = "cuda"
    CPU = "cpu"

    @property
    def traits(self) -> Traits:
        """The properties of the accelerator."""
        return TRAITS[self]


@dataclass(frozen=True, slots=True)
class Library:
    """A part of the system that engines need: `looked_for` on hosts, as hostside looks.

    `package` is the Debian package that brings it to `path`, which is relative for one of the headers of the host's
    Python. Both are empty for what a driver brings.
    """

    looked_for: str
    package: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver of an accelerator's devices: its name, and the `oldest` branch that runs the engines' `runtime`.

    `role` provides it. `setting` is the host's setting that names the package to install, `reset` the command that
    resets device `{index}`, `whole` the one that ends its division into parts.
    """

    name: str
    role: str
    setting: str
    oldest: int
    runtime: str
    reset: str
    whole: str


@dataclass(frozen=True, slots=True)
class Traits:
    """The properties of an accelerator.

    `maker` is the maker of its devices, as hostside reports it; empty where engines compute in the host's own memory.
    `device` is what people call one. `variable` is the environment variable that gives devices to a process. `nodes`
    are the device nodes that its sandbox lets it open; `unit` ends the name of the unit that makes these nodes.
    `niceness` is that of an engine's process. `wheels` is how many bytes an engine's packages take at most.
    """

    maker: str
    device: str
    libraries: tuple[Library, ...]
    wheels: int
    variable: str = ""
    nodes: str = ""
    unit: str = ""
    niceness: int = 0
    driver: Driver | None = None

    @property
    def has_devices(self) -> bool:
        """Whether memory is that of devices, and not the host's."""
        return bool(self.maker)


TRAITS: Mapping[Accelerator, Traits] = {
    Accelerator.CUDA: Traits(
        maker="nvidia",
        device="CUDA device",
        libraries=(
            Library("libcuda.so.1"),
            Library("cc", "gcc", "/usr/bin/cc"),
            Library("stdlib.h", "libc6-dev", "/usr/include/stdlib.h"),
            Library("Python.h", "python3-dev", "Python.h"),
        ),
        wheels=8 * 10**9,
        variable="CUDA_VISIBLE_DEVICES",
        nodes="char-nvidia*",
        unit="nvidia",
        driver=Driver(
            name="NVIDIA driver",
            role="nvidia_driver",
            setting="nvidia_driver_package",
            oldest=580,
            runtime="CUDA 13",
            reset="sudo nvidia-smi --gpu-reset -i {index}",
            whole="sudo nvidia-smi -i {index} -mig 0",
        ),
    ),
    Accelerator.CPU: Traits(
        maker="",
        device="CPU",
        libraries=(Library("libnuma.so.1", "libnuma1", "/usr/lib/x86_64-linux-gnu/libnuma.so.1"),),
        wheels=10**9,
        # The router and a rollback must not wait for a processor that inference has filled.
        niceness=10,
    ),
}
MAKERS: Mapping[str, Accelerator] = {row.maker: each for each, row in TRAITS.items() if row.maker}
DRIVERS = tuple(row.driver for row in TRAITS.values() if row.driver)


def driver_package(settings: Mapping[str, Any]) -> str:
    """Return the driver package that a host's settings name, empty where they name none."""
    return next((str(settings[each.setting]) for each in DRIVERS if settings.get(each.setting)), "")
