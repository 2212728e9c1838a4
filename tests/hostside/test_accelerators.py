"""What the host says of its accelerators: by its bus, and by what NVIDIA's tool prints.

Those of an H100 were recorded with driver 580.159.04; the others are written by hand after the tool's own format.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from toolkit.domain.accelerator import MAKERS

REPOSITORY = Path(__file__).parents[2]
MIB = 2**20
HEALTHY = "0, NVIDIA H200, 143771, 143000, 580.95.05, 34, 0, No, No, 628, Disabled\n"
# Recorded; the last two columns by a query of their own.
H100 = "0, NVIDIA H100 80GB HBM3, 81559, 81079, 580.159.04, 39, 0, No, No, 480, Disabled\n"
SPLIT = "1, NVIDIA H200, 143771, 143000, 580.95.05, 34, 0, No, No, 628, Enabled\n"
RESET = "[GPU requires reset]"
UNNUMBERED = "nvidia-smi has a line that numbers no device"
LOST = "Unable to determine the device handle for GPU1: 0000:07:00.0: Unknown Error"


def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    source = REPOSITORY / "toolkit" / "hostside" / "accelerators.py"
    monkeypatch.syspath_prepend(str(source.parent))
    spec = importlib.util.spec_from_file_location("hostside_accelerators", source)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def accelerators(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch)


class Tool:
    """A program called nvidia-smi that prints what a test wants."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "nvidia-smi"

    def says(self, text: str, *, status: int = 0, unknown: tuple[str, ...] = ()) -> None:
        """Print `text`; where a field of `unknown` is asked for, refuse it in the tool's words."""
        refusals = "".join(
            f"""case "$*" in *{each}*) echo 'Field "{each}" is not a valid field to query.'; exit 2;; esac\n"""
            for each in unknown
        )
        self._path.write_text(f"#!/bin/sh\n{refusals}cat <<'END'\n{text}END\nexit {status}\n")
        self._path.chmod(0o755)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Tool(tmp_path)


def device(**more: Any) -> dict[str, Any]:
    return {
        "index": 0,
        "name": "NVIDIA H200",
        "memory": (143771 - 628) * MIB,
        "memory_free": 143000 * MIB,
        "driver": "580.95.05",
        "maker": "nvidia",
        "temperature": 34,
        "memory_errors": 0,
        "remapping": "",
        "fault": "",
        **more,
    }


def test_devices_come_with_their_health(accelerators: ModuleType, tool: Tool) -> None:
    tool.says(
        HEALTHY
        + "1, NVIDIA H200, 143771, 9, 580.95.05, 91, 3, Yes, No, 628, Disabled\n"
        + "2, NVIDIA H200, 143771, 9, 580.95.05, 40, 7, Yes, Yes, 628, Disabled\n"
    )
    found, fault = accelerators.nvidia(True)
    assert fault == ""
    assert found == [
        device(),
        device(index=1, memory_free=9 * MIB, temperature=91, memory_errors=3, remapping="pending"),
        device(index=2, memory_free=9 * MIB, temperature=40, memory_errors=7, remapping="failed"),
    ]


def test_a_device_that_does_not_count_errors_is_a_device_all_the_same(
    accelerators: ModuleType, tool: Tool
) -> None:
    tool.says(
        "0, NVIDIA GeForce RTX 4090, 24564, 24000, 580.95.05, 34, [N/A], [N/A], [N/A], [N/A], [N/A]\n"
    )
    (found,), _ = accelerators.nvidia(True)
    assert (found["memory_errors"], found["remapping"], found["temperature"]) == (None, "", 34)
    assert found["memory"] == 24564 * MIB


def test_what_the_driver_keeps_for_itself_is_no_memory_of_the_device(
    accelerators: ModuleType, tool: Tool
) -> None:
    tool.says(H100)
    (found,), fault = accelerators.nvidia(True)
    # What vLLM sees of it: 79.18 GiB.
    assert (found["memory"], found["memory_free"]) == (81_079 * MIB, 81_079 * MIB)
    assert (found["name"], found["driver"], fault) == ("NVIDIA H100 80GB HBM3", "580.159.04", "")


