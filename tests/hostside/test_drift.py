"""What of a replica's process is no longer as it was deployed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HOSTSIDE = Path(__file__).parents[2] / "toolkit" / "hostside"
ENDING = ["--host", "127.0.0.1", "--port", "8100", "--a", "b"]
OTHER = ["its process has other arguments than the release"]


@pytest.fixture
def drift(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(HOSTSIDE))
    spec = importlib.util.spec_from_file_location("hostside_drift", HOSTSIDE / "drift.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with two snapshots, reached by a link as well."""
    for name in ("here", "other"):
        (tmp_path / "root" / "snapshots" / name).mkdir(parents=True)
    slot = tmp_path / "root" / "slots" / "tiny-blue"
    slot.mkdir(parents=True)
    (slot / "files.json").write_text("{}")
    (tmp_path / "link").symlink_to("root")
    return tmp_path / "root"


@pytest.fixture
def process() -> Iterator[Any]:
    running: list[subprocess.Popen[bytes]] = []

    def start(directory: Path, *words: str) -> int:
        sleep = [sys.executable, "-c", "import sys; sys.stdin.read()", *words]
        running.append(subprocess.Popen(sleep, cwd=directory, stdin=subprocess.PIPE))
        return running[-1].pid

    yield start
    for each in running:
        each.kill()
        each.communicate()


def manifest(root: Path) -> dict[str, Any]:
    return {
        "model": "tiny",
        "slot": "blue",
        "port": 8100,
        "release": {"snapshot": "here", "args": ["--a", "b"]},
        "signs": {"server": "serve", "ending": ENDING},
    }


@pytest.mark.parametrize(
    ("directory", "words", "expected"),
    [
        ("snapshots/here", ["serve", ".", *ENDING], []),
        ("snapshots/other", ["serve", ".", *ENDING], OTHER),
        (".", ["serve", ".", *ENDING], OTHER),
        ("snapshots/here", ["serve", ".", *ENDING, "--more"], OTHER),
        # as a former toolkit started it, which runs on
        (".", ["serve", "{root}/snapshots/here", *ENDING], []),
        (".", ["serve", "{root}/snapshots/other", *ENDING], OTHER),
        ("snapshots/here", ["serve", "{root}/snapshots/other", *ENDING], OTHER),
        # hidden behind a title
        (".", ["VLLM::EngineCore"], []),
    ],
)
def test_a_process_serves_its_snapshot_with_its_arguments(
    drift: ModuleType,
    root: Path,
    process: Any,
    directory: str,
    words: list[str],
    expected: list[str],
) -> None:
    pid = process(root / directory, *(each.format(root=root) for each in words))
    assert drift.drift(str(root), manifest(root), pid) == expected
    if "{root}" not in " ".join(words):
        assert drift.drift(str(root.parent / "link"), manifest(root), pid) == expected


def test_a_snapshot_that_was_put_in_the_place_of_the_served_one_is_another(
    drift: ModuleType, root: Path, process: Any
) -> None:
    pid = process(root / "snapshots" / "here", "serve", ".", *ENDING)
    (root / "snapshots" / "here").rename(root / "snapshots" / "aside")
    assert drift.drift(str(root), manifest(root), pid) == OTHER
    (root / "snapshots" / "here").mkdir()
    assert drift.drift(str(root), manifest(root), pid) == OTHER


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o640, None),
        (0o660, "other users can write to it"),
        (0o644, "every user can read it"),
    ],
)
def test_permissions_of_the_files_of_a_slot_are_compared(
    drift: ModuleType, root: Path, mode: int, words: str | None
) -> None:
    slot = root / "slots" / "tiny-blue"
    run, unit = slot / "run", root / "unit"
    for each in (run, unit):
        each.write_text("x\n")
        each.chmod(0o644)
    run.chmod(mode)
    digest = hashlib.sha256(b"x\n").hexdigest()
    (slot / "files.json").write_text(json.dumps({str(run): digest, str(unit): digest}))
    found = [f"{run} was changed: {words}"] if words else []
    assert drift.drift(str(root), manifest(root), 0) == found
    os.chown(unit, 12345, 0)
    named = f"{unit} was changed: it belongs to user 12345 and not to root"
    assert drift.drift(str(root), manifest(root), 0) == [*found, named]


