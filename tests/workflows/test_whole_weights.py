"""Weights are whole and stand once: at `pin`, at `plan` and at `pull`, from a Hub and from a directory."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pace import Pace
from tests.workflows.pin_desk import HEAD, Desk
from tests.workflows.pull_world import REPO, World
from tests.workflows.test_fit import CONFIG, VERSION
from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.sources.model_files import read_directory
from toolkit.adapters.store.store import Store
from toolkit.config.registry.lock_file import read_lock
from toolkit.domain import bounds
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.registry.model import HubSource
from toolkit.errors import SourceError
from toolkit.workflows.fleet.fit_plan import files_of, read_model

INDEX = "model.safetensors.index.json"
ONE, TWO, STRAY = (
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors",
)


def weights(*names: str, fill: bytes = b"\1") -> bytes:
    """Return a safetensors file with a tensor of four bytes for each name."""
    entries = {
        name: {"dtype": "I8", "shape": [4], "data_offsets": [4 * n, 4 * n + 4]}
        for n, name in enumerate(names)
    }
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + fill * 4 * len(names)


def index(**files: str) -> bytes:
    return json.dumps({"weight_map": files}).encode()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"a" * 64)
BASE = {"config.json": json.dumps(CONFIG).encode()}
SET = {**BASE, ONE: weights("a"), TWO: weights("b"), INDEX: index(a=ONE, b=TWO)}

# Files of a repository -> the words about them.
UNRELIABLE = {
    "two files with one tensor": (
        {**BASE, "model.safetensors": weights("a", "b"), "old.safetensors": weights("b", "c")},
        "the tensor 'b' stands in model.safetensors and in old.safetensors",
    ),
    "one tensor in two files of the index": (
        {**SET, TWO: weights("a", "b")},
        f"the tensor 'a' stands in {ONE} and in {TWO}",
    ),
    "a tensor that its file lacks": (
        {**SET, INDEX: index(a=ONE, b=TWO, c=TWO)},
        f"{INDEX} names the tensor 'c' in {TWO}, which has no tensor of that name",
    ),
    "a tensor that the only file lacks": (
        {**BASE, STRAY: weights("a"), INDEX: index(a=STRAY, b=STRAY)},
        f"{INDEX} names the tensor 'b' in {STRAY}, which has no tensor of that name",
    ),
    "a part that the index names": (
        {path: data for path, data in SET.items() if path != TWO},
        f"{INDEX} names {TWO}, which is not there",
    ),
    "a part that the names count": (
        {**BASE, ONE: weights("a")},
        f"{TWO} is not there",
    ),
    "an index that is none": ({**SET, INDEX: b"[]"}, f"{INDEX} is no index of weights"),
    "an index without an end": (
        {**SET, INDEX: b'{"weight_map":' * 50_000},
        f"{INDEX} is no index of weights: deeper than 64 levels",
    ),
    "an index that leads out": (
        {**SET, INDEX: index(a="../../etc/passwd")},
        "it names the file '../../etc/passwd'",
    ),
    "an index that names no weights": (
        {**SET, INDEX: index(a="config.json")},
        f"{INDEX} names config.json, which no engine reads as weights",
    ),
    "a part below a directory": (
        {**SET, "sub/" + TWO: weights("b"), INDEX: index(a=ONE, b="sub/" + TWO)},
        f"{INDEX} names sub/{TWO}, which no engine reads as weights",
    ),
    "a pickle in place of the weights": (
        {**BASE, STRAY: b"PK\x03\x04\0\0\x08\x08\0\0" + b"archive/data.pkl" * 20},
        "a pickle in place of the weights, and loading one can run code",
    ),
    "a bare pickle in place of the weights": (
        {**BASE, STRAY: b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(300)},
        "a pickle in place of the weights, and loading one can run code",
    ),
    "a pointer in place of the weights": (
        {**BASE, "model.safetensors": POINTER},
        "model.safetensors is a pointer of Git LFS",
    ),
    "a pointer in place of one part": (
        {**SET, TWO: POINTER},
        f"{TWO} is a pointer of Git LFS",
    ),
    "a pointer in place of the tokenizer": (
        {**SET, "tokenizer.json": POINTER},
        "tokenizer.json is a pointer of Git LFS",
    ),
    "one file of several that is none": (
        {**SET, TWO: b"\xff" * 300},
        f"{TWO}",
    ),
    "an overlap in one of several": (
        {
            **SET,
            TWO: weights("b", "c").replace(b'"data_offsets": [4, 8]', b'"data_offsets": [0, 4]'),
        },
        "overlaps the data before it",
    ),
    "an overlap in the only file": (
        {
            **BASE,
            STRAY: weights("b", "c").replace(b'"data_offsets": [4, 8]', b'"data_offsets": [0, 4]'),
        },
        "overlaps the data before it",
    ),
    "no tensor in the only file": ({**BASE, STRAY: weights()}, "its files have no tensor"),
    "no tensor in any file": (
        {**BASE, ONE: weights(), TWO: weights()},
        "its files have no tensor",
    ),
    "a header longer than the file": (
        {**BASE, STRAY: struct.pack("<Q", 500) + b"{}"},
        "a header of 500 bytes in a file of 10",
    ),
    "a pickle by another name": (
        {**BASE, STRAY: b"\x80\x04\x95" + b"cos\nsystem\n" * 20},
        "a pickle in place of the weights",
    ),
    "data that end before the only file": (
        {**BASE, STRAY: weights("a") + bytes(4)},
        "its tensors end at byte",
    ),
    "data that end after the only file": (
        {**BASE, STRAY: weights("a")[:-1]},
        "its tensors end at byte",
    ),
    "an only file of four bytes": (
        {**BASE, STRAY: b"abcd"},
        "shorter than the beginning of a safetensors file",
    ),
}
CASES = pytest.mark.parametrize(("files", "words"), UNRELIABLE.values(), ids=UNRELIABLE.keys())


@CASES
def test_a_pin_refuses_them(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    desk = Desk(tmp_path)
    desk.publish(files)
    before = desk.texts()
    with pytest.raises(SourceError) as caught:
        desk.pin(name="x")
    assert words in caught.value.message
    assert "acme/tiny" in caught.value.message
    assert "toolkit registry pin" in caught.value.hint
    assert desk.texts() == before


@CASES
def test_a_pin_of_a_directory_refuses_them(
    tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    desk = Desk(tmp_path)
    desk.path.write_text(HEAD.replace("{repo: acme/tiny}", "{path: ./house}"))
    for path, data in files.items():
        (tmp_path / "house" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "house" / path).write_bytes(data)
    with pytest.raises(SourceError) as caught:
        desk.pin(name="x")
    assert words in caught.value.message


@CASES
def test_a_pull_of_an_older_pin_refuses_them(
    tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    """A lock of a former version of the toolkit may hold them."""
    world = World(tmp_path)
    version, snapshot = world.pin(files, "2")
    with pytest.raises(SourceError) as caught:
        world.pull(version, snapshot)
    assert words in caught.value.message
    assert "tiny@2" in caught.value.message
    assert not world.store.has(snapshot)
    assert [name for name in world.litter() if not name.startswith(".")] == []


@pytest.mark.parametrize("path", [ONE, INDEX])
def test_a_part_that_is_missing_is_known_before_the_large_files_come(
    tmp_path: Path, path: str
) -> None:
    world = World(tmp_path)
    large = weights(*(f"t{number}" for number in range(200)))
    files = {**SET, ONE: large, TWO: POINTER}
    if path == INDEX:
        files = {**BASE, ONE: large, INDEX: index(a=ONE, b=TWO)}
    version, snapshot = world.pin(files, "2")
    with pytest.raises(SourceError):
        world.pull(version, snapshot)
    assert ONE not in world.hub.downloads


# A pointer in place of the tokenizer is nothing that a plan reads.
PLANNED = {
    name: case for name, case in UNRELIABLE.items() if name != "a pointer in place of the tokenizer"
}


@pytest.mark.parametrize(("files", "words"), PLANNED.values(), ids=PLANNED.keys())
@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "not pinned"])
def test_a_plan_refuses_them(
    tmp_path: Path, files: dict[str, bytes], words: str, pinned: bool
) -> None:
    world = World(tmp_path)
    version, snapshot = world.pin(files, "2")
    with pytest.raises(SourceError) as caught:
        plan_of(world.hub, version.revision, snapshot if pinned else None, tmp_path)
    assert words.removesuffix(" is a pointer of Git LFS") in caught.value.message


@pytest.mark.parametrize(("files", "words"), PLANNED.values(), ids=PLANNED.keys())
def test_a_plan_refuses_them_in_the_store_too(
    tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    world = World(tmp_path)
    _, snapshot = world.pin(files, "2")
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    with pytest.raises(SourceError) as caught:
        read_directory(tmp_path, snapshot, hint="a hint")
    assert words.removesuffix(" is a pointer of Git LFS") in caught.value.message
    assert caught.value.hint == "a hint"


def plan_of(hub: FakeHub, revision: str, pinned: Snapshot | None, place: Path) -> list[str]:
    """Return the tensors that a plan counts."""
    version = replace(VERSION, source=HubSource(REPO), revision=revision)
    snapshot = files_of(version, pinned, lambda: hub)
    read = read_model(version, snapshot, Store(place / "none"), lambda: hub)
    return sorted(tensor.name for tensor in read.tensors)


def test_with_an_index_exactly_its_files_are_kept(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    files = {**SET, STRAY: weights("a", "b", fill=b"\2"), "adapter.safetensors": weights("a")}
    files["../up.json"] = b"{}"
    revision = desk.publish(files)
    pinned = desk.pin(name="x")
    assert {file.path for file in pinned.snapshot.files} == set(SET)
    assert pinned.left_out == {
        "../up.json": "hidden file",
        "adapter.safetensors": f"weights that {INDEX} does not name",
        STRAY: f"weights that {INDEX} does not name",
    }
    snapshot = read_lock(desk.path).snapshot_of(pinned.version)
    assert snapshot == pinned.snapshot
    assert plan_of(desk.hub, revision, None, tmp_path) == ["a", "b"]


def test_a_plan_of_an_older_pin_counts_the_files_of_its_index_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    version, snapshot = world.pin({**SET, STRAY: weights("a", "b", "c")}, "2")
    assert plan_of(world.hub, version.revision, snapshot, tmp_path) == ["a", "b"]
    world.pull(version, snapshot)
    assert world.store.has(snapshot)


def test_what_an_older_pull_left_in_the_store_is_looked_at_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    files = {**BASE, "a.safetensors": weights("a"), "b.safetensors": weights("b")}
    version, snapshot = world.pin(files, "2")
    world.pull(version, snapshot)
    assert world.pull(version, snapshot).already_there
    stored = world.store.path(snapshot) / "b.safetensors"
    stored.unlink()
    stored.write_bytes(weights("a"))
    with pytest.raises(SourceError, match=r"the tensor 'a' stands in a\.safetensors and in b"):
        world.pull(version, snapshot)


PATHS = [
    (["tokenizer.json", "tokenizer.json/x.json"], "one of its directories is also a file"),
    (["a/b.json", "a/b.json/c/d.json"], "one of its directories is also a file"),
    (["README.md", "readme.md"], "'README.md' and 'readme.md', which are one name"),
    (["sub/a.json", "SUB/b.json"], "'SUB' and 'sub', which are one name"),
    (["stra\u00dfe.json", "strasse.json"], "which are one name"),
    (["\u00e9.json", "e\u0301.json"], "which are one name"),
    (["a\0.json"], "no name of a file"),
    (["a\n.json"], "no name of a file"),
    (["a\u202e.json"], "no name of a file"),
    (["/etc/a.json"], "it leads out"),
    (["a\\b.json"], "it leads out"),
    (["x" * 300 + ".json"], "no name of a file"),
    (["\u00fc" * 130 + ".json"], "no name of a file"),
    (["/".join(["d"] * 40) + "/a.json"], "no name of a file"),
    (["/".join(["d" * 100] * 11) + "/a.json"], "no name of a file"),
]


@pytest.mark.parametrize(("paths", "words"), PATHS, ids=range(len(PATHS)))
def test_names_that_no_disk_can_hold_together_are_refused(
    tmp_path: Path, paths: list[str], words: str
) -> None:
    desk = Desk(tmp_path)
    revision = desk.publish({**SET, **dict.fromkeys(paths, b"{}")})
    with pytest.raises(SourceError) as pinning:
        desk.pin(name="x")
    with pytest.raises(SourceError) as planning:
        plan_of(desk.hub, revision, None, tmp_path)
    for caught in (pinning, planning):
        assert words in caught.value.message
        assert len(caught.value.message) < 300


def test_many_small_files_are_read_at_once(tmp_path: Path, pace: Pace) -> None:
    """Each answer of the Hub takes 10 ms: one after the other, 400 would take 4 s."""
    desk = Desk(tmp_path)
    desk.publish({**SET, **{f"d/{number}.json": b"%d" % number for number in range(400)}})
    read = desk.hub.read_small

    def slowly(repo: str, revision: str, path: str) -> bytes:
        time.sleep(0.01)
        return read(repo, revision, path)

    desk.hub.read_small = slowly  # type: ignore[method-assign]
    started = pace()
    pinned = desk.pin(name="x")
    assert pace() - started < 2
    paths = [file.path for file in pinned.snapshot.files]
    assert paths == sorted(paths)
    assert len(paths) == 404


def test_more_files_than_a_snapshot_holds_are_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    many = {f"{number}.json": b"" for number in range(bounds.KEPT)}
    desk.publish({**SET, **many})
    with pytest.raises(SourceError, match=f"a snapshot has at most {bounds.KEPT}"):
        desk.pin(name="x")