def test_a_driver_that_does_not_know_what_it_keeps_is_asked_for_the_rest(
    accelerators: ModuleType, tool: Tool
) -> None:
    tool.says(H100.replace(", 480, Disabled", ""), unknown=("memory.reserved",))
    (found,), fault = accelerators.nvidia(True)
    assert (found["memory"], found["temperature"], fault) == (81_559 * MIB, 39, "")


def test_an_old_driver_that_knows_less_is_asked_for_less(
    accelerators: ModuleType, tool: Tool
) -> None:
    unknown = ("memory.reserved", "remapped_rows.pending")
    tool.says("0, Tesla T4, 15360, 15000, 450.51\n", unknown=unknown)
    (found,), fault = accelerators.nvidia(True)
    assert (found["driver"], found["memory_errors"], fault) == ("450.51", None, "")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (SPLIT, "split"),
        (f"1, NVIDIA H200, {RESET}, {RESET}, 580.95.05, 34, {RESET}, No, No, {RESET}, {RESET}\n", RESET),
        ("1, NVIDIA H200, , , 580.95.05, 34, 0, No, No, 628, Disabled\n", "nothing"),
        ("1, NVIDIA H200, 143771, [Unknown Error], 580.95.05, 34, 0, No, No, 628, Disabled\n", "[Unknown Error]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("others", ["", HEALTHY])
def test_a_device_that_no_replica_can_have_is_shown_without_memory(
    accelerators: ModuleType, tool: Tool, row: str, fault: str, others: str
) -> None:
    tool.says(others + row)
    found, words = accelerators.nvidia(True)
    assert [each["index"] for each in found] == ([0, 1] if others else [1])
    assert (found[-1]["memory"], found[-1]["memory_free"], found[-1]["fault"]) == (0, 0, fault)
    # A host with nothing but such devices does not compute on its processors instead.
    assert (accelerators.devices(["nvidia"])[0], words) == ("cuda", "")


@pytest.mark.parametrize(
    ("text", "status", "fault"),
    [
        (f"{LOST}\n{H100}", 15, LOST),
        (f"{LOST}\n{H100}", 0, LOST),
        (H100, 15, "nvidia-smi ended with 15"),
        (H100 + SPLIT.replace("1,", "[GPU is lost],", 1), 0, UNNUMBERED),
        # a damaged infoROM, which keeps no program from the device
        (f"{H100}WARNING: infoROM is corrupted at gpu 0000:06:00.0\n", 14, ""),
        (f"WARNING: odd, but well\n{H100}", 0, ""),
    ],
)
def test_the_devices_that_a_driver_still_knows_stay(
    accelerators: ModuleType, tool: Tool, text: str, status: int, fault: str
) -> None:
    tool.says(text, status=status)
    found, words = accelerators.nvidia(True)
    assert ([each["memory"] for each in found], words) == ([81_079 * MIB], fault)


@pytest.mark.parametrize(
    ("text", "status", "fault"),
    [
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nMake sure\n",
            9,
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
        ),
        (
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95\n",
            18,
            "Failed to initialize NVML: Driver/library version mismatch",
        ),
        ("No devices were found\n", 6, "No devices were found"),
        ("", 0, "no device"),
        ("a, b\n", 0, UNNUMBERED),
        (H100.replace("0, NVIDIA", "[N/A], NVIDIA"), 0, UNNUMBERED),
        ("", 15, "nvidia-smi ended with 15"),
    ],
)
def test_a_driver_that_does_not_work_is_told_in_its_own_words(
    accelerators: ModuleType, tool: Tool, text: str, status: int, fault: str
) -> None:
    tool.says(text, status=status)
    assert accelerators.nvidia(True) == ([], fault)
    assert accelerators.nvidia(False) == ([], "")


