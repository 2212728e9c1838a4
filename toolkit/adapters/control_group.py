"""The part of the machine that its control groups leave a process: in a container, or a unit with limits.

Source: the kernel's "Control Group v2", the files cpu.max, memory.max, memory.current and memory.stat of each group.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_OWN, _TREE = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
# The line of version 2 of control groups, before the path of the process's own group.
_LINE = "0::/"


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """The whole `processors`, and the bytes of `memory` that are left; 0 where no group sets a limit."""

    processors: int = 0
    memory: int = 0


def limits(own: Path = _OWN, tree: Path = _TREE) -> GroupLimits:
    """Return the narrowest limits of the process's group and of those above it.

    `own` is the file that names the group, `tree` the root of all groups. A group without a limit, or with one that is
    no number, sets none.
    """
    groups = _groups(own, tree)
    return GroupLimits(_least(map(_processors, groups)), _least(map(_memory, groups)))


def _groups(own: Path, tree: Path) -> list[Path]:
    with suppress(OSError):
        for line in own.read_text().splitlines():
            path = Path(line.removeprefix(_LINE).lstrip("/"))
            if line.startswith(_LINE) and ".." not in path.parts:
                group = tree / path
                return [group, *(each for each in group.parents if each.is_relative_to(tree))]
    return []


def _least(found: Iterable[int]) -> int:
    return min(filter(None, found), default=0)


def _processors(group: Path) -> int:
    quota, period = [*_words(group / "cpu.max"), "", ""][:2]
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return 0
    return max(1, int(quota) // int(period))


def _memory(group: Path) -> int:
    most, now = [*_words(group / "memory.max"), ""][0], [*_words(group / "memory.current"), ""][0]
    if not (most.isdecimal() and now.isdecimal()):
        return 0
    stat = _words(group / "memory.stat")
    figures = dict(zip(stat[::2], stat[1::2], strict=False))
    # The kernel gives these pages back before it refuses memory.
    files = figures.get("inactive_file", "0")
    return max(1, int(most) - int(now) + (int(files) if files.isdecimal() else 0))


def _words(file: Path) -> list[str]:
    with suppress(OSError):
        return file.read_text().split()
    return []