def test_a_slot_that_has_lost_its_digests_is_named(drift: ModuleType, root: Path) -> None:
    listing = root / "slots/tiny-blue/files.json"
    listing.unlink()
    assert drift.drift(str(root), manifest(root), 0) == [f"{listing} is gone"]
    listing.mkdir()
    assert drift.drift(str(root), manifest(root), 0) == [f"{listing} is gone"]


def test_a_command_that_its_replica_may_not_read_any_more_is_named(
    drift: ModuleType, root: Path
) -> None:
    run = root / "slots/tiny-blue/run"
    run.write_text("x\n")
    run.chmod(0o750)
    digest = hashlib.sha256(b"x\n").hexdigest()
    (run.parent / "files.json").write_text(json.dumps({str(run): [digest, "0750"]}))
    assert drift.drift(str(root), manifest(root), 0) == []
    run.chmod(0o700)
    words = "was changed: it has permissions 0700, not 0750"
    assert drift.drift(str(root), manifest(root), 0) == [f"{run} {words}"]


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        (".", 0o700, "its replica cannot read it"),
        (".", 0o757, "other users can write to it"),
        ("python/toolkit_recorder", 0o777, "other users can write to it"),
        ("python", 0o755, ""),
    ],
)
def test_permissions_of_the_directories_of_a_slot_are_compared(
    drift: ModuleType, root: Path, name: str, mode: int, words: str
) -> None:
    slot = root / "slots/tiny-blue"
    (slot / "python/toolkit_recorder").mkdir(parents=True)
    place = slot / name
    place.chmod(mode)
    found = [f"{place} was changed: {words}"] if words else []
    assert drift.drift(str(root), manifest(root), 0) == found


@pytest.mark.skipif(os.geteuid() != 0, reason="files of other groups")
def test_groups_of_a_slot_and_the_owner_of_its_home_are_compared(
    drift: ModuleType, root: Path
) -> None:
    slot, home = root / "slots/tiny-blue", root / "caches/tiny-blue"
    home.mkdir(parents=True)
    run = slot / "run"
    run.write_text("x\n")
    for path, owner, mode in ((home, 12345, 0o700), (slot, 0, 0o750), (run, 0, 0o750)):
        path.chmod(mode)
        os.chown(path, owner, 12345)
    digest = hashlib.sha256(b"x\n").hexdigest()
    (slot / "files.json").write_text(json.dumps({str(run): [digest, "0750"]}))
    assert drift.drift(str(root), manifest(root), 0) == []
    os.chown(run, 0, 100)
    words = f"{run} was changed: it belongs to group 100 and not to 12345"
    assert drift.drift(str(root), manifest(root), 0) == [words]
    # As `chown -R root:root` leaves them.
    for path in (run, slot, home):
        os.chown(path, 0, 0)
    found = [
        f"{home} was changed: its replica cannot write to it",
        f"{slot} was changed: its replica cannot read it",
    ]
    assert drift.drift(str(root), manifest(root), 0) == found


@pytest.mark.skipif(os.geteuid() != 0, reason="directories of other users")
def test_directories_of_a_home_that_its_replica_cannot_write_to_are_named(
    drift: ModuleType, root: Path
) -> None:
    home = root / "caches/tiny-blue"
    for name in ("use", ".cache", "own"):
        (home / name).mkdir(parents=True)
    # What the replica itself leads elsewhere is none.
    (home / "link").symlink_to("/etc")
    for path in (home, home / "own"):
        os.chown(path, 12345, 12345)
    words = "was changed: its replica cannot write to it"
    found = [f"{home}/.cache {words}", f"{home}/use {words}"]
    assert drift.drift(str(root), manifest(root), 0) == found
