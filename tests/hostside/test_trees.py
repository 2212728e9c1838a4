"""A tree on its host is linked from other trees, received, checked and published by one rename, or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import toolkit.hostside
from toolkit.hostside.commands import COMMANDS

HOSTSIDE = str(Path(toolkit.hostside.__file__).parent)
ONE, TWO = b"one" * 1000, b"two" * 70000


class Place:
    """The host side, with a root of its own."""

    def __init__(self, root: Path, umask: int = 0o022) -> None:
        self.root, self.umask = root, umask
        self.snapshots = root / "snapshots"

    def ask(self, command: str, name: str, files: dict[str, bytes], **more: Any) -> dict[str, Any]:
        data = more.pop("data", b"")
        wanted = [(path, len(text), _sha256(text)) for path, text in files.items()]
        request = {
            "root": str(self.root),
            "kind": "snapshots",
            "name": name,
            "files": more.pop("wanted", wanted),
            **more,
        }
        pipe, argv = subprocess.PIPE, [sys.executable, "-I", HOSTSIDE, command]
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe, umask=self.umask) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(request).encode() + b"\n" + data)
            process.stdin.flush()
            if COMMANDS[command].streams:
                process.stdin.close()
            *_, last = process.stdout
        answer: dict[str, Any] = json.loads(last)
        return answer

    def receive(
        self, name: str, files: dict[str, bytes], data: bytes, start: int = 0
    ) -> dict[str, Any]:
        send = [(path, start) for path in files]
        return self.ask("tree-receive", name, files, send=send, data=data)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_arrives_is_in_place_once_all_of_it_is_right(place: Place) -> None:
    files = {"a": ONE, "sub/b": TWO, "empty": b""}
    looked = place.ask("tree-survey", "v1", files)["result"]
    assert looked["missing"] == ["a", "sub/b", "empty"]
    assert place.receive("v1", files, ONE + TWO) == {"result": {"wrong": []}}
    assert (place.snapshots / "v1/sub/b").read_bytes() == TWO
    assert (place.snapshots / "v1/sub/b").stat().st_mode & 0o777 == 0o444
    assert place.ask("tree-survey", "v1", files)["result"] == {"present": True}


def test_a_wrong_byte_is_named_and_nothing_is_in_place(place: Place) -> None:
    assert place.receive("v1", {"a": ONE}, b"x" + ONE[1:]) == {"result": {"wrong": ["a"]}}
    assert [each.name for each in place.snapshots.iterdir()] == [".v1.partial"]
    assert list((place.snapshots / ".v1.partial").rglob("a")) == []


def test_a_lost_connection_leaves_what_came_and_the_rest_completes_it(place: Place) -> None:
    files = {"b": TWO}
    assert "before the end of b" in place.receive("v1", files, TWO[:500])["error"]
    looked = place.ask("tree-survey", "v1", files)["result"]
    assert (looked["missing"], looked["arrived"]) == (["b"], {"b": 500})
    assert place.receive("v1", files, TWO[500:], start=500) == {"result": {"wrong": []}}
    assert (place.snapshots / "v1/b").read_bytes() == TWO


def test_files_of_another_tree_are_linked_unless_they_have_changed(place: Place) -> None:
    place.receive("v1", {"a": ONE, "b": TWO}, ONE + TWO)
    spoilt = place.snapshots / "v1/b"
    spoilt.chmod(0o644)
    spoilt.write_bytes(bytes(len(TWO)))
    files = {"elsewhere/a": ONE, "b": TWO}
    assert place.ask("tree-survey", "v2", files)["result"]["missing"] == ["b"]
    place.ask("tree-receive", "v2", files, send=[("b", 0)], data=TWO)
    assert (place.snapshots / "v2/elsewhere/a").samefile(place.snapshots / "v1/a")


def test_a_tree_that_was_removed_lends_nothing(place: Place) -> None:
    place.receive("v1", {"a": ONE}, ONE)
    place.ask("remove", "v1", {})
    assert place.ask("tree-survey", "v2", {"a": ONE})["result"]["missing"] == ["a"]
    assert list((place.snapshots / ".digests").iterdir()) == []


@pytest.mark.parametrize("entry", [None, 5, "x", [], [1], [[1], "x"], [3000, None], {"a": 1}])
def test_a_damaged_list_of_another_trees_files_stops_no_transfer(place: Place, entry: Any) -> None:
    place.receive("v1", {"a": ONE, "b": TWO}, ONE + TWO)
    listing = place.snapshots / ".digests/v1.json"
    listing.write_text(json.dumps({**json.loads(listing.read_text()), "b": entry}))
    assert place.ask("tree-survey", "v2", {"a": ONE, "b": TWO})["result"]["missing"] == ["b"]


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077], ids=oct)
@pytest.mark.parametrize("way", ["received", "linked", "copied"])
def test_every_user_can_read_a_tree_whatever_the_umask(
    tmp_path: Path, umask: int, way: str
) -> None:
    place, source = Place(tmp_path / "root", umask), tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/b").write_bytes(TWO)
    (source / "sub/b").chmod(0o600)
    if way == "received":
        place.receive("v1", {"sub/b": TWO}, TWO)
    else:
        kind = {"copied": "/dev/shm"}.get(way)
        with tempfile.TemporaryDirectory(dir=kind) as other:
            there = source if way == "linked" else Path(shutil.copytree(source, f"{other}/s"))
            place.ask("place", "v1", {}, digest="v1", source=str(there), wanted=["sub/b"])
    assert open_to_all(place.snapshots / "v1")


def test_a_tree_that_an_older_toolkit_closed_is_opened_when_it_is_wanted_again(
    place: Place,
) -> None:
    place.receive("v1", {"sub/b": TWO}, TWO)
    for path in (place.snapshots / "v1", place.snapshots / "v1/sub", place.snapshots / "v1/sub/b"):
        path.chmod(0o700 if path.is_dir() else 0o400)
    assert place.ask("tree-survey", "v1", {"sub/b": TWO}) == {"result": {"present": True}}
    assert open_to_all(place.snapshots / "v1")


def open_to_all(top: Path) -> bool:
    """Whether every user can read the tree, and only its owner write to it."""
    found = {each: stat.S_IMODE(each.stat().st_mode) for each in (top.parent, top, *top.rglob("*"))}
    return {mode for each, mode in found.items() if each.is_dir()} == {0o755} and {
        mode & 0o477 for each, mode in found.items() if each.is_file()
    } == {0o444}


@pytest.mark.parametrize("path", ["../a", "/a", "sub//a", "sub/../a", "."])
def test_a_path_that_leaves_the_tree_is_refused(place: Place, path: str) -> None:
    assert "does not lie in a tree" in place.ask("tree-survey", "v1", {path: ONE})["error"]


def test_a_host_without_room_is_told_before_the_first_byte(place: Place) -> None:
    answer = place.ask("tree-survey", "v1", {}, wanted=[("a", 10**18, "0" * 64)])
    assert f"no room in {place.snapshots}: 1000000000.1 GB needed, " in answer["error"]


def _sha256(text: bytes) -> str:
    return hashlib.file_digest(io.BytesIO(text), "sha256").hexdigest()
