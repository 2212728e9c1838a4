"""What was cut short on a host is found with what its removal frees, and goes where no process works on it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import deployment_lock
import leftovers
import seals
import trees

TOKEN = "t1"
HOUR = 3600.0
LITTER = {
    "snapshots/.a1.partial": ("transfer", "a1"),
    "snapshots/.a2.removed": ("removal", "a2"),
    "wheelhouse/.vllm-1.partial": ("transfer", "vllm-1"),
    "wheelhouse/vllm-2": ("packages", "vllm-2"),
    "engines/.cache": ("installation", ""),
    "engines/.vllm-1.anew": ("installation", "vllm-1"),
    "engines/.vllm-1.removed": ("removal", "vllm-1"),
    "engines/vllm-2": ("installation", "vllm-2"),
    "compiled/.a.b.c.removed": ("removal", "a.b.c"),
    "compiled/.tiny-blue.partial": ("transfer", "tiny-blue"),
    "compiling/.tiny-blue.former": ("copy", "tiny-blue"),
    "compiling/.tiny-blue.new": ("copy", "tiny-blue"),
    "bin/.library-x1": ("copy", ""),
    "bin/hostside-0123456789abcdef.Xa1b2C": ("copy", ""),
}
# What is in use, or is no tree of files.
WHOLE = (
    "snapshots/a1",
    "snapshots/.digests",
    "wheelhouse/.digests",
    "compiled/a.b.c",
    "compiling/tiny-blue",
    "bin/libtorrent-2",
    "bin/hostside-0123456789abcdef",
    "slots/tiny-blue",
)


class Ground:
    """A root in which things lie for an hour."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: str, *, size: int = 10, age: float = HOUR) -> Path:
        place = self.root / path
        place.mkdir(parents=True)
        (place / "file").write_bytes(b"x" * size)
        self.date(place, age)
        return place

    def date(self, place: Path, age: float = HOUR) -> None:
        then = time.time() - age
        for each in (place, *place.rglob("*")):
            os.utime(each, (then, then))

    def found(self) -> dict[str, dict[str, Any]]:
        return {each["path"]: each for each in leftovers.find(str(self.root))["leftovers"]}

    def remove(self, *paths: str) -> dict[str, Any]:
        with self.locked():
            removed: dict[str, Any] = leftovers.remove(str(self.root), list(paths), TOKEN)
        return removed

    @contextmanager
    def locked(self) -> Iterator[None]:
        with (self.root / "deployment.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write(json.dumps({"token": TOKEN}))
            lock.flush()
            yield


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def test_a_host_without_litter_has_none(ground: Ground) -> None:
    assert ground.found() == {}
    for path in WHOLE:
        ground.put(path)
    (ground.put("engines/vllm-1") / ".complete").touch()
    assert ground.found() == {}


def test_what_was_cut_short_is_named_with_its_kind_its_bytes_and_its_age(ground: Ground) -> None:
    for path in (*WHOLE, *LITTER):
        ground.put(path)
    found = ground.found()
    assert {path: (each["kind"], each["of"]) for path, each in found.items()} == LITTER
    for path, each in found.items():
        assert (each["bytes"], each["busy"]) == (10, ""), path
        assert HOUR <= each["age"] < HOUR + 60, path


def test_what_is_named_goes_and_all_else_stays(ground: Ground) -> None:
    for path in (*WHOLE, *LITTER):
        ground.put(path)
    seals.write(str(ground.root), "engines-vllm-2", {"file": ["d"]})
    seals.write(str(ground.root), "snapshots-a1", {"file": ["d"]})
    gone = ("engines/vllm-2", "snapshots/.a1.partial", "snapshots/a1", "slots/../bin", "engines/x")
    assert ground.remove(*gone) == {"freed": 20, "kept": {}}
    assert set(ground.found()) == set(LITTER) - {"engines/vllm-2", "snapshots/.a1.partial"}
    assert all((ground.root / path / "file").exists() for path in WHOLE)
    # The seal goes with what it is of.
    assert seals.read(str(ground.root), "engines-vllm-2") == {}
    assert seals.read(str(ground.root), "snapshots-a1") == {"file": ["d"]}
    assert ground.remove(*LITTER)["freed"] == 10 * (len(LITTER) - 2)
    assert ground.found() == {}


def test_nothing_goes_without_the_deployment_lock(ground: Ground) -> None:
    ground.put("snapshots/.a1.partial")
    with pytest.raises(deployment_lock.LockLost):
        leftovers.remove(str(ground.root), ["snapshots/.a1.partial"], TOKEN)
    with ground.locked(), pytest.raises(deployment_lock.LockLost):
        leftovers.remove(str(ground.root), ["snapshots/.a1.partial"], "another")
    assert set(ground.found()) == {"snapshots/.a1.partial"}


def test_a_tree_that_a_living_receiver_holds_stays_until_that_ends(ground: Ground) -> None:
    files = [["w", 1, "0" * 64]]
    request = {"root": str(ground.root), "kind": "snapshots", "name": "a1", "files": files}
    tree, path = trees.Arrival(request), "snapshots/.a1.partial"
    with tree.locked():
        ground.date(Path(tree.staging))
        assert ground.found()[path]["busy"] == "a transfer is running"
        assert ground.remove(path) == {"freed": 0, "kept": {path: "a transfer is running"}}
    ground.date(Path(tree.staging))
    assert ground.found()[path]["busy"] == ""
    assert ground.remove(path)["kept"] == {}
    assert not Path(tree.staging).exists()


def test_a_look_for_leftovers_keeps_no_receiver_from_its_tree(ground: Ground) -> None:
    request = {"root": str(ground.root), "kind": "snapshots", "name": "a1", "files": []}
    tree = trees.Arrival(request)
    with tree.locked():
        pass
    looking = os.open(Path(tree.staging) / "lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    waited = []

    def end_look(_: float) -> None:
        waited.append(True)
        os.close(looking)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", end_look)
        with tree.locked():
            assert waited == [True]


def test_what_has_just_changed_stays_but_for_what_is_on_its_way_out(ground: Ground) -> None:
    for path in LITTER:
        ground.put(path, age=leftovers.QUIET / 2)
    busy = {path for path, each in ground.found().items() if each["busy"]}
    removals = {path for path, (kind, _) in LITTER.items() if kind == "removal"}
    assert busy == set(LITTER) - removals
    kept = ground.remove(*LITTER)["kept"]
    assert kept == dict.fromkeys(busy, "it is still changing")
    assert set(ground.found()) == busy


def test_a_clock_that_was_set_back_keeps_nothing_for_ever(ground: Ground) -> None:
    ground.put("snapshots/.a1.partial", age=-HOUR)
    (found,) = ground.found().values()
    assert (found["age"], found["busy"]) == (0.0, "")


def test_a_file_that_has_a_name_elsewhere_frees_nothing(ground: Ground) -> None:
    partial = ground.put("snapshots/.a1.partial")
    (ground.put("snapshots/b1") / "shared").write_bytes(b"y" * 99)
    os.link(ground.root / "snapshots/b1/shared", partial / "shared")
    # An installer links what it has unpacked.
    cache, engine = ground.put("engines/.cache"), ground.put("engines/vllm-2")
    (cache / "torch").write_bytes(b"z" * 50)
    os.link(cache / "torch", engine / "torch")
    for each in (partial, cache, engine):
        ground.date(each)
    assert {path: each["bytes"] for path, each in ground.found().items()} == {
        "snapshots/.a1.partial": 10,
        "engines/.cache": 60,
        "engines/vllm-2": 10,
    }
    assert ground.remove(*ground.found()) == {"freed": 80, "kept": {}}
    assert (ground.root / "snapshots/b1/shared").read_bytes() == b"y" * 99


def test_links_are_neither_leftovers_nor_followed(ground: Ground) -> None:
    theirs = ground.put("theirs")
    (ground.root / "snapshots").mkdir()
    (ground.root / "snapshots/.a1.partial").symlink_to(theirs)
    partial = ground.put("snapshots/.a2.partial")
    (partial / "way").symlink_to(theirs)
    ground.date(partial)
    assert set(ground.found()) == {"snapshots/.a2.partial"}
    ground.remove("snapshots/.a1.partial", "snapshots/.a2.partial")
    assert (theirs / "file").exists()


def test_what_cannot_be_removed_is_said(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.put("snapshots/.a2.removed")
    monkeypatch.setattr(leftovers.shutil, "rmtree", lambda *_, **__: None)
    assert ground.remove("snapshots/.a2.removed") == {
        "freed": 0,
        "kept": {"snapshots/.a2.removed": "a part of it cannot be removed"},
    }


def test_a_directory_that_others_can_write_to_keeps_what_lies_in_it(ground: Ground) -> None:
    for path in ("compiling/.tiny-blue.new", "snapshots/.a2.removed"):
        ground.put(path)
    (ground.root / "compiling").chmod(0o777)
    removed = ground.remove("compiling/.tiny-blue.new", "snapshots/.a2.removed")
    assert removed["freed"] == 10
    (why,) = removed["kept"].values()
    assert why.startswith(f"other users can write to {ground.root}/compiling")
    assert (ground.root / "compiling/.tiny-blue.new/file").exists()


def test_an_engine_whose_stamp_the_disk_does_not_give_back_is_not_unfinished(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ground.put("engines/vllm-3")
    (engine / ".complete").write_text("")
    whole = os.stat

    def stat(path: Any, **given: Any) -> os.stat_result:
        if str(path).endswith("/.complete"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return whole(path, **given)

    monkeypatch.setattr(os, "stat", stat)
    assert ground.found() == {}
    assert ground.remove("engines/vllm-3") == {"freed": 0, "kept": {}}
    assert engine.is_dir()
