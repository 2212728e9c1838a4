"""The store has verified, complete snapshots alone, even if processes are killed while they use it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from toolkit.adapters.store import store as stored
from toolkit.adapters.store.copying import copy_file
from toolkit.adapters.store.hashing import digest_file
from toolkit.adapters.store.store import KEEP, Store
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.errors import InputError

REVISION = "a" * 40
FILES = {"config.json": b"{}", "model.safetensors": bytes(3_000_000), "deep/er/x.txt": b"x"}


def add(
    store: Store, files: dict[str, bytes], revision: str = REVISION, source: str = "acme/tiny"
) -> Snapshot:
    """Store a snapshot like a pull does."""
    snapshot = pinned(store.root.parent / "origin", files, revision, source)
    with store.stage(snapshot) as staging:
        for file in staging.link_present():
            with store.claim(file, no_wait) as data:
                assert data is not None
                copy_file(store.root.parent / "origin" / file.path, data, lambda _: None)
                staging.adopt(file, data)
        staging.commit("mit", 1000.0)
    return snapshot


def pinned(
    origin: Path, files: dict[str, bytes], revision: str = REVISION, source: str = "acme/tiny"
) -> Snapshot:
    digests = []
    for path, content in files.items():
        (origin / path).parent.mkdir(parents=True, exist_ok=True)
        (origin / path).write_bytes(content)
        digests.append(digest_file(origin / path, path))
    return Snapshot(source, revision, tuple(digests))


def no_wait() -> None:
    raise AssertionError("somebody else holds the file")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_snapshot_that_was_committed_is_there(store: Store) -> None:
    snapshot = add(store, FILES)
    assert store.has(snapshot)
    found = {str(p.relative_to(store.path(snapshot))): p for p in _files(store.path(snapshot))}
    assert {path: file.read_bytes() for path, file in found.items()} == FILES
    assert {oct(file.stat().st_mode & 0o777) for file in found.values()} == {"0o444"}
    (stored,) = store.list()
    assert (stored.snapshot, stored.licence, stored.pulled_at) == (snapshot, "mit", 1000.0)
    assert stored.path == store.path(snapshot)
    assert _litter(store) == []


def test_an_empty_store_has_nothing_and_is_not_made_by_looking(store: Store) -> None:
    assert store.list() == ()
    assert store.find("acme/tiny", REVISION) is None
    assert store.sweep() == 0
    assert store.free_space() > 0
    assert not store.root.exists()


def test_what_is_not_committed_goes_away(store: Store, tmp_path: Path) -> None:
    snapshot = pinned(tmp_path / "origin", FILES)
    with store.stage(snapshot) as staging:
        assert {file.path for file in staging.link_present()} == set(FILES)
    assert not store.has(snapshot)
    assert _litter(store) == []


def test_versions_share_the_files_that_are_equal(store: Store) -> None:
    old = add(store, FILES)
    new = add(store, {**FILES, "config.json": b'{"a": 1}'}, "b" * 40)
    shared, other = "model.safetensors", "config.json"
    assert (store.path(old) / shared).samefile(store.path(new) / shared)
    assert not (store.path(old) / other).samefile(store.path(new) / other)
    assert len(list(store.blobs.iterdir())) == 4


def test_one_content_under_two_paths_is_one_file(store: Store) -> None:
    snapshot = add(store, {"a.txt": b"same", "b/c.txt": b"same"})
    assert store.has(snapshot)
    assert len(list(store.blobs.iterdir())) == 1


def test_removing_a_version_keeps_what_the_other_uses(store: Store) -> None:
    old = add(store, FILES)
    new = add(store, {**FILES, "config.json": b'{"a": 1}'}, "b" * 40)
    assert store.remove(old) == 2
    assert not store.has(old)
    assert store.has(new)
    assert store.verify(new) == ()
    assert store.remove(new) == 3_000_000 + 8 + 1
    assert _files(store.root) == []
    assert store.remove(new) == 0


DAMAGE = {
    "flipped byte": lambda file: file.write_bytes(b"\1" + bytes(2_999_999)),
    "shorter": lambda file: file.write_bytes(bytes(2_999_999)),
    "gone": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_verify_names_what_differs(store: Store, damage: str) -> None:
    snapshot = add(store, FILES)
    seen: list[int] = []
    assert store.verify(snapshot, seen.append) == ()
    assert sum(seen) == snapshot.size
    file = store.path(snapshot) / "model.safetensors"
    file.chmod(0o644)
    DAMAGE[damage](file)
    (line,) = store.verify(snapshot)
    assert line.startswith("model.safetensors: ")
    # A wrong size shows without hashing, a wrong byte only by hashing.
    assert store.has(snapshot) is (damage == "flipped byte")


def test_a_withdrawn_snapshot_gives_up_its_bad_files_alone(store: Store) -> None:
    snapshot = add(store, FILES)
    file = store.path(snapshot) / "model.safetensors"
    file.chmod(0o644)
    file.write_bytes(b"\1" + bytes(2_999_999))
    (kept,) = store.withdraw(snapshot)
    assert kept.parent == store.quarantined
    assert kept.name.endswith("model.safetensors")
    assert not store.has(snapshot)
    with store.stage(snapshot) as staging:
        assert [each.path for each in staging.link_present()] == ["model.safetensors"]


def test_a_file_that_no_disk_gives_back_is_withdrawn_like_a_bad_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = add(store, FILES)
    lost = next(each for each in snapshot.files if each.path == "model.safetensors")

    def read(path: Path, name: str, *rest: Any) -> FileDigest:
        if path.name in (lost.path, lost.sha256):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return digest_file(path, name, *rest)

    monkeypatch.setattr(stored, "digest_file", read)
    assert store.verify(snapshot) == ("model.safetensors: Input/output error",)
    (kept,) = store.withdraw(snapshot)
    assert kept.name.endswith("model.safetensors")
    assert not store.has(snapshot)


def test_a_pin_that_changed_is_another_snapshot(store: Store) -> None:
    snapshot = add(store, FILES)
    other = Snapshot(snapshot.source, REVISION, snapshot.files[:1])
    assert not store.has(other)
    add(store, {"config.json": b"{}"})
    assert store.has(other)
    assert not store.has(snapshot)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 9}', '{"format": 1, "files": [{}]}'])
def test_a_damaged_manifest_is_no_snapshot(store: Store, text: str) -> None:
    snapshot = add(store, FILES)
    manifest = store.path(snapshot).parent / "manifest.json"
    manifest.write_text(text)
    assert not store.has(snapshot)
    assert store.list() == ()
    add(store, FILES)
    assert store.has(snapshot)


@pytest.mark.parametrize(
    ("source", "revision"),
    [("../x", REVISION), ("a/..", REVISION), ("a/b", ".."), ("", REVISION), ("a/b", "x/../y\0")],
)
def test_names_cannot_lead_out_of_the_store(store: Store, source: str, revision: str) -> None:
    with pytest.raises(InputError, match="cannot be stored"):
        store.path(Snapshot(source, revision, ()))


def test_the_second_of_two_pulls_waits_and_finds_the_file(store: Store, tmp_path: Path) -> None:
    snapshot = pinned(tmp_path / "origin", {"a.txt": b"abc"})
    (file,) = snapshot.files
    waited = threading.Event()
    outcome: list[Path | None] = []

    def second() -> None:
        with store.claim(file, waited.set) as data:
            outcome.append(data)

    with store.stage(snapshot) as staging, store.claim(file, no_wait) as data:
        assert data is not None
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(60)
        data.write_bytes(b"abc")
        staging.adopt(file, data)
    thread.join(60)
    assert outcome == [None]


def test_the_second_goes_on_where_the_first_gave_up(store: Store, tmp_path: Path) -> None:
    (file,) = pinned(tmp_path / "origin", {"a.txt": b"abc"}).files
    with store.claim(file, no_wait) as data:
        assert data is not None
        data.write_bytes(b"ab")
    assert store.partial_size(file) == 2
    with store.claim(file, no_wait) as data:
        assert data is not None
        assert data.read_bytes() == b"ab"


def test_a_claim_that_brought_nothing_leaves_nothing(store: Store, tmp_path: Path) -> None:
    (file,) = pinned(tmp_path / "origin", {"a.txt": b"abc"}).files
    with pytest.raises(OSError), store.claim(file, no_wait) as data:
        assert data is not None
        data.touch()
        raise OSError
    assert _litter(store) == []


def test_two_that_commit_the_same_snapshot_both_succeed(store: Store, tmp_path: Path) -> None:
    snapshot = add(store, FILES)
    with store.stage(snapshot) as one, store.stage(snapshot) as two:
        assert one.link_present() == two.link_present() == ()
        one.commit("mit", 1.0)
        two.commit("mit", 2.0)
    assert store.has(snapshot)
    assert _litter(store) == []


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from toolkit.adapters.store.store import Store
from toolkit.domain.files.snapshot import FileDigest, Snapshot
file = FileDigest("a.bin", 1000, sys.argv[2])
store = Store(Path(sys.argv[1]))
with store.stage(Snapshot("acme/tiny", "a" * 40, (file,))), store.claim(file, lambda: None) as data:
    data.write_bytes(bytes(500))
    (data.parent / "data.xet").mkdir()
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_pull_left_is_swept_but_the_beginning_of_its_file(
    store: Store, tmp_path: Path
) -> None:
    file = FileDigest("a.bin", 1000, "c" * 64)
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store.root), file.sha256, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        # A sweep touches no file of a living process.
        assert store.sweep() == 0
        assert len(list(store.staging.iterdir())) == 1
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert store.sweep() == 2
    assert list(store.staging.iterdir()) == []
    assert [path.name for path in (store.partial / file.sha256).iterdir()] == ["data"]
    assert store.partial_size(file) == 500
    data = store.partial / file.sha256 / "data"
    later = data.stat().st_mtime + KEEP + 1
    assert store.sweep(later) == 1
    assert list(store.partial.iterdir()) == []


def test_a_beginning_whose_file_came_otherwise_is_swept(store: Store) -> None:
    snapshot = add(store, FILES)
    place = store.partial / snapshot.files[0].sha256
    place.mkdir(parents=True)
    (place / "data").write_bytes(b"{")
    os.utime(place / "data")
    assert store.sweep() == 1


def test_what_was_put_aside_goes_after_a_week(store: Store) -> None:
    snapshot = add(store, FILES)
    file = store.path(snapshot) / "model.safetensors"
    file.chmod(0o644)
    file.write_bytes(b"other")
    (kept,) = store.withdraw(snapshot)
    changed = kept.stat().st_mtime
    assert store.sweep(changed + KEEP - 1) == 0
    assert store.sweep(changed + KEEP + 1) == 1
    assert not kept.exists()


def given_up(store: Store, tmp_path: Path) -> FileDigest:
    """Bring the first of two files as a pull does that is interrupted then; return it."""
    snapshot = pinned(tmp_path, FILES)
    file = snapshot.file("model.safetensors")
    assert file is not None
    with store.stage(snapshot) as staging, store.claim(file, no_wait) as data:
        assert data is not None
        data.write_bytes(FILES[file.path])
        staging.adopt(file, data)
    return file


def test_what_a_pull_brought_that_was_given_up_is_left_over_after_a_week(
    store: Store, tmp_path: Path
) -> None:
    file = given_up(store, tmp_path)
    blob = store.blobs / file.sha256
    since = blob.stat().st_ctime
    assert store.leftovers(full=False, now=since + KEEP - 1) == ()
    assert store.leftovers([file.sha256], full=True) == (), "the same pull may go on"
    (found,) = store.leftovers(full=False, now=since + KEEP + 1)
    assert (found.kind, found.path, found.size) == ("the unused file", blob, file.size)
    assert store.leftovers(full=True) == (found,)
    # A pull links it in the meantime.
    with store.stage(pinned(tmp_path, FILES)) as staging:
        assert staging.link(file)
        assert store.leftovers(full=True) == ()
        assert store.clear([found]) == 0
    assert store.clear([found]) == file.size
    assert list(store.blobs.iterdir()) == []


def test_what_a_bundle_had_links_to_is_left_over_once_the_bundle_is_gone(
    store: Store, tmp_path: Path
) -> None:
    snapshot = add(store, FILES)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for blob in store.blobs.iterdir():
        (bundle / blob.name).hardlink_to(blob)
    assert store.leftovers(full=True) == ()
    assert store.remove(snapshot) == 0
    assert store.leftovers(full=True) == ()
    shutil.rmtree(bundle)
    found = store.leftovers(full=True)
    assert sorted(each.path.name for each in found) == sorted(
        {file.sha256 for file in snapshot.files}
    )
    assert store.leftovers(full=False) == (), "a link that has just gone counts like a new file"
    assert store.clear(found) == sum(len(content) for content in FILES.values())


def test_files_of_a_snapshot_are_never_left_over(store: Store) -> None:
    add(store, FILES)
    assert store.leftovers(full=True, now=9e9) == ()


def _files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file())


def _litter(store: Store) -> list[Path]:
    places = (store.partial, store.staging, store.quarantined)
    return [entry for place in places if place.exists() for entry in place.iterdir()]
