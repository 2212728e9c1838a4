"""The lock: what was pinned, read back exactly, and nothing that reaches outside of a snapshot."""

from __future__ import annotations

import fcntl
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toolkit.config import text_file
from toolkit.config.registry.lock_file import Lock, change_lock, lock_path, read_lock, write_lock
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.registry.model import HubSource, Openness, Resources, Version
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.errors import InputError

REVISION = "a" * 40
SHA = "b" * 64
VERSION = Version(
    "tiny",
    "1",
    HubSource("acme/tiny"),
    REVISION,
    "mit",
    Openness.OPEN_WEIGHTS,
    EngineSpec("vllm", "0.32.0"),
    Resources((Accelerator.CPU,), 2**30),
)
SNAPSHOT = Snapshot(
    "acme/tiny",
    REVISION,
    (FileDigest("config.json", 12, SHA, "c" * 40), FileDigest("model.safetensors", 99, "d" * 64)),
)
AGAIN = "restore it, or remove it and pin again: toolkit registry pin MODEL --lock-only"


def test_a_lock_that_is_a_link_to_nothing_says_so(tmp_path: Path) -> None:
    lock_path(tmp_path / "r.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="does not exist") as caught:
        read_lock(tmp_path / "r.yaml")
    assert caught.value.hint == "the link leads to nothing: mend it, or remove it and pin again"


def test_an_absent_lock_is_empty_and_names_the_command_that_pins(tmp_path: Path) -> None:
    lock = read_lock(tmp_path / "model_registry.yaml")
    assert lock.path == tmp_path / "model_registry.lock.json"
    assert not lock.has(VERSION)
    with pytest.raises(InputError) as caught:
        lock.snapshot_of(VERSION)
    assert caught.value.message == f"the files of tiny@1 are not pinned in {lock.path}"
    assert caught.value.hint == "toolkit registry pin tiny@1 --lock-only"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("Config.json", "'Config.json' and 'config.json', which are one name on some file systems"),
        ("config.json/x.json", "'config.json/x.json': one of its directories is also a file"),
    ],
)
def test_names_of_an_older_lock_that_no_disk_holds_together_stop_that_version_alone(
    tmp_path: Path, path: str, words: str
) -> None:
    twins = replace(SNAPSHOT, files=(FileDigest(path, 1, "a" * 64), *SNAPSHOT.files))
    write_lock(Lock(lock_path(tmp_path / "registry.yaml"), {}).plus(twins))
    lock = read_lock(tmp_path / "registry.yaml")
    assert not lock.has(VERSION)
    with pytest.raises(InputError) as caught:
        lock.snapshot_of(VERSION)
    assert words in caught.value.message
    assert caught.value.hint == "toolkit registry pin tiny@1 --lock-only"


