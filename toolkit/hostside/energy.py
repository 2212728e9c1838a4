"""Readings of the devices' own counters of energy. Two of them give the energy between them.

NVIDIA's library counts the millijoules of a device since its driver was loaded (from Volta on). Each device is named: a
sum alone does not tell a counter that began anew, or a device that is gone, from energy. The library comes with
the driver, so nothing is installed for it. It is called in a process of its own: a driver that hangs must not hold the
program that answers an ops machine.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from typing import Any

import bounds
import program
from documents import parsed
from wire import Document

_LIBRARY = "libnvidia-ml.so.1"
_SECONDS = 20.0
# The library takes 96 bytes as enough for the name of any device.
_NAME = 96
_PLACE = os.path.dirname(os.path.abspath(__file__))
_FIELDS = ("joules", "devices", "counters", "fault")


def energy(root: str) -> Document:
    """Return {"at", "joules", "devices", "counters", "fault"}: the counters' sum, and each one's joules by its device.

    `devices` is 0 where nothing counts, with why.
    """
    asked = [sys.executable, "-I", os.path.join(_PLACE, "__main__.py"), "read-energy"]
    try:
        _, said = program.output(asked, _SECONDS, subprocess.DEVNULL)
        found: Document = parsed(said)
        return {"at": time.time(), **{name: found[name] for name in _FIELDS}}
    except subprocess.TimeoutExpired:
        fault = "the driver does not answer"
    except (OSError, ValueError, TypeError, KeyError):
        fault = "the driver's library ended its reader"
    return {"at": time.time(), **_none(fault)}


def counted(library: Any) -> Document:
    """Return the counters of all devices in joules, by NVIDIA's management library."""
    if library.nvmlInit_v2():
        return _none("the driver is not loaded")
    number = ctypes.c_uint()
    if library.nvmlDeviceGetCount_v2(ctypes.byref(number)) or not number.value:
        return _none("no device")
    if number.value > bounds.DEVICES:
        return _none("more than %d devices" % bounds.DEVICES)
    found = {}
    for index in range(number.value):
        handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
        if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
            return _none("device %d cannot be opened" % index)
        name = ctypes.create_string_buffer(_NAME)
        if library.nvmlDeviceGetUUID(handle, name, ctypes.c_uint(_NAME)) or not name.value:
            return _none("device %d has no name" % index)
        if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
            # A sum without one of the devices would be too small without a word.
            return _none("device %d counts no energy" % index)
        found[name.value.decode("ascii", "replace")] = millijoules.value
    if len(found) < number.value:
        return _none("two devices have one name")
    names = {each: _short(each) for each in found}
    if len(set(names.values())) < len(names):
        names = {each: each for each in found}
    return {
        "joules": sum(found.values()) / 1000.0,
        "devices": number.value,
        "counters": {names[each]: count / 1000.0 for each, count in found.items()},
        "fault": "",
    }


def _short(name: str) -> str:
    """Return the first parts of a name such as `GPU-8932f937-d72c-4106-c12f-20bd9faed9f6`, for short lines in files."""
    return "-".join(name.split("-")[:2])


def _none(fault: str) -> Document:
    return {"joules": 0.0, "devices": 0, "counters": {}, "fault": fault}


def main() -> int:
    """Print what the devices count; return 0."""
    try:
        found = counted(ctypes.CDLL(_LIBRARY))
    except (OSError, AttributeError):
        found = _none("no NVIDIA driver that counts energy")
    sys.stdout.write(json.dumps(found))
    return 0
