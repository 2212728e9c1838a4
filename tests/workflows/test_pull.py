"""A pull brings exactly what is pinned into the store, or says why not and leaves nothing."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.pull_world import FILES, POLICY, REPO, WEIGHTS, Report, World, world
from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.hub.errors import Fault
from toolkit.adapters.store.staging import Staging
from toolkit.adapters.store.store import Store
from toolkit.domain.files.snapshot import FileDigest
from toolkit.errors import IntegrityError, RefusedError, SourceError
from toolkit.workflows.files.pull import Pulled, pull

__all__ = ["world"]


def test_a_pull_brings_every_file_and_tells_how(world: World) -> None:
    done = world.pull()
    assert world.store.has(world.snapshot)
    assert {p: (done.path / p).read_bytes() for p in FILES} == FILES
    assert (done.fetched, done.resumed, done.already_there) == (world.snapshot.size, 0, False)
    assert world.report.begun == ("tiny@1", 3, world.snapshot.size)
    assert world.report.bytes == {path: len(content) for path, content in FILES.items()}
    assert sorted(world.report.done) == sorted(FILES)
    assert world.report.notes == []
    assert world.litter() == []
    (stored,) = world.store.list()
    assert (stored.licence, stored.pulled_at) == ("mit", 1000.0)


def test_a_second_pull_asks_nobody_and_changes_nothing(world: World) -> None:
    first = world.pull()
    world.hub.downloads.clear()
    world.hub.fail(REPO, Fault.OFFLINE)
    before = {p: p.stat().st_mtime_ns for p in world.store.root.rglob("*")}
    again = world.pull()
    assert again.already_there
    assert world.opened == 1
    assert (again.path, again.fetched) == (first.path, 0)
    assert world.hub.downloads == []
    assert {p: p.stat().st_mtime_ns for p in world.store.root.rglob("*")} == before


def test_a_new_version_fetches_only_what_changed(world: World) -> None:
    world.pull()
    world.hub.downloads.clear()
    version, snapshot = world.pin({**FILES, "config.json": b'{"a": 2}'}, "2")
    done = world.pull(version, snapshot)
    assert world.hub.downloads == ["config.json"]
    assert done.fetched == 8
    assert {each.revision for each in world.store.list()} == {
        snapshot.revision,
        world.snapshot.revision,
    }


def test_a_licence_that_policy_does_not_allow_stops_before_anything(world: World) -> None:
    version = replace(world.version, licence="cc-by-nc-4.0")
    with pytest.raises(RefusedError, match=r"cc-by-nc-4\.0"):
        world.pull(version)
    assert world.hub.downloads == []
    assert not world.store.root.exists()
    assert world.report.begun is None


def test_a_full_disk_is_seen_before_the_first_byte(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "free_space", lambda _: 1_000_000)
    with pytest.raises(SourceError, match=r"downloads 2.56 MB.* has 1 MB free") as caught:
        world.pull()
    assert str(world.store.root) in caught.value.message
    assert "toolkit prune" in caught.value.hint
    assert world.hub.downloads == []
    assert world.litter() == []


def test_a_repository_of_another_name_is_said(world: World) -> None:
    world.hub.rename(REPO, "mallory/tiny")
    world.pull()
    assert world.report.notes == [
        f"{REPO} is mallory/tiny on the Hub; its files must be the pinned ones"
    ]


def test_what_is_there_needs_no_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.pull()
    monkeypatch.setattr(Store, "free_space", lambda _: 0)
    assert world.pull().already_there


def test_a_file_that_another_command_removes_once_it_was_seen_is_fetched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, gone = Staging.link, set[str]()

    def removed_before(self: Staging, file: FileDigest) -> bool:
        (world.store.blobs / file.sha256).unlink(missing_ok=True)
        gone.add(file.path)
        return link(self, file)

    monkeypatch.setattr(Staging, "link", removed_before)
    has_blob = Store.has_blob
    monkeypatch.setattr(
        Store, "has_blob", lambda self, file: file.path not in gone or has_blob(self, file)
    )
    # Each file looks as if another pull had just brought it.
    monkeypatch.setattr(Staging, "link_present", lambda self: world.snapshot.files)
    world.pull()
    assert world.store.verify(world.snapshot) == ()


def test_a_changed_byte_is_put_aside_and_named(world: World) -> None:
    world.hub.flip_byte(REPO, "model.safetensors")
    with pytest.raises(
        IntegrityError, match=r"tiny@1 is not usable.*model.safetensors: sha256"
    ) as e:
        world.pull()
    (kept,) = world.store.quarantined.iterdir()
    assert str(kept) in e.value.message
    assert kept.read_bytes() != WEIGHTS
    assert len(kept.read_bytes()) == len(WEIGHTS)
    assert not world.store.has(world.snapshot)
    assert world.store.list() == ()
    assert not world.store.has_blob(world.snapshot.files[1])
    assert "toolkit pull tiny@1" in e.value.hint


def test_the_git_blob_of_small_files_is_compared_too(world: World) -> None:
    wrong = tuple(
        replace(file, git_sha1="0" * 40) if file.path == "config.json" else file
        for file in world.snapshot.files
    )
    with pytest.raises(IntegrityError, match=r"config\.json: git blob"):
        world.pull(snapshot=replace(world.snapshot, files=wrong))


def test_a_broken_pull_goes_on_where_it_stopped(world: World) -> None:
    world.hub.cut(REPO, "model.safetensors", 2_000_000)
    with pytest.raises(SourceError, match="broke the connection"):
        world.pull()
    (weights,) = [f for f in world.snapshot.files if f.path == "model.safetensors"]
    # Of the small files that were under way beside it, what had come is kept as well.
    assert weights.sha256 in world.litter()
    others = sum(each.size for each in world.snapshot.files if each != weights)
    done = world.pull()
    assert 2_000_000 <= done.resumed <= 2_000_000 + others
    assert world.report.bytes["model.safetensors"] == len(WEIGHTS)
    assert world.store.verify(world.snapshot) == ()
    assert world.litter() == []


def test_a_damaged_beginning_is_fetched_anew(world: World) -> None:
    (weights,) = [f for f in world.snapshot.files if f.path == "model.safetensors"]
    data = world.store.partial / weights.sha256 / "data"
    data.parent.mkdir(parents=True)
    data.write_bytes(b"\0" * 1_000_000)
    world.pull()
    assert world.store.verify(world.snapshot) == ()
    assert world.report.notes == ["the kept part of model.safetensors is damaged; fetching it anew"]
    assert world.report.bytes["model.safetensors"] == len(WEIGHTS)
    assert world.litter() == []


@pytest.mark.parametrize("trouble", [Fault.GATED, Fault.OFFLINE, Fault.RATE_LIMITED])
def test_trouble_of_the_hub_is_passed_on_and_leaves_nothing(world: World, trouble: Fault) -> None:
    world.hub.fail(REPO, trouble)
    with pytest.raises(SourceError) as caught:
        world.pull()
    assert caught.value.hint
    assert world.litter() == []
    assert world.report.ended == 1


def test_ctrl_c_keeps_the_beginning_and_says_how_to_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.workflows.files import pool as pull_pool

    came = threading.Event()
    joined = threading.Thread.join

    def advance(path: str, size: int) -> None:
        came.set()

    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        if threading.current_thread() is threading.main_thread() and not interrupted:
            assert came.wait(60)
            interrupted.append(True)
            raise KeyboardInterrupt
        joined(thread, timeout)

    interrupted: list[bool] = []
    report = Report()
    report.advance = advance  # type: ignore[method-assign]
    monkeypatch.setattr(pull_pool.threading.Thread, "join", join)
    with pytest.raises(KeyboardInterrupt):
        pull(world.version, world.snapshot, world.store, world.open_hub, POLICY, report)
    assert report.notes == ["interrupted; what came is kept, to go on: toolkit pull tiny@1"]
    assert not world.store.has(world.snapshot)
    monkeypatch.undo()
    world.pull()
    assert world.store.verify(world.snapshot) == ()
    assert world.litter() == []


def test_two_pulls_of_the_same_version_fetch_each_file_once(world: World) -> None:
    outcomes: list[Pulled] = []

    def run() -> None:
        outcomes.append(
            pull(world.version, world.snapshot, world.store, world.open_hub, POLICY, Report())
        )

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(outcomes) == 2
    assert sorted(world.hub.downloads) == sorted(FILES)
    assert world.store.verify(world.snapshot) == ()
    assert world.litter() == []


def test_a_store_that_cannot_be_written_is_said_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FakeHub, "download", full)
    with pytest.raises(SourceError, match="No space left on device") as caught:
        world.pull()
    assert "df -h" in caught.value.hint


def test_a_commit_that_is_gone_upstream_is_told_with_what_is_held(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.pull()
    newer, snapshot = world.pin({**FILES, "config.json": b"{ }"}, "2")
    world.hub.drop(REPO, newer.revision)
    with pytest.raises(SourceError) as caught:
        pull(newer, snapshot, world.store, lambda: world.hub, POLICY, world.report)
    assert caught.value.message == (
        f"tiny@2 is gone upstream: acme/tiny has no revision {newer.revision}; 2 of its 3 files are in the store"
    )
    assert caught.value.hint.endswith("pin what its source has now: toolkit registry pin tiny")
    assert caught.value.gone

    # What the store holds whole needs no Hub.
    world.hub.drop(REPO, world.version.revision)
    assert world.pull().already_there