def test_what_is_written_is_read_back_and_the_text_is_sorted(tmp_path: Path) -> None:
    registry = tmp_path / "model_registry.yaml"
    other = Snapshot("acme/aaa", "0" * 40, (FileDigest("z", 1, SHA), FileDigest("a", 0, SHA)))
    write_lock(read_lock(registry).plus(SNAPSHOT).plus(other))

    lock = read_lock(registry)
    assert lock.snapshot_of(VERSION) == SNAPSHOT
    assert json.loads(lock.path.read_text()) == {
        "format": 1,
        "sources": {
            "acme/aaa": {
                "0" * 40: {"a": {"size": 0, "sha256": SHA}, "z": {"size": 1, "sha256": SHA}}
            },
            "acme/tiny": {
                REVISION: {
                    "config.json": {"size": 12, "sha256": SHA, "git_sha1": "c" * 40},
                    "model.safetensors": {"size": 99, "sha256": "d" * 64},
                }
            },
        },
    }
    first = lock.path.read_bytes()
    write_lock(lock)
    assert lock.path.read_bytes() == first
    assert first.index(b"acme/aaa") < first.index(b"acme/tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["model_registry.lock.json"]


def test_what_a_model_says_of_itself_is_kept_beside_its_files(tmp_path: Path) -> None:
    registry = tmp_path / "model_registry.yaml"
    facts = ModelFacts(("Qwen3ForCausalLM",), "qwen3", 40960, template=True, marks=("<think>",))
    write_lock(read_lock(registry).plus(replace(SNAPSHOT, facts=facts)))
    lock = read_lock(registry)
    assert lock.snapshot_of(VERSION).facts == facts
    assert json.loads(lock.path.read_text())["models"] == {
        "acme/tiny": {
            REVISION: {
                "architectures": ["Qwen3ForCausalLM"],
                "model_type": "qwen3",
                "context": 40960,
                "template": True,
                "marks": ["<think>"],
            }
        }
    }


def test_a_write_that_fails_leaves_the_old_lock_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = tmp_path / "r.yaml"
    write_lock(Lock(lock_path(registry), {("acme/tiny", REVISION): SNAPSHOT}))
    before = lock_path(registry).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_lock(Lock(lock_path(registry), {}))
    assert lock_path(registry).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r.lock.json"]


def test_the_permissions_of_the_file_stay(tmp_path: Path) -> None:
    registry = tmp_path / "r.yaml"
    write_lock(Lock(lock_path(registry), {}))
    lock_path(registry).chmod(0o640)
    write_lock(Lock(lock_path(registry), {("acme/tiny", REVISION): SNAPSHOT}))
    assert lock_path(registry).stat().st_mode & 0o777 == 0o640


def _with(files: Any) -> str:
    return json.dumps({"format": 1, "sources": {"a/b": {REVISION: files}}})


def _says(facts: Any) -> str:
    files = {"a": {"size": 1, "sha256": SHA}}
    told = {"models": {"a/b": {REVISION: facts}}}
    return json.dumps({"format": 1, **told, "sources": {"a/b": {REVISION: files}}})


ENTRY = {"size": 1, "sha256": SHA}
WHERE = f"a/b@{REVISION}"
BAD = [
    (_says({"tools": "yes"}), f": models: {WHERE}: 'tools' has a value that no pin writes"),
    (_says({"magic": True}), f": models: {WHERE}: 'magic' is no fact of a model"),
    (_says([]), f": models: {WHERE}: expected a mapping"),
    ("{", ":1:2: not JSON: Expecting property name enclosed in double quotes"),
    ("[" * 100_000, ": this is no lock file"),
    ('{"a": 1, "a": 2}', ": 'a' stands twice"),
    ("[]", ": this is no lock file of format 1"),
    ('{"format": 2}', ": this is no lock file of format 1"),
    ('{"format": 1}', ": a lock file has `format`, `models` and `sources`, nothing else"),
    ('{"format": 1, "sources": []}', ": sources: expected a mapping"),
    (
        '{"format": 1, "sources": {"a/b": {"main": {}}}}',
        ": a/b@main: the revision is no full commit",
    ),
    (_with({}), f": {WHERE} has no files"),
    (_with({"../x": ENTRY}), f": {WHERE}: '../x' does not stay inside the snapshot"),
    (_with({"/etc/passwd": ENTRY}), f": {WHERE}: '/etc/passwd' does not stay inside the snapshot"),
    (_with({"a/../b": ENTRY}), f": {WHERE}: 'a/../b' does not stay inside the snapshot"),
    (_with({"a//b": ENTRY}), f": {WHERE}: 'a//b' does not stay inside the snapshot"),
    (_with({"a\0b": ENTRY}), f": {WHERE}: 'a\\x00b' does not stay inside the snapshot"),
    (_with({"": ENTRY}), f": {WHERE}: '' does not stay inside the snapshot"),
    (_with({"a": 1}), f": {WHERE}: 'a': expected a mapping"),
    (_with({"a": {"size": 1}}), f": {WHERE}: 'a': expected size, sha256 and git_sha1"),
    (_with({"a": {**ENTRY, "x": 1}}), f": {WHERE}: 'a': expected size, sha256 and git_sha1"),
    (_with({"a": {**ENTRY, "size": -1}}), f": {WHERE}: 'a': the size is no number of bytes"),
    (_with({"a": {**ENTRY, "size": True}}), f": {WHERE}: 'a': the size is no number of bytes"),
    (_with({"a": {**ENTRY, "sha256": "x"}}), f": {WHERE}: 'a': the sha256 is none"),
    (_with({"a": {**ENTRY, "git_sha1": "x"}}), f": {WHERE}: 'a': the git_sha1 is none"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=range(len(BAD)))
def test_a_damaged_lock_is_one_message(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.lock.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_lock(tmp_path / "r.yaml")
    assert caught.value.message == f"{path}{message}"
    assert caught.value.hint == AGAIN


def test_a_lock_larger_than_16_mib_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "r.lock.json"
    path.write_bytes(b" " * (16 * 2**20 + 1))
    with pytest.raises(InputError, match="is larger than 16 MiB"):
        read_lock(tmp_path / "r.yaml")


def test_commands_that_lock_at_once_lose_no_digests(tmp_path: Path) -> None:
    registry, many = tmp_path / "r.yaml", 12

    def add(number: int) -> None:
        snapshot = replace(SNAPSHOT, revision=f"{number:040x}")

        def added(lock: Lock) -> Lock:
            time.sleep(0.01)
            return lock.plus(snapshot)

        change_lock(registry, added)

    with ThreadPoolExecutor(many) as pool:
        list(pool.map(add, range(many)))
    assert len(read_lock(registry).snapshots) == many
    assert [path.name for path in tmp_path.iterdir()] == ["r.lock.json"]


def test_a_directory_that_another_program_has_locked_holds_no_command_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "_TURN_SECONDS", 0.05)
    registry = tmp_path / "r.yaml"
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        # `flock DIRECTORY toolkit ...`, which waits for this command.
        fcntl.flock(handle, fcntl.LOCK_EX)
        change_lock(registry, lambda lock: lock.plus(SNAPSHOT))
    finally:
        os.close(handle)
    assert len(read_lock(registry).snapshots) == 1


def test_a_change_of_nothing_writes_nothing(tmp_path: Path) -> None:
    registry = tmp_path / "r.yaml"
    assert change_lock(registry, lambda lock: lock).snapshots == {}
    assert list(tmp_path.iterdir()) == []
