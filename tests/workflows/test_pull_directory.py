"""A directory as a source is copied and verified, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.pull_world import FILES, World, digests_of, world
from toolkit.domain.files.snapshot import Snapshot, content_revision
from toolkit.domain.registry.model import LocalSource, Version
from toolkit.errors import IntegrityError, SourceError

__all__ = ["world"]


@pytest.fixture
def local(world: World) -> tuple[Version, Snapshot, Path]:
    place = world.place / "house"
    digests = digests_of(place, FILES)
    revision = content_revision(digests)
    source = LocalSource(str(place), "tiny")
    version = replace(world.version, source=source, revision=revision)
    return version, Snapshot(source.key, revision, digests), place


def test_a_directory_is_copied_and_verified(
    world: World, local: tuple[Version, Snapshot, Path]
) -> None:
    version, snapshot, place = local
    done = world.pull(version, snapshot)
    assert done.path == world.store.root / "snapshots" / "local--tiny" / version.revision / "files"
    assert {p: (done.path / p).read_bytes() for p in FILES} == FILES
    assert world.hub.downloads == []
    # A copy: what happens to the directory later does not reach the store.
    (place / "config.json").write_bytes(b"changed")
    assert world.store.verify(snapshot) == ()


def test_a_directory_that_changed_since_the_pin_is_refused(
    world: World, local: tuple[Version, Snapshot, Path]
) -> None:
    version, snapshot, place = local
    (place / "config.json").write_bytes(b"[]")
    with pytest.raises(IntegrityError, match=r"config.json: sha256") as caught:
        world.pull(version, snapshot)
    assert "toolkit registry pin tiny" in caught.value.hint
    assert not world.store.has(snapshot)
    # What was copied is still in the directory: each try would keep it once more.
    assert not list(world.store.quarantined.glob("*"))
    assert "moved" not in caught.value.message


def test_a_directory_that_lacks_a_file_is_refused(
    world: World, local: tuple[Version, Snapshot, Path]
) -> None:
    version, snapshot, place = local
    (place / "config.json").unlink()
    with pytest.raises(SourceError, match=r"house/config.json: No such file"):
        world.pull(version, snapshot)
    assert not world.store.has(snapshot)