def test_a_host_without_the_tool_has_no_devices(
    accelerators: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accelerators.nvidia(False) == ([], "")
    assert accelerators.nvidia(True) == ([], "nvidia-smi is not there")


@pytest.mark.parametrize(
    ("parts", "makers"),
    [
        ([], []),
        ([("0x10de", "0x030200", "")], ["nvidia"]),
        # a switch between NVIDIA's devices, a card of Mellanox', a board's own display
        ([("0x10de", "0x068000", ""), ("0x15b3", "0x020000", ""), ("0x1a03", "0x030000", "")], []),
        ([("0x1002", "0x038000", "")], ["amd"]),
        ([("0x1002", "0x120000", "")], ["amd"]),
        ([("0x1002", "0x030000", str(24 * 2**30))], ["amd"]),
        # the graphics unit of a processor
        ([("0x1002", "0x030000", str(512 * MIB))], []),
        ([("0x1002", "0x030000", ""), ("0x10de", "0x030000", "")], ["nvidia"]),
        ([("0x1002", "0x120000", ""), ("0x10de", "0x030200", "")], ["amd", "nvidia"]),
    ],
)
def test_the_bus_tells_who_made_the_accelerators(
    accelerators: ModuleType, tmp_path: Path, parts: list[tuple[str, str, str]], makers: list[str]
) -> None:
    for number, values in enumerate(parts):
        place = tmp_path / f"0000:{number:02}:00.0"
        place.mkdir()
        for name, value in zip(("vendor", "class", "mem_info_vram_total"), values, strict=True):
            if value:
                (place / name).write_text(f"{value}\n")
    assert accelerators.makers(str(tmp_path)) == makers


@pytest.mark.parametrize(
    ("text", "status", "users"),
    [
        ("4711, 21540\n4712, 8724\n", 0, {4711: 21_540 * MIB, 4712: 8_724 * MIB}),
        # a row for each device of a process
        ("4711, 21540\n4711, 21536\n", 0, {4711: 43_076 * MIB}),
        # an idle device, as recorded without its heading
        ("", 0, {}),
        # a tool that does not say, in a container and on a device that is split
        ("4711, [N/A]\n4713, [Insufficient Permissions]\n", 0, {}),
        ("4711, [N/A]\n4713, 660\n", 0, {4713: 660 * MIB}),
        ("Failed to initialize NVML: Driver/library version mismatch\n", 18, {}),
    ],
)
def test_the_driver_says_what_each_process_has_of_the_devices(
    accelerators: ModuleType, tool: Tool, text: str, status: int, users: dict[int, int]
) -> None:
    tool.says(text, status=status)
    assert accelerators.users() == users


def test_a_host_without_the_tool_says_nothing_of_replicas(
    accelerators: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accelerators.users() == {}


def test_the_accelerator_is_that_of_the_devices(accelerators: ModuleType, tool: Tool) -> None:
    tool.says(HEALTHY)
    assert accelerators.devices(["amd", "nvidia"]) == ("cuda", [device()], "")
    assert accelerators.devices([])[0] == "cuda"


def test_without_devices_the_accelerator_is_the_cpu(
    accelerators: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accelerators.devices([]) == ("cpu", [], "")
    assert accelerators.devices(["nvidia"]) == ("cpu", [], "nvidia-smi is not there")


def test_every_accelerator_with_devices_has_a_collector(accelerators: ModuleType) -> None:
    collected = {name: maker for name, maker, _ in accelerators.COLLECTORS}
    assert collected == {str(each): maker for maker, each in MAKERS.items()}


@pytest.mark.parametrize(
    ("makers", "loaded", "absent"),
    [
        (["nvidia"], True, False),
        (["nvidia"], False, True),
        (["amd"], False, None),
        ([], True, None),
    ],
)
def test_a_driver_can_be_absent_where_devices_need_one(
    accelerators: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    makers: list[str],
    loaded: bool,
    absent: bool | None,
) -> None:
    monkeypatch.setattr(accelerators, "makers", lambda: makers)
    if loaded:
        (tmp_path / "driver/nvidia").mkdir(parents=True)
        (tmp_path / "driver/nvidia/version").write_text("NVRM version: 590.1\n")
    assert accelerators.driver_absent(str(tmp_path)) is absent
