"""Files of a swarm are hashed while they come. The bytes on the disk decide in the end."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import toolkit.hostside
from tests.system.waiting import until

SIZE = 3 * 2**20
DATA = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(SIZE // 32))


class Place:
    """A host with one file that comes into the swarm's directory."""

    def __init__(self, root: Path) -> None:
        self.checks_module: Any = importlib.import_module("swarm_checks")
        trees = importlib.import_module("trees")
        sha256 = hashlib.sha256(DATA).hexdigest()
        self.tree = trees.Arrival(
            {"root": str(root), "kind": "snapshots", "name": "v1", "files": [("a", SIZE, sha256)]}
        )
        self.top = Path(self.tree.swarm)
        self.top.mkdir(parents=True)
        self.coming = self.top / "a"
        self.checks: Any = self.checks_module.Checks(self.tree, str(self.top), lambda: None)

    def write(self, data: bytes, at: int = 0) -> None:
        with self.coming.open("r+b" if self.coming.exists() else "wb") as file:
            file.seek(at)
            file.write(data)

    def grown(self, *upto: int) -> None:
        for each in upto:
            self.checks.grown(self.tree.files[0], each)
            until(lambda: not self.checks.is_reading(), 60)

    def judge(self) -> list[str]:
        self.checks.add(self.tree.files)
        self.checks.flushed()
        until(self.checks.are_done, 60)
        wrong: list[str] = self.checks.wrong()
        self.checks.close()
        return wrong


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.syspath_prepend(str(Path(toolkit.hostside.__file__).parent))
    place = Place(tmp_path)
    monkeypatch.setattr(place.checks_module, "_READ_SECONDS", 0)
    return place


@pytest.fixture
def hashed(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of the files that were hashed again from the start."""
    found: list[int] = []
    whole: Callable[[str, Any], bool] = place.checks_module.is_right

    def is_right(path: str, file: Any) -> bool:
        found.append(file.size)
        return whole(path, file)

    monkeypatch.setattr(place.checks_module, "is_right", is_right)
    return found


def test_a_file_is_hashed_as_far_as_it_has_come(place: Place, hashed: list[int]) -> None:
    place.write(DATA[: 2**20])
    growing = place.checks_module.Growing(str(place.coming), place.tree.files[0])
    growing.read(2**19)
    assert growing.at == 2**19
    growing.read(SIZE)
    assert growing.at == 2**20
    place.write(DATA[2**20 :], at=2**20)
    assert growing.is_right()
    assert hashed == []


def test_what_is_hashed_on_the_way_is_not_hashed_again(place: Place, hashed: list[int]) -> None:
    place.write(DATA)
    place.grown(2**20, 2 * 2**20, SIZE)
    assert place.judge() == []
    assert hashed == []
    assert (Path(place.tree.checked) / "a").read_bytes() == DATA


def test_what_was_read_before_it_was_written_is_read_again(place: Place, hashed: list[int]) -> None:
    place.write(DATA[: 2**20])
    place.write(DATA[2 * 2**20 :], at=2 * 2**20)
    place.grown(2 * 2**20, SIZE)
    place.write(DATA[2**20 : 2 * 2**20], at=2**20)
    assert place.judge() == []
    assert hashed == [SIZE]


def test_a_file_that_does_not_exist_yet_is_read_later(place: Place, hashed: list[int]) -> None:
    place.grown(2**20, 2 * 2**20)
    place.write(DATA)
    assert place.judge() == []
    assert hashed == []


@pytest.mark.parametrize("damage", [0, SIZE - 1])
def test_a_file_that_is_not_what_was_pinned_is_named(place: Place, damage: int) -> None:
    place.write(DATA)
    place.write(b"\0" if DATA[damage] else b"\1", at=damage)
    place.grown(2**20, 2 * 2**20)
    assert place.judge() == ["a"]
    assert not Path(place.tree.checked).exists()


def test_a_file_that_is_longer_than_its_pin_is_wrong(place: Place) -> None:
    place.write(DATA + b"more")
    place.grown(2**20, SIZE, SIZE)
    assert place.judge() == ["a"]
