"""What lies on a host is compared with what was put there: whole on doubt, at no cost where nothing has changed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from toolkit.domain.files.snapshot import FileDigest, digest_of_files

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import snapshots
import start_check
import tree_check
import trees

FILES = {"config.json": b"{}", "sub/model.safetensors": bytes(range(256)) * 1000}
SIZE = sum(map(len, FILES.values()))


class Ground:
    """A host's root with one snapshot, whose name is the digest of its files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        wanted = [_pin(path, data) for path, data in FILES.items()]
        self.digest = digest_of_files(wanted)
        self.top = root / "snapshots" / self.digest
        request = {
            "root": str(root),
            "kind": "snapshots",
            "name": self.digest,
            "files": [(each.path, each.size, each.sha256) for each in wanted],
        }
        self.tree = trees.Arrival(request)
        for path, data in FILES.items():
            incoming = Path(self.tree.incoming) / path
            incoming.parent.mkdir(parents=True, exist_ok=True)
            incoming.write_bytes(data)
        assert trees.finish(request, _silent) == {"wrong": []}

    def check(self) -> dict[str, Any]:
        found: dict[str, Any] = tree_check.check(self.request(), _silent)
        return found

    def request(self) -> dict[str, Any]:
        return {"root": str(self.root), "digest": self.digest}

    def weights(self) -> Path:
        return self.top / "sub/model.safetensors"


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def test_a_snapshot_that_has_not_changed_since_it_arrived_is_not_hashed_again(
    ground: Ground,
) -> None:
    assert ground.check() == {"faults": [], "hashed": 0}
    shutil.rmtree(ground.root / "seals")
    assert ground.check() == {"faults": [], "hashed": SIZE}
    assert ground.check() == {"faults": [], "hashed": 0}


def flip_a_bit(path: Path) -> None:
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)[0]
        file.seek(1000)
        file.write(bytes([byte ^ 1]))
    path.chmod(0o444)
    # Whoever hides a change sets the times back; the time of the change itself cannot be set.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_another(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.unlink()
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, 10)


def link_to_another(path: Path) -> None:
    copy = path.with_name("copy")
    path.rename(copy)
    path.symlink_to(copy)


def put_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


