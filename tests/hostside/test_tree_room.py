"""A transfer begins where its disk has room for it: what nobody frees, and nobody writes on, counts as no room."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import swarm
import trees

PART = 2**20
TEXT = os.urandom(PART)
SHA = hashlib.sha256(TEXT).hexdigest()


class Disk:
    """A tree of ten files of 1 MiB on its way to a host with so many MiB `free`, beyond those that must stay so."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 0
        files = [[f"{number}", PART, SHA] for number in range(10)]
        self.request = {"root": str(root), "kind": "snapshots", "name": "v1", "files": files}
        self.tree = trees.Arrival(self.request)
        monkeypatch.setattr(trees.os, "statvfs", self._statvfs)
        for each in (self.tree.checked, self.tree.incoming, self.top):
            Path(each).mkdir(parents=True)

    def _statvfs(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=self.free * PART + trees.SPARE, f_frsize=1)

    @property
    def top(self) -> str:
        return f"{self.tree.swarm}/torrent"

    def put(self, directory: str, count: int, text: bytes = TEXT) -> None:
        for number in range(count):
            Path(directory, f"{number}").write_bytes(text)
        os.sync()

    def checked_by_swarm(self, count: int) -> None:
        """Let a swarm have brought so many files, which it goes on giving to others."""
        self.put(self.top, count)
        for file in self.tree.files[:count]:
            trees.link(self.tree, f"{self.top}/{file.path}", file)

    def survey(self) -> int:
        """Return how many files are missing."""
        return len(trees.survey(self.request, lambda _: None)["missing"])

    def swarms(self) -> int:
        """Return how many files a swarm would bring."""
        layout = SimpleNamespace(
            num_files=lambda: 10, file_path=lambda n: f"torrent/{n}", file_offset=lambda n: n * PART
        )
        torrent = SimpleNamespace(layout=lambda: layout, piece_length=lambda: PART)
        peer: Any = SimpleNamespace(
            _torrent=SimpleNamespace(torrent_file=lambda: torrent), _top=self.top
        )
        return len(swarm._Peer._wanted(peer, self.tree))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


def refused(look: Callable[[], int]) -> bool:
    try:
        look()
    except ValueError as error:
        assert "no room in" in str(error)
        return True
    return False


def test_files_that_a_swarm_has_checked_are_not_freed(disk: Disk) -> None:
    disk.checked_by_swarm(9)
    assert refused(disk.survey)
    disk.free = 1
    assert disk.survey() == 1


def test_pieces_of_a_swarm_are_freed_before_another_way_begins(disk: Disk) -> None:
    disk.put(disk.top, 4)
    disk.free = 5
    assert refused(disk.survey)
    disk.free = 6
    assert disk.survey() == 10
    trees.drop_swarm(disk.request, lambda _: None)
    assert not Path(disk.tree.swarm).exists()


def test_each_way_goes_on_with_its_own_files_alone(disk: Disk) -> None:
    disk.put(disk.tree.incoming, 4)
    disk.free = 6
    assert disk.survey() == 10
    assert refused(disk.swarms)
    disk.put(disk.top, 4)
    assert disk.swarms() == 10
    # Of half a file, the other half needs room.
    disk.put(disk.top, 10, TEXT[: PART // 2])
    disk.free = 4
    assert refused(disk.swarms)
    disk.free = 5
    assert disk.swarms() == 10


def test_a_file_that_nobody_writes_on_is_no_room(disk: Disk) -> None:
    Path(disk.tree.incoming, "left").write_bytes(TEXT * 10)
    disk.free = 9
    assert refused(disk.survey)
