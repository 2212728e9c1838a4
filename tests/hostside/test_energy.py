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


UUIDS = ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-11112222-aaaa-4106-c12f-20bd9faed9f6")
FIRST, SECOND = "GPU-8932f937", "GPU-11112222"


class Library:
    """NVIDIA's management library with devices that counted so many millijoules; None: one that counts none."""

    def __init__(self, *counts: int | None, init: int = 0, uuids: tuple[str, ...] = UUIDS) -> None:
        self.counts, self.init, self.uuids = counts, init, uuids

    def nvmlInit_v2(self) -> int:
        return self.init

    def nvmlDeviceGetCount_v2(self, number: Any) -> int:
        number._obj.value = len(self.counts)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, handle: Any) -> int:
        handle._obj.value = index + 1
        return 0

    def nvmlDeviceGetUUID(self, handle: Any, name: Any, length: Any) -> int:
        found = self.uuids[handle.value - 1].encode()
        assert len(found) < length.value
        name.value = found
        return 0 if found else 3

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, count: Any) -> int:
        found = self.counts[handle.value - 1]
        count._obj.value = found or 0
        return 3 if found is None else 0


@pytest.mark.parametrize(
    ("library", "joules", "counters"),
    [
        (Library(2_500), 2.5, {FIRST: 2.5}),
        # More than 32 bits: a device that drew 700 W for a year.
        (
            Library(22_075_200_000_000, 800),
            22_075_200_000.8,
            {FIRST: 22_075_200_000.0, SECOND: 0.8},
        ),
        # Two devices of which the first parts of the names are the same keep whole names.
        (
            Library(1_000, 2_000, uuids=(UUIDS[0], UUIDS[0][:-1] + "7")),
            3.0,
            {UUIDS[0]: 1.0, UUIDS[0][:-1] + "7": 2.0},
        ),
    ],
)
def test_the_counters_of_all_devices_sum_up_and_have_their_names(
    library: Library, joules: float, counters: dict[str, float]
) -> None:
    assert energy.counted(library) == {
        "joules": joules,
        "devices": len(counters),
        "counters": counters,
        "fault": "",
    }


@pytest.mark.parametrize(
    ("library", "fault"),
    [
        (Library(), "no device"),
        (Library(5, None), "device 1 counts no energy"),
        (Library(5, init=9), "the driver is not loaded"),
        (Library(5, 6, uuids=(UUIDS[0], "")), "device 1 has no name"),
        (Library(5, 6, uuids=(UUIDS[0], UUIDS[0])), "two devices have one name"),
        (Library(*range(257)), "more than 256 devices"),
    ],
)
def test_a_sum_that_lacks_a_device_is_none(library: Library, fault: str) -> None:
    assert energy.counted(library) == {"joules": 0.0, "devices": 0, "counters": {}, "fault": fault}


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
    reader: str, seconds: float, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "__main__.py").write_text(reader)
    monkeypatch.setattr(energy, "_PLACE", str(tmp_path))
    monkeypatch.setattr(energy, "_SECONDS", seconds)
    assert energy.energy("")["fault"] == fault
