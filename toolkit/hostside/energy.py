"""Readings of the devices' own counters of energy. Two of them give the energy between them.

NVIDIA's library counts the millijoules of a device since its driver was loaded (from Volta on). The library comes with
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
from documents import parsed
from wire import Document

_LIBRARY = "libnvidia-ml.so.1"
_SECONDS = 20.0
# An isolated Python does not look beside a script for its siblings.
_READER = "import sys; sys.path.insert(0, sys.argv[1]); import energy; energy.main()"


def energy(root: str) -> Document:
    """Return {"at", "joules", "devices", "fault"}: the counters' sum; `devices` is 0 where nothing counts, with why."""
    asked = [sys.executable, "-I", "-c", _READER, os.path.dirname(os.path.abspath(__file__))]
    try:
        done = subprocess.run(
            asked,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
        )
        found: Document = parsed(done.stdout)
        return {"at": time.time(), **{name: found[name] for name in ("joules", "devices", "fault")}}
    except subprocess.TimeoutExpired:
        fault = "the driver does not answer"
    except (OSError, ValueError, TypeError, KeyError):
        fault = "the driver's library ended its reader"
    return {"at": time.time(), "joules": 0.0, "devices": 0, "fault": fault}


def counted(library: Any) -> Document:
    """Return the sum of all devices' counters in joules, by NVIDIA's management library."""
    if library.nvmlInit_v2():
        return _none("the driver is not loaded")
    number = ctypes.c_uint()
    if library.nvmlDeviceGetCount_v2(ctypes.byref(number)) or not number.value:
        return _none("no device")
    total = 0
    for index in range(min(number.value, bounds.DEVICES)):
        handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
        if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
            return _none("device %d cannot be opened" % index)
        if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
            # A sum without one of the devices would be too small without a word.
            return _none("device %d counts no energy" % index)
        total += millijoules.value
    return {"joules": total / 1000.0, "devices": number.value, "fault": ""}


def _none(fault: str) -> Document:
    return {"joules": 0.0, "devices": 0, "fault": fault}


def main() -> None:
    """Print what the devices count."""
    try:
        found = counted(ctypes.CDLL(_LIBRARY))
    except (OSError, AttributeError):
        found = _none("no NVIDIA driver that counts energy")
    sys.stdout.write(json.dumps(found))
