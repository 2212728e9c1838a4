"""A directory is pinned by its content."""

from __future__ import annotations

import hashlib
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