WAYS: tuple[Callable[[Path], None], ...] = (
    flip_a_bit,
    replace_by_another,
    cut_short,
    Path.unlink,
    link_to_another,
    put_a_pipe,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_changed_file_is_named_before_it_is_served(
    ground: Ground, way: Callable[[Path], None]
) -> None:
    ground.check()
    way(ground.weights())
    faults = ground.check()["faults"]
    assert any(each.startswith("sub/model.safetensors: ") for each in faults), faults
    # It stays wrong, although it has been hashed now.
    assert ground.check()["faults"] == faults


def test_a_file_too_many_is_a_fault(ground: Ground) -> None:
    (ground.top / "more.safetensors").touch()
    assert ground.check()["faults"] == ["its files do not have the digest that it is named by"]


@pytest.mark.parametrize("place", [".", "sub"])
def test_a_link_to_a_directory_too_many_is_a_fault(
    ground: Ground, tmp_path: Path, place: str
) -> None:
    ground.check()
    (tmp_path / "elsewhere").mkdir()
    (ground.top / place / "more").symlink_to(tmp_path / "elsewhere")
    path = str(Path(place) / "more")
    assert tree_check.hash_files(ground.request(), _silent)["faults"].keys() == {path}
    faults = ground.check()["faults"]
    assert faults[0].startswith(f"{path}: ")
    assert faults[1:] == ["its files do not have the digest that it is named by"]


def test_a_directory_that_was_replaced_by_a_link_is_named(ground: Ground, tmp_path: Path) -> None:
    (ground.top / "sub").rename(tmp_path / "elsewhere")
    (ground.top / "sub").symlink_to(tmp_path / "elsewhere")
    faults = ground.check()["faults"]
    assert faults[0].startswith("sub: ")
    assert faults[1:] == ["sub/model.safetensors: missing"]


def test_a_snapshot_from_the_store_needs_no_list_of_its_files(ground: Ground) -> None:
    shutil.rmtree(ground.root / "snapshots/.digests")
    assert ground.check()["faults"] == []
    flip_a_bit(ground.weights())
    assert ground.check()["faults"] == ["its files do not have the digest that it is named by"]


def test_permissions_that_an_umask_took_are_given_back_before_a_start(ground: Ground) -> None:
    for path in (ground.top, ground.weights().parent):
        path.chmod(0o700)
    ground.weights().chmod(0o400)
    assert tree_check.hash_files(ground.request(), _silent)["faults"] == {
        ".": "replicas cannot read it",
        "sub": "replicas cannot read it",
        "sub/model.safetensors": "replicas cannot read it",
    }
    assert ground.check()["faults"] == []
    assert tree_check.hash_files(ground.request(), _silent)["faults"] == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner needs root")
def test_a_wrong_owner_and_open_permissions_are_named(ground: Ground) -> None:
    os.chown(ground.weights(), 65534, -1)
    (ground.top / "config.json").chmod(0o666)
    (ground.top / "run").write_text("")
    (ground.top / "run").chmod(0o4755)
    assert tree_check.hash_files(ground.request(), _silent)["faults"] == {
        "config.json": "other users can write to it",
        "run": "who runs it gets the rights of its owner",
        "sub/model.safetensors": "it belongs to user 65534 and not to root",
    }


def test_a_removed_snapshot_leaves_no_digests_behind(ground: Ground) -> None:
    ground.check()
    snapshots.remove({"root": str(ground.root), "kind": "snapshots", "name": ground.digest})
    assert list((ground.root / "seals").iterdir()) == []
    assert ground.check() == {"faults": ["it is not there"], "hashed": 0}


def test_an_engine_that_replicas_cannot_read_any_more_is_named(tmp_path: Path) -> None:
    engine = tmp_path / "engines/e"
    (engine / "bin").mkdir(parents=True)
    for name in ("run", "own"):
        (engine / "bin" / name).write_text(name)
    request = {"root": str(tmp_path), "name": "e"}
    tree_check.seal_engine(request, _silent)
    for path, mode in ((engine / "bin", 0o744), (engine / "bin/run", 0o700)):
        path.chmod(mode)
    assert tree_check.check_engine(request, _silent)["faults"] == [
        "bin: replicas cannot read it",
        "bin/run: replicas cannot read it",
    ]


def test_an_engine_is_compared_with_its_installation(tmp_path: Path) -> None:
    engine = tmp_path / "engines/e"
    (engine / "bin").mkdir(parents=True)
    for name in ("run", "lib", "gone"):
        (engine / "bin" / name).write_text(name)
    (engine / "bin/python").symlink_to("/usr/bin/python3")
    # uv leaves one.
    (engine / ".lock").touch()
    (engine / ".lock").chmod(0o666)
    request = {"root": str(tmp_path), "name": "e"}
    assert tree_check.check_engine(request, _silent)["sealed"] is False
    assert tree_check.seal_engine(request, _silent) == {"files": 5}
    found = tree_check.check_engine(request, _silent)
    assert (found["sealed"], found["faults"]) == (True, [])
    (engine / "bin/lib").write_text("bil")
    (engine / "bin/gone").unlink()
    (engine / "bin/new").touch()
    (engine / "bin/python").unlink()
    (engine / "bin/python").symlink_to("/tmp/python3")
    assert tree_check.check_engine(request, _silent)["faults"] == [
        "bin/gone: missing",
        "bin/lib: was changed",
        "bin/new: was not installed with it",
        "bin/python: was changed",
    ]


@pytest.mark.parametrize("entry", [None, 5, [], [3, "x"]])
def test_a_damaged_seal_of_a_file_is_one_that_does_not_fit(tmp_path: Path, entry: Any) -> None:
    engine = tmp_path / "engines/e"
    engine.mkdir(parents=True)
    for name in ("run", "lib"):
        (engine / name).write_text(name)
    request = {"root": str(tmp_path), "name": "e"}
    tree_check.seal_engine(request, _silent)
    seal = tmp_path / "seals/engines-e.json"
    seal.write_text(json.dumps({**json.loads(seal.read_text()), "lib": entry}))
    assert tree_check.check_engine(request, _silent)["faults"] == ["lib: was changed"]


def test_links_to_directories_are_compared_with_the_installation(tmp_path: Path) -> None:
    engine = tmp_path / "engines/e"
    for name in ("lib/packages", "lib/other"):
        (engine / name).mkdir(parents=True)
    (engine / "lib/run").write_text("run")
    # uv leaves the first one.
    for name in ("lib64", "moved", "gone"):
        (engine / name).symlink_to("lib")
    request = {"root": str(tmp_path), "name": "e"}
    assert tree_check.seal_engine(request, _silent) == {"files": 4}
    assert tree_check.check_engine(request, _silent)["faults"] == []
    (engine / "lib/packages/evil.dist-info").symlink_to(tmp_path)
    (engine / "moved").unlink()
    (engine / "moved").symlink_to("lib/other")
    (engine / "gone").unlink()
    assert tree_check.check_engine(request, _silent)["faults"] == [
        "gone: missing",
        "lib/packages/evil.dist-info: was not installed with it",
        "moved: was changed",
    ]


@pytest.mark.parametrize(("target", "faults"), [("lib", 0), ("bin", 1)])
def test_an_engine_that_was_sealed_without_its_links_to_directories_stays_whole(
    tmp_path: Path, target: str, faults: int
) -> None:
    engine = tmp_path / "engines/e"
    (engine / "lib").mkdir(parents=True)
    (engine / "bin").mkdir()
    (engine / "lib/run").write_text("run")
    request = {"root": str(tmp_path), "name": "e"}
    assert tree_check.seal_engine(request, _silent) == {"files": 1}
    (engine / "lib64").symlink_to(target)
    found = tree_check.check_engine(request, _silent)["faults"]
    assert found == ["lib64: was not installed with it"] * faults


def _pin(path: str, data: bytes) -> FileDigest:
    import hashlib

    return FileDigest(path, len(data), hashlib.sha256(data).hexdigest())


def _silent(_: dict[str, Any]) -> None:
    """Ignore events."""


@pytest.mark.parametrize("flipped", [False, True], ids=["whole", "flipped"])
@pytest.mark.parametrize("part", ["base", "adapter"])
def test_a_process_supervisor_starts_no_replica_on_a_changed_snapshot(
    ground: Ground, part: str, flipped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    slot = ground.root / "slots/tiny-blue"
    slot.mkdir(parents=True)
    empty = digest_of_files(())
    (ground.root / "snapshots" / empty).mkdir()
    release = {"snapshot": ground.digest if part == "base" else empty}
    adapters = [] if part == "base" else [{"name": "sql", "snapshot": ground.digest}]
    (slot / "manifest.json").write_text(json.dumps({"release": {**release, "adapters": adapters}}))
    start = [str(ground.root), "tiny-blue"]
    assert start_check.main(start) == 0
    seen = ground.weights().stat()
    if flipped:
        data = ground.weights().read_bytes()
        ground.weights().write_bytes(bytes([data[0] ^ 1]) + data[1:])
        # Whoever hides a change sets the times of the file back.
        os.utime(ground.weights(), ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert start_check.main(start) == int(flipped)
    assert ("sub/model.safetensors: not what was pinned" in capsys.readouterr().err) is flipped


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"release": {}}',
        '{"release": {"snapshot": [1]}}',
        '{"release": {"snapshot": ""}}',
    ],
)
def test_a_damaged_manifest_is_for_repair_and_keeps_no_replica_from_its_start(
    ground: Ground, text: str
) -> None:
    slot = ground.root / "slots/tiny-blue"
    slot.mkdir(parents=True)
    (slot / "manifest.json").write_text(text)
    assert start_check.main([str(ground.root), "tiny-blue"]) == 0


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_digests_of_an_engine_that_cannot_be_read_are_no_reason_to_trust_todays(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "engines/e").mkdir(parents=True)
    (tmp_path / "engines/e/vllm").write_text("run\n")
    request = {"root": str(tmp_path), "name": "e"}
    assert not tree_check.check_engine(request, lambda _: None)["sealed"]
    tree_check.seal_engine(request, lambda _: None)
    (tmp_path / "seals/engines-e.json").write_text(text)
    found = tree_check.check_engine(request, lambda _: None)
    words = "the digests of its installation cannot be read"
    assert (found["sealed"], found["faults"]) == (True, [words])
