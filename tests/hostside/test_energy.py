"""What devices count of their energy: the library's words, its faults, and a host without it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

HOSTSIDE = Path(__file__).resolve().parents[2] / "toolkit" / "hostside"
sys.path.insert(0, str(HOSTSIDE))
import energy  # noqa: E402

sys.path.remove(str(HOSTSIDE))


class Library:
    """NVIDIA's management library with devices that counted so many millijoules; None: one that counts none."""

    def __init__(self, *counts: int | None, init: int = 0) -> None:
        self.counts, self.init = counts, init

    def nvmlInit_v2(self) -> int:
        return self.init

    def nvmlDeviceGetCount_v2(self, number: Any) -> int:
        number._obj.value = len(self.counts)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, handle: Any) -> int:
        handle._obj.value = index + 1
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, count: Any) -> int:
        found = self.counts[handle.value - 1]
        count._obj.value = found or 0
        return 3 if found is None else 0


@pytest.mark.parametrize(
    ("library", "joules", "devices", "fault"),
    [
        (Library(2_500), 2.5, 1, ""),
        # More than 32 bits: a device that drew 700 W for a year.
        (Library(22_075_200_000_000, 800), 22_075_200_000.8, 2, ""),
        (Library(), 0.0, 0, "no device"),
        (Library(5, None), 0.0, 0, "device 1 counts no energy"),
        (Library(5, init=9), 0.0, 0, "the driver is not loaded"),
    ],
)
def test_the_counters_of_all_devices_sum_up(
    library: Library, joules: float, devices: int, fault: str
) -> None:
    assert energy.counted(library) == {"joules": joules, "devices": devices, "fault": fault}


def test_a_host_without_the_library_says_so() -> None:
    found = energy.energy("")
    assert found["at"] > 0
    assert (found["joules"], found["devices"]) == (0.0, 0)
    assert found["fault"] == "no NVIDIA driver that counts energy"


@pytest.mark.parametrize(
    ("reader", "seconds", "fault"),
    [
        ("import time; time.sleep(60)", 1.0, "the driver does not answer"),
        ("import os; os.abort()", 60.0, "the driver's library ended its reader"),
        ("print('{')", 60.0, "the driver's library ended its reader"),
        ("print('[]')", 60.0, "the driver's library ended its reader"),
    ],
)
def test_a_driver_that_hangs_or_breaks_holds_nobody(
    reader: str, seconds: float, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "_READER", reader)
    monkeypatch.setattr(energy, "_SECONDS", seconds)
    assert energy.energy("")["fault"] == fault
