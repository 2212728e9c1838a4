"""Files that a disk does not give back: an observation goes on without them, and names them."""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.hostside.test_damage import GUARDED, OPENED, OTHERS, furnish

HOSTSIDE = Path(__file__).parents[2] / "toolkit" / "hostside"
# What an observation names as damaged; it goes on without the others.
NAMED = {
    "deployment.json": "deployment.json",
    "deployments/x.json": "deployments/x.json",
    "guard/tiny.found.json": "guard/tiny.found.json",
    "guard/tiny.wish.json": "guard/tiny.wish.json",
    "guard/tiny.json": "guard/tiny.json",
    "router/routes.json": "router/routes.json",
    "router/keys.json": "router/keys.json",
    "slots/tiny-blue/manifest.json": "slots/tiny-blue/manifest.json",
}
READ = (*OTHERS, *NAMED, "guard/tiny%copy", "router/backends.cfg", "router/keys.map", "converged")


@pytest.fixture
def observe(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(HOSTSIDE))
    yield importlib.import_module("observe")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(HOSTSIDE)):
            del sys.modules[name]


@pytest.mark.parametrize(("at", "fault"), [("open", errno.EUCLEAN), ("read", errno.EIO)])
@pytest.mark.parametrize("path", sorted(set(READ)))
def test_a_file_that_the_disk_does_not_give_back_hides_nothing_else(
    observe: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    at: str,
    fault: int,
) -> None:
    furnish(tmp_path)
    broken = tmp_path / path
    broken.parent.mkdir(exist_ok=True)
    if not broken.exists():
        about = GUARDED if path.startswith("guard/tiny") else OPENED
        broken.write_text(json.dumps(about))
    before = observe.observe(str(tmp_path))
    assert before["damaged"] == []
    whole, opened = os.read, os.open

    def read(handle: int, size: int) -> bytes:
        if Path(f"/proc/self/fd/{handle}").readlink() == broken:
            raise OSError(fault, os.strerror(fault), str(broken))
        return whole(handle, size)

    def open_(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        folder = Path(f"/proc/self/fd/{dir_fd}").readlink() if dir_fd is not None else Path()
        if folder / name == broken:
            raise OSError(fault, os.strerror(fault), str(broken))
        return opened(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, at, read if at == "read" else open_)
    seen = observe.observe(str(tmp_path))
    assert seen["damaged"] == ([NAMED[path]] if path in NAMED else [])


def test_a_repair_makes_orders_of_guards_anew_that_the_disk_does_not_give_back(
    observe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards = importlib.import_module("guard_order")
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard/tiny%copy").write_text(json.dumps(GUARDED))
    broken = tmp_path / "guard/tiny.json"
    broken.write_text("")
    inode, whole = broken.stat().st_ino, os.read

    def read(handle: int, size: int) -> bytes:
        if os.fstat(handle).st_ino == inode:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(handle, size)

    monkeypatch.setattr(os, "read", read)
    # The release stays watched, by the copy.
    assert [each["rollout"] for each in guards.orders(str(tmp_path))] == ["x"]
    kept = broken.open()
    assert guards.repair(str(tmp_path)) == {"lost": []}
    assert guards.damaged(str(tmp_path)) == []
    kept.close()
    assert json.loads(broken.read_text()) == GUARDED


def test_a_state_that_the_disk_does_not_give_back_is_not_begun_anew(
    observe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = importlib.import_module("directory")

    def refused(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with directory.Directory(str(tmp_path)) as opened:
        monkeypatch.setattr(os, "open", refused)
        with pytest.raises(OSError, match="Input/output error"):
            opened.read("state.json")
