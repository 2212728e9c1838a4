"""What the ops machine brings to a host: only what was pinned, and named where it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.planning.facts import release, version
from tests.silent import Silent
from toolkit.adapters.engines.wheelhouse import Wheelhouse
from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.store.hashing import digest_file
from toolkit.adapters.store.store import Store
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.registry.model import Policy
from toolkit.errors import InputError, IntegrityError, SourceError
from toolkit.workflows.files.supplies import LocalSupplies

CONTENT = {"config.json": b"{}", "w.safetensors": b"w" * 1000}
LOCK = EngineLock("vllm", "0.32.0", Accelerator.CPU, "3.11", "ab" * 32, "/x.lock", 147)


class Wheels(Wheelhouse):
    """A wheelhouse that is filled by being asked."""

    def complete(self, lock: EngineLock) -> bool:
        return False

    def fill(self, lock: EngineLock, progress: Any = None) -> Path:
        for done in range(11):
            progress(done, 10, 10**6 * done)
        return Path("/wheels")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def snapshot(hub: FakeHub, tmp_path: Path) -> Snapshot:
    revision = hub.publish("demo/tiny", CONTENT)
    for path, content in CONTENT.items():
        (tmp_path / path).write_bytes(content)
    files = tuple(digest_file(tmp_path / path, path) for path in sorted(CONTENT))
    return Snapshot("demo/tiny", revision, files)


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def supplies(store: Store, hub: FakeHub, snapshot: Snapshot, tmp_path: Path) -> LocalSupplies:
    return LocalSupplies(
        store=store,
        wheelhouse=Wheels(tmp_path / "home"),
        locks=(LOCK,),
        open_hub=lambda: hub,
        policy=Policy(allowed=("mit",)),
        snapshot_of=lambda _: snapshot,
        report=Silent(),
    )


def wanted(snapshot: Snapshot) -> Release:
    data = release(1).as_json()
    return Release.from_json({**data, "revision": snapshot.revision, "snapshot": snapshot.digest})


def test_what_was_fetched_is_verified_and_handed_over(
    supplies: LocalSupplies, snapshot: Snapshot
) -> None:
    supplies.fetch(version(revision=snapshot.revision))
    supplies.verify(wanted(snapshot))
    found = supplies.snapshot(wanted(snapshot))
    names = [file.path for file in found.files]
    assert names == ["config.json", "w.safetensors"]
    assert {name: (Path(found.directory) / name).read_bytes() for name in names} == CONTENT


def test_what_is_not_in_the_store_is_named(supplies: LocalSupplies, snapshot: Snapshot) -> None:
    for ask in (supplies.verify, supplies.snapshot):
        with pytest.raises(SourceError, match="neither on the host nor in the store") as caught:
            ask(wanted(snapshot))
        assert caught.value.hint == "toolkit deploy tiny@v1"


def test_other_bytes_under_the_same_revision_are_not_taken_for_it(
    supplies: LocalSupplies, snapshot: Snapshot
) -> None:
    supplies.fetch(version(revision=snapshot.revision))
    other = Release.from_json({**wanted(snapshot).as_json(), "snapshot": "f" * 64})
    with pytest.raises(SourceError):
        supplies.snapshot(other)


def test_a_store_that_was_written_to_is_named_and_taken_out_of_use(
    supplies: LocalSupplies, store: Store, snapshot: Snapshot
) -> None:
    supplies.fetch(version(revision=snapshot.revision))
    weights = store.path(snapshot) / "w.safetensors"
    weights.resolve().chmod(0o644)
    weights.resolve().write_bytes(b"v" * 1000)
    with pytest.raises(IntegrityError, match=r"were put aside:\n  w\.safetensors") as caught:
        supplies.verify(wanted(snapshot))
    assert caught.value.hint == "toolkit pull tiny@v1 fetches them again"
    assert not store.has(snapshot)
    supplies.fetch(version(revision=snapshot.revision))
    supplies.verify(wanted(snapshot))


def test_an_engines_packages_are_brought_with_a_word_on_the_way(supplies: LocalSupplies) -> None:
    said: list[str] = []
    variables = supplies.engine_variables(LOCK.id, said.append)
    uv = Path(variables["engine_uv"])
    assert (uv.name, uv.is_file()) == ("uv", True)
    assert {name: value for name, value in variables.items() if name != "engine_uv"} == {
        "engine_id": LOCK.id,
        "engine_version": "0.32.0",
        "engine_system_packages": [
            {"name": "libnuma1", "path": "/usr/lib/x86_64-linux-gnu/libnuma.so.1"}
        ],
        "engine_proof": ["vllm", "--version"],
        "engine_env": {"VLLM_NO_USAGE_STATS": "1"},
        "engine_alias": {"name": "vllm", "version": "0.32.0+cpu"},
        "engine_python": "3.11",
        "engine_wheelhouse": "/wheels",
    }
    assert said == [
        f"  downloading 147 packages of {LOCK.id}",
        *(f"  {done} of 10 packages, {done} MB" for done in (2, 4, 6, 8, 10)),
    ]


def test_an_engine_without_its_lock_is_named(supplies: LocalSupplies) -> None:
    with pytest.raises(InputError, match="no lock for the engine vllm-9 here"):
        supplies.engine_variables("vllm-9", lambda _: None)
