"""Two commands at one store: what one has just seen there, the other may have moved or removed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.adapters.store_lab import stored
from toolkit.adapters.store import store as store_module
from toolkit.adapters.store.files import entries
from toolkit.adapters.store.manifest import snapshot_path
from toolkit.adapters.store.store import Store

ROUNDS = 100


@contextmanager
def beside(act: Callable[[], object]) -> Iterator[None]:
    """Let another thread do `act` over and over during the block; what it does not find is no fault."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            with suppress(OSError):
                act()

    other = threading.Thread(target=run)
    other.start()
    try:
        yield
    finally:
        ended.set()
        other.join()


def test_a_damaged_file_that_two_commands_put_aside_is_put_aside_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    snapshot = stored(store, "acme/tiny", "1" * 40)
    blob = store.blobs / snapshot.files[0].sha256
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    look, others = store_module._fault_of, [store]

    def looked(*given: object) -> str:
        found = look(*given)  # type: ignore[arg-type]
        if others:
            assert others.pop().withdraw(snapshot)
        return found

    monkeypatch.setattr(store_module, "_fault_of", looked)
    assert store.withdraw(snapshot) == ()
    assert not blob.exists()
    assert len([*store.quarantined.iterdir()]) == 1
    assert store.list() == ()


def test_an_incomplete_directory_that_another_command_removes_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    home = store.snapshots / snapshot_path("acme/tiny", "1" * 40)
    (home / "files").mkdir(parents=True)
    has, others = Store.has, [store]

    def had(self: Store, asked: object) -> bool:
        found = has(self, asked)  # type: ignore[arg-type]
        if others and not found:
            others.pop()._drop(home)
        return found

    monkeypatch.setattr(Store, "has", had)
    snapshot = stored(store, "acme/tiny", "1" * 40)
    assert not others
    assert has(store, snapshot)


def test_snapshots_come_while_another_command_removes_the_last_one_of_their_repository(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    with beside((store.snapshots / "acme--tiny").rmdir):
        for number in range(ROUNDS):
            snapshot = stored(store, "acme/tiny", f"{number:040x}")
            assert store.has(snapshot)
            store.remove(snapshot)


def test_a_file_that_another_command_moves_away_at_once_is_in_its_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    rename = Path.rename

    def renamed(self: Path, target: Path) -> Path:
        rename(self, target)
        if target.parent == store.blobs:
            target.unlink()
        return target

    monkeypatch.setattr(Path, "rename", renamed)
    snapshot = stored(store, "acme/tiny", "1" * 40)
    assert store.verify(snapshot) == ()
    assert (store.path(snapshot) / "model.safetensors").stat().st_mode & 0o777 == 0o444


def test_a_directory_that_has_just_gone_has_no_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "partial"
    place.mkdir()
    (place / "b").touch()
    (place / "a").touch()
    assert entries(place) == (place / "a", place / "b")
    assert entries(place / "a") == ()
    monkeypatch.setattr(Path, "is_dir", lambda _: True)
    assert entries(tmp_path / "gone") == ()
