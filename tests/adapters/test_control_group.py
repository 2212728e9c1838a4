"""What the control groups of this process leave it of the machine, such as in a container or under a timer's unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.adapters.control_group import GroupLimits, limits

GIB = 2**30


def group(tree: Path, name: str, **files: str) -> None:
    """Make a group below `tree` with its control files."""
    (tree / name).mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (tree / name / file.replace("_", ".", 1)).write_text(text + "\n")


def own(tmp_path: Path, line: str) -> Path:
    """Return a file as the kernel tells a process its groups."""
    file = tmp_path / "cgroup"
    file.write_text(line + "\n")
    return file


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, GroupLimits()),
        ({"cpu_max": "max 100000", "memory_max": "max"}, GroupLimits()),
        ({"cpu_max": "200000 100000"}, GroupLimits(processors=2)),
        ({"cpu_max": "150000 100000"}, GroupLimits(processors=1)),
        ({"cpu_max": "20000 100000"}, GroupLimits(processors=1)),
        (
            {"memory_max": str(GIB), "memory_current": str(GIB // 4)},
            GroupLimits(memory=3 * GIB // 4),
        ),
        # The kernel gives pages of files back before it refuses memory.
        (
            {
                "memory_max": str(GIB),
                "memory_current": str(GIB),
                "memory_stat": f"anon {GIB // 2}\nfile {GIB // 2}\ninactive_file {GIB // 4}",
            },
            GroupLimits(memory=GIB // 4),
        ),
        # Above its limit, and lowered just now: no memory, in place of a negative amount or of no limit.
        ({"memory_max": "4096", "memory_current": str(GIB)}, GroupLimits(memory=1)),
        ({"memory_max": "0", "memory_current": "0"}, GroupLimits(memory=1)),
        # A kernel of another day may write what nobody knows.
        ({"cpu_max": "many", "memory_max": "half"}, GroupLimits()),
        ({"cpu_max": "", "memory_max": ""}, GroupLimits()),
        ({"cpu_max": "100000 0"}, GroupLimits()),
        (
            {"memory_max": "4096", "memory_current": "0", "memory_stat": "inactive_file many"},
            GroupLimits(memory=4096),
        ),
    ],
)
def test_a_group_bounds_the_processors_and_the_memory(
    tmp_path: Path, files: dict[str, str], limit: GroupLimits
) -> None:
    group(tmp_path / "tree", "system.slice/toolkit.service", **files)
    assert limits(own(tmp_path, "0::/system.slice/toolkit.service"), tmp_path / "tree") == limit


def test_the_narrowest_group_above_the_process_counts(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    group(tree, "a/b", cpu_max="400000 100000", memory_max="max")
    group(tree, "a", cpu_max="300000 100000", memory_max=str(2 * GIB), memory_current="0")
    # A container sees its own limits at the root of its tree.
    group(tree, "", cpu_max="max 100000", memory_max=str(GIB), memory_current="0")
    assert limits(own(tmp_path, "0::/a/b"), tree) == GroupLimits(processors=3, memory=GIB)


@pytest.mark.parametrize(
    "line", ["", "5:memory:/a", "0::", "0::../../etc", "0::/../../etc", "0:://etc"]
)
def test_a_process_without_a_group_of_version_two_has_no_bound(tmp_path: Path, line: str) -> None:
    group(tmp_path / "tree", "a", cpu_max="100000 100000")
    group(tmp_path / "etc", "", cpu_max="100000 100000")
    assert limits(own(tmp_path, line), tmp_path / "tree") == GroupLimits()


def test_a_system_without_groups_has_no_bound(tmp_path: Path) -> None:
    assert limits(tmp_path / "none", tmp_path / "tree") == GroupLimits()
