"""Accelerators of this host: what is on its bus, and for each maker a collector of facts about its devices."""

from __future__ import annotations

import os
import subprocess
from typing import Optional

import bounds
import program
from wire import Document

_SECONDS = 20.0
_BUS = "/sys/bus/pci/devices"
_MAKERS = {"0x10de": "nvidia", "0x1002": "amd"}
_FIELDS = ("index", "name", "memory.total", "memory.free", "driver_version")
# An older driver refuses a query with any field that it does not know.
_RECENT = ("memory.reserved", "mig.mode.current")
_HEALTH = (
    "temperature.gpu",
    "ecc.errors.uncorrected.volatile.total",
    "remapped_rows.pending",
    "remapped_rows.failure",
)
# Exit code of nvidia-smi where it warns of a damaged infoROM; the devices work.
_WARNED = 14
# A device that the driver has lost has this line in place of its row.
_LOST = "Unable to determine the device handle"
_AMD_MEMORY = 8 * 2**30
# Files of a loaded driver below /proc: its version, and one for each device.
_DRIVER = "driver/nvidia"
# File or program that engines need -> the Debian package that brings it, empty for a driver, which no other task may
# install.
NEEDED = {
    "cpu": {"libnuma.so.1": "libnuma1"},
    "cuda": {
        "libcuda.so.1": "",
        "cc": "gcc",
        "stdlib.h": "libc6-dev",
        "Python.h": "python3-dev",
    },
}
# The driver, which brings the libraries that no package has.
DRIVER = "NVIDIA driver"


def makers(bus: str = _BUS) -> list[str]:
    """Return the makers of the accelerators on the bus, sorted, with or without a driver.

    A graphics unit inside a processor does not count: an AMD device must be no display, or have 8 GiB of its own.
    """
    found = set()
    for name in _listing(bus):
        place = os.path.join(bus, name)
        maker, kind = _MAKERS.get(_read(place, "vendor")), _read(place, "class")[:6]
        display, computing = kind[:4] == "0x03", kind in ("0x0380", "0x1200")
        if (maker == "nvidia" and display) or (
            maker == "amd"
            and (
                computing
                or (
                    display
                    and (bounds.whole(_read(place, "mem_info_vram_total")) or 0) >= _AMD_MEMORY
                )
            )
        ):
            found.add(maker)
    return sorted(found)


def devices(present: list[str]) -> tuple[str, list[Document], str]:
    """Return the accelerator that engines compute on here, its devices, and the fault of their driver."""
    fault = ""
    for accelerator, maker, collect in COLLECTORS:
        found, words = collect(maker in present)
        if found:
            return accelerator, found, words
        fault = fault or words
    return "cpu", [], fault


def nvidia(expected: bool) -> tuple[list[Document], str]:
    """Return the devices and the fault of the driver, which is empty if no device is `expected`.

    A driver that has lost one device may know the others: then there are devices and a fault.
    """
    rows, fault = _query(_FIELDS + _HEALTH + _RECENT)
    for fields in (_FIELDS + _HEALTH, _FIELDS):
        if fault and "not a valid field" in fault:
            rows, fault = _query(fields)
    found = [_device(row) for row in rows[: bounds.DEVICES]]
    devices = [device for device in found if device is not None]
    if len(devices) < max(1, len(found)) and not fault:
        fault = "nvidia-smi has a line that numbers no device"
    return devices, fault if expected else ""


def driver_absent(proc: str = "/proc") -> Optional[bool]:
    """Return whether no driver for the devices on the bus is loaded; None where engines know no such device."""
    if "nvidia" not in makers():
        return None
    return not os.path.exists(os.path.join(proc, _DRIVER, "version"))


def driver_and_models(proc: str = "/proc") -> tuple[str, list[str]]:
    """Return what the loaded driver says of itself, and the models of its devices; both empty without a driver.

    The driver's own tool takes up to a second; its files say the same.
    """
    top, models = os.path.join(proc, _DRIVER), set()
    for each in _listing(os.path.join(top, "gpus")):
        text = _text(top, "gpus", each, "information")
        models |= {line for line in text.splitlines() if line.startswith("Model:")}
    return _text(top, "version"), sorted(models)


def users() -> dict[int, int]:
    """Return the bytes of device memory that each process has, by its pid, as far as the driver's tool says."""
    rows, _ = _query(("pid", "used_memory"), of="compute-apps")
    found: dict[int, int] = {}
    for row in rows:
        pid, used = map(bounds.whole, row)
        # A process has a row for each of its devices.
        if pid is not None and used is not None:
            found[pid] = found.get(pid, 0) + used * 2**20
    return found


def _query(fields: tuple[str, ...], of: str = "gpu") -> tuple[list[list[str]], str]:
    """Return a row for each device, or for what else is asked for, and the tool's words where it failed."""
    asked = ["nvidia-smi", f"--query-{of}={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        code, said = program.output(asked, _SECONDS, subprocess.STDOUT)
    except FileNotFoundError:
        return [], "nvidia-smi is not there"
    except subprocess.TimeoutExpired:
        return [], "nvidia-smi does not answer within %g s" % _SECONDS
    except (OSError, subprocess.SubprocessError) as error:
        return [], f"nvidia-smi: {error}"
    return rows_of(said, len(fields), code)


def rows_of(text: str, cells: int, code: int = 0) -> tuple[list[list[str]], str]:
    """Return the rows of `cells` cells in what nvidia-smi printed, and its words where it failed and ended with `code`.

    Where it ended well, other lines are warnings.
    """
    rows, others = [], []
    for line in filter(None, map(str.strip, text.splitlines())):
        row = [cell.strip()[: bounds.WORDS] for cell in line.split(",")]
        if len(row) == cells:
            rows.append(row)
        else:
            others.append(line[: bounds.WORDS])
    if code and not (rows and code == _WARNED):
        return rows, (others or ["nvidia-smi ended with %d" % code])[0]
    lost = [line for line in others if line.startswith(_LOST)]
    return rows, (lost or [""])[0] if rows or others else "no device"


def _device(row: list[str]) -> Optional[Document]:
    """Return the device of a row, None where the row does not say its place. A device with a fault has no memory."""
    name, driver = row[1], row[4]
    index, total, free = (bounds.whole(row[column]) for column in (0, 2, 3))
    if index is None:
        return None
    temperature, errors, pending, failed = row[5:9] or ("", "", "", "")
    reserved, split = row[9:11] or ("", "")
    fault = "split" if split == "Enabled" else ""
    if total is None or free is None:
        # `[GPU requires reset]`, for one.
        fault = (row[2] if total is None else row[3]) or "nothing"
    if fault or total is None or free is None:
        total = free = 0
    return {
        "index": index,
        "name": name,
        # The driver counts memory that it keeps for itself, 480 MiB of an H100, and CUDA does not.
        "memory": max(0, total - (bounds.whole(reserved) or 0)) * 2**20,
        "memory_free": free * 2**20,
        "driver": driver,
        "maker": "nvidia",
        "temperature": bounds.whole(temperature),
        "memory_errors": bounds.whole(errors),
        "remapping": "failed" if _yes(failed) else "pending" if _yes(pending) else "",
        "fault": fault,
    }


def _yes(text: str) -> bool:
    return text.lower() in ("yes", "1")


def _listing(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _read(*path: str) -> str:
    return _text(*path).strip()


def _text(*path: str) -> str:
    try:
        with open(os.path.join(*path), errors="replace") as file:
            return file.read(2**20)
    except OSError:
        return ""


# accelerator, the maker of its devices, what collects facts of them
COLLECTORS = (("cuda", "nvidia", nvidia),)
