"""A host's room is that of its tightest disk: engines and snapshots may have one of their own."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HOSTSIDE = Path(__file__).parents[2] / "toolkit" / "hostside"


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HOSTSIDE))
    return importlib.import_module("disks")


def _mounted(monkeypatch: pytest.MonkeyPatch, disks: Any, **others: dict[str, int]) -> None:
    """Let the directories `others` be on file systems of their own, that differ from the root's in these values."""
    usual = {
        "f_frsize": 1,
        "f_bavail": 900,
        "f_blocks": 1000,
        "f_files": 500,
        "f_ffree": 400,
        "f_flag": 0,
    }

    def statvfs(path: str) -> SimpleNamespace:
        return SimpleNamespace(**{**usual, **others.get(Path(path).name, {})})

    monkeypatch.setattr(disks.os, "statvfs", statvfs)


@pytest.mark.parametrize(
    ("others", "room"),
    [
        ({}, (900, 1000, 400, False, False)),
        ({"snapshots": {"f_bavail": 10, "f_blocks": 50}}, (10, 50, 400, False, False)),
        ({"snapshots": {"f_ffree": 7}}, (900, 1000, 7, False, False)),
        ({"engines": {"f_files": 0}}, (900, 1000, 400, False, False)),
        ({"engines": {"f_flag": os.ST_NOEXEC}}, (900, 1000, 400, True, False)),
        # a disk for engines may be one for reading on purpose
        ({"engines": {"f_flag": os.ST_RDONLY}}, (900, 1000, 400, False, False)),
        ({"lib": {"f_flag": os.ST_RDONLY}}, (900, 1000, 400, False, True)),
        # weights are read and not run
        ({"snapshots": {"f_flag": os.ST_NOEXEC}}, (900, 1000, 400, False, False)),
    ],
)
def test_the_room_is_that_of_the_tightest_disk(
    disks: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    others: dict[str, dict[str, int]],
    room: tuple[Any, ...],
) -> None:
    root = tmp_path / "lib"
    for name in ("engines", "snapshots"):
        (root / name).mkdir(parents=True)
    _mounted(monkeypatch, disks, **others)
    assert tuple(disks.of_root(f"{root}/")) == room


def test_a_bare_host_has_the_room_of_what_is_there(disks: Any, tmp_path: Path) -> None:
    assert disks.of_root(str(tmp_path / "lib/toolkit")).total > 0
