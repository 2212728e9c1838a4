"""The swarm's library on a host: root loads it, so it counts with exactly the files of its wheel."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import swarm_library

NAME = "libtorrent-2.1.1-cp311"
FILES = {"libtorrent/__init__.py": "VERSION = 1\n", "libtorrent/core.so": "\x7fELF"}


def unpack(root: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in FILES.items():
            archive.writestr(path, text)
    wheel = packed.getvalue()
    digest = hashlib.sha256(wheel).hexdigest()
    request = {"root": str(root), "name": NAME, "size": len(wheel), "sha256": digest}
    assert swarm_library.unpack(request, io.BytesIO(wheel)) == {}


def change(top: Path) -> None:
    (top / "libtorrent/core.so").write_text("\x7fELG")


def compile_beside(top: Path) -> None:
    place = top / "libtorrent/__pycache__"
    place.mkdir()
    (place / f"__init__.{sys.implementation.cache_tag}.pyc").write_bytes(b"x")


def add(top: Path) -> None:
    (top / "socket.py").write_text("raise SystemExit\n")


def link(top: Path) -> None:
    (top / "socket").symlink_to("/tmp")


def remove(top: Path) -> None:
    (top / "libtorrent/__init__.py").unlink()


def open_to_all(top: Path) -> None:
    (top / "libtorrent/__init__.py").chmod(0o666)


def unsealed(top: Path) -> None:
    (top.parents[1] / f"seals/{NAME}.json").unlink()


@pytest.mark.parametrize(
    "damage", [change, compile_beside, add, link, remove, open_to_all, unsealed]
)
def test_a_library_that_is_not_as_its_wheel_had_it_is_unpacked_anew(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    root, top = str(tmp_path), tmp_path / "bin" / NAME
    unpack(tmp_path)
    assert swarm_library.libraries(root) == [NAME]
    damage(top)
    assert swarm_library.libraries(root) == []
    with pytest.raises(ValueError, match=f"bin/{NAME} is not as it was unpacked"):
        swarm_library.use(root, NAME)
    unpack(tmp_path)
    assert swarm_library.libraries(root) == [NAME]
    assert [each.name for each in top.parent.iterdir()] == [NAME]
    assert {str(each.relative_to(top)) for each in top.rglob("*") if not each.is_dir()} == {*FILES}


def test_a_whole_library_stays_where_another_process_unpacks_it_too(tmp_path: Path) -> None:
    unpack(tmp_path)
    before = (tmp_path / "bin" / NAME / "libtorrent").stat().st_ino
    unpack(tmp_path)
    assert (tmp_path / "bin" / NAME / "libtorrent").stat().st_ino == before


def test_its_use_leaves_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    swarm_library.use(str(tmp_path), NAME)
    assert sys.dont_write_bytecode
    assert sys.path[0] == str(tmp_path / "bin" / NAME)
