"""A directory is pinned by its content."""

from __future__ import annotations

import hashlib
import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from tests.workflows.pin_desk import FILES, HEAD, Desk
from toolkit.config.registry.lock_file import lock_path
from toolkit.config.registry.reading import load_registry
from toolkit.domain.files.snapshot import FileDigest, content_revision
from toolkit.errors import InputError, IntegrityError, SourceError


class House(Desk):
    """A desk whose model is a directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.path.write_text(HEAD.replace("{repo: acme/tiny}", "{path: ./house}"))
        self.house = directory / "house"
        self.text = self.path.read_text()
        (self.house / ".cache").mkdir(parents=True)
        (self.house / ".cache" / "x.json").write_bytes(b"{}")
        for path, content in FILES.items():
            (self.house / path).write_bytes(content)


def test_a_directory_is_hashed_and_its_revision_is_its_content(tmp_path: Path) -> None:
    desk = House(tmp_path)
    pinned = desk.pin(name="a")
    files = tuple(
        FileDigest(path, len(FILES[path]), hashlib.sha256(FILES[path]).hexdigest(), blob(path))
        for path in ("README.md", "config.json", "model.safetensors")
    )
    assert pinned.snapshot.files == files
    assert pinned.version.revision == content_revision(files)
    assert pinned.snapshot.source == "local/tiny"
    assert not desk.pin().changed

    (desk.house / "model.safetensors").write_bytes(b"tuned again")
    assert desk.pin(name="b").registry_changed
    assert [v.name for v in load_registry(desk.path).model("tiny").versions] == ["a", "b"]


def blob(path: str) -> str:
    content = FILES[path]
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def test_a_directory_that_is_missing_changed_or_asked_for_a_branch(tmp_path: Path) -> None:
    desk = House(tmp_path)
    with pytest.raises(InputError, match="tiny is a directory, which has no 'main'"):
        desk.pin("main")
    desk.pin(name="a")
    lock_path(desk.path).unlink()
    (desk.house / "config.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="is no longer what was pinned"):
        desk.lock()
    desk.house.rename(tmp_path / "gone")
    with pytest.raises(SourceError, match="is no directory"):
        desk.lock()


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    desk = House(tmp_path)
    elsewhere = tmp_path / "blobs"
    elsewhere.mkdir()
    (desk.house / "config.json").rename(elsewhere / "b1")
    (desk.house / "config.json").symlink_to(elsewhere / "b1")
    (elsewhere / "pooling.json").write_bytes(b"[]")
    (desk.house / "1_Pooling").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(desk.house)
    kept = {each.path: each.sha256 for each in desk.pin(name="a").snapshot.files}
    assert kept["config.json"] == hashlib.sha256(FILES["config.json"]).hexdigest()
    assert kept["1_Pooling/pooling.json"] == hashlib.sha256(b"[]").hexdigest()
    assert sorted(kept) == [
        "1_Pooling/pooling.json",
        "README.md",
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize("name", ["generation_config.json", "model-2.safetensors", "config.json"])
@pytest.mark.parametrize("kind", ["nothing", "pipe", "socket", "circle"])
def test_what_is_no_file_is_no_part_of_a_model_and_is_not_passed_over(
    tmp_path: Path, name: str, kind: str
) -> None:
    desk = House(tmp_path)
    path = desk.house / name
    path.unlink(missing_ok=True)
    make(path, kind)
    with pytest.raises(SourceError, match=f"house/{name} cannot be read: ") as caught:
        desk.pin()
    assert (desk.path.read_text(), lock_path(desk.path).exists()) == (desk.text, False)
    assert caught.value.hint == f"ls -lL {desk.house}"


@pytest.mark.parametrize("kind", ["nothing", "pipe", "socket", "circle"])
def test_what_no_engine_needs_is_left_out_whatever_it_is(tmp_path: Path, kind: str) -> None:
    desk = House(tmp_path)
    make(desk.house / "trainer.sock", kind)
    assert desk.pin().left_out["trainer.sock"] == "not needed to serve"


def make(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path.symlink_to("absent" if kind == "nothing" else path.name)


@pytest.mark.parametrize("name", ["Config.json", "model.safetensors.index.json"])
def test_what_is_wrong_with_a_directory_is_corrected_in_it(tmp_path: Path, name: str) -> None:
    """A directory has no other revision, which the hint about a repository names."""
    desk = House(tmp_path)
    (desk.house / name).write_bytes(b"[]")
    with pytest.raises(SourceError) as caught:
        desk.pin(name="x")
    assert caught.value.hint.startswith("correct the files in ")
    assert caught.value.hint.endswith("house, then: toolkit registry pin tiny")


def test_an_index_of_any_size_is_read_so_far_and_no_further(tmp_path: Path) -> None:
    desk = House(tmp_path)
    with (desk.house / "model.safetensors.index.json").open("wb") as file:
        file.truncate(2**30)
    tracemalloc.start()
    with pytest.raises(SourceError, match="larger than"):
        desk.pin(name="x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**29
