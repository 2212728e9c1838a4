"""Pinning over a Hub in memory: what is asked and what is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.adapters.hub_server import PublishedFiles
from tests.on_thread import serve_on_thread
from tests.workflows.pin_desk import FILES, HEAD, Desk, desk, digest
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.adapters.mirror.app import mirror_app
from toolkit.config.registry.lock_file import lock_path, read_lock
from toolkit.config.registry.reading import load_registry
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.errors import InputError, IntegrityError
from toolkit.workflows.registry.pin import Pinned, pin_version

__all__ = ["desk"]


def test_a_branch_becomes_a_version_with_every_digest(desk: Desk) -> None:
    revision = desk.publish()

    pinned = desk.pin(name="first")

    kept = ("README.md", "config.json", "model.safetensors")
    assert desk.path.read_text() == (
        HEAD + f"    versions:\n      first:\n        revision: {revision}\n"
    )
    version = load_registry(desk.path).version("tiny")
    assert pinned.version == version
    snapshot = read_lock(desk.path).snapshot_of(version)
    assert snapshot.files == tuple(digest(path, FILES[path]) for path in kept)
    assert pinned.snapshot == snapshot
    assert pinned.left_out == {"modeling.py": "code is not permitted"}
    assert (pinned.registry_changed, pinned.lock_changed) == (True, True)
    assert desk.hub.downloads == []


def test_pinning_the_same_again_changes_nothing(desk: Desk) -> None:
    desk.publish()
    desk.pin()
    before = desk.texts()
    for again in [desk.pin(), desk.pin("main", name="other"), desk.pin(desk.publish())]:
        assert (again.registry_changed, again.lock_changed) == (False, False)
    assert desk.texts() == before


def test_the_next_version_stands_last_and_the_first_stays(desk: Desk) -> None:
    first = desk.publish()
    desk.pin(name="a")
    second = desk.publish({**FILES, "config.json": b'{"model_type": "qwen4"}'})
    desk.pin()
    versions = load_registry(desk.path).model("tiny").versions
    assert [(v.name, v.revision) for v in versions] == [("a", first), (second[:8], second)]
    assert all(read_lock(desk.path).has(version) for version in versions)


def test_names_come_from_tags_and_else_from_the_commit(desk: Desk) -> None:
    revision = desk.publish(branch="V1.0")
    assert desk.pin("V1.0").version.name == "v1.0"
    other = desk.publish({**FILES, "a.json": b"{}"})
    assert desk.pin(other).version.name == other[:8]
    assert revision != other


def test_a_dry_run_says_it_and_writes_nothing(desk: Desk) -> None:
    desk.publish()
    pinned = desk.pin(name="x", dry_run=True)
    assert (pinned.version.name, pinned.registry_changed, len(pinned.snapshot.files)) == (
        "x",
        True,
        3,
    )
    assert desk.texts() == (HEAD, "")


def test_a_branch_written_into_the_file_is_replaced_in_its_place(desk: Desk) -> None:
    revision = desk.publish({**FILES, "old.bin": b"x"})
    part = (
        "    versions:\n      mine:\n        revision: main # today\n"
        "        permission: {trust_remote_code: true, formats: [bin], reason: reviewed}\n"
    )
    desk.path.write_text(HEAD + part)
    with pytest.raises(InputError) as caught:
        load_registry(desk.path)
    assert caught.value.hint == "toolkit registry pin tiny main"

    pinned = desk.pin("main")

    assert desk.path.read_text() == HEAD + part.replace("main", revision)
    assert {file.path for file in pinned.snapshot.files} == {*FILES, "old.bin"}


def test_lock_only_writes_digests_and_leaves_the_registry(desk: Desk) -> None:
    revision = desk.publish()
    text = HEAD + f"    versions:\n      a: {{revision: {revision}}}\n"
    desk.path.write_text(text)
    first, again = desk.lock(), desk.lock("tiny@a")
    assert [pinned.lock_changed for pinned in (*first, *again)] == [True, False]
    assert desk.path.read_text() == text
    assert (
        len(read_lock(desk.path).snapshot_of(load_registry(desk.path).version("tiny")).files) == 3
    )


def test_digests_that_another_command_locks_meanwhile_stay(desk: Desk) -> None:
    first = desk.publish()
    second = desk.publish({**FILES, "config.json": b'{"model_type": "qwen4"}'})
    versions = f"    versions:\n      a: {{revision: {first}}}\n      b: {{revision: {second}}}\n"
    desk.path.write_text(HEAD + versions)
    desk.meanwhile(lambda: desk.lock("tiny@b"))
    desk.lock("tiny@a")
    assert all(map(read_lock(desk.path).has, load_registry(desk.path).versions))


def test_other_bytes_that_another_command_locks_meanwhile_are_not_replaced(desk: Desk) -> None:
    revision = desk.publish()
    desk.path.write_text(HEAD + f"    versions:\n      a: {{revision: {revision}}}\n")

    def other() -> None:
        desk.lock()
        text = lock_path(desk.path).read_text()
        digest = next(iter(re.findall("[0-9a-f]{64}", text)))
        lock_path(desk.path).write_text(text.replace(digest, "f" * 64))

    desk.meanwhile(other)
    with pytest.raises(IntegrityError, match="is not what was pinned at this revision"):
        desk.lock("tiny@a")
    assert "f" * 64 in lock_path(desk.path).read_text()


def test_a_lock_of_an_older_toolkit_learns_what_its_models_can_do(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    lock = lock_path(desk.path)
    data = json.loads(lock.read_text())
    (facts,) = data.pop("models")["acme/tiny"].values()
    assert facts == {"model_type": "qwen3"}
    lock.write_text(json.dumps(data))
    # Whoever pins asks for it: nothing else writes it, so that no release changes unasked.
    (again,) = desk.lock()
    assert again.lock_changed
    assert read_lock(desk.path).snapshot_of(again.version).facts == ModelFacts(model_type="qwen3")
    (same,) = desk.lock()
    assert not same.changed


def test_a_version_named_alone_is_read_again_for_its_permission_of_today(desk: Desk) -> None:
    revision = desk.publish()
    text = HEAD + f"    versions:\n      a:\n        revision: {revision}\n"
    desk.path.write_text(text)
    desk.lock()
    permission = "        permission: {trust_remote_code: true, reason: reviewed}\n"
    desk.path.write_text(text + permission)
    assert [pinned.lock_changed for pinned in desk.lock()] == [False]
    (widened,) = desk.lock("tiny@a")
    assert (widened.lock_changed, len(widened.snapshot.files)) == (True, 4)
    desk.path.write_text(text)
    (narrowed,) = desk.lock("tiny@a")
    assert (narrowed.lock_changed, len(narrowed.snapshot.files)) == (True, 3)
    assert read_lock(desk.path).snapshot_of(narrowed.version) == narrowed.snapshot


def test_a_pin_of_a_version_that_lacks_its_digests_adds_them(desk: Desk) -> None:
    revision = desk.publish()
    text = HEAD + f"    versions:\n      a: {{revision: {revision}}}\n"
    desk.path.write_text(text)
    pinned = desk.pin()
    assert (pinned.version.name, pinned.registry_changed, pinned.lock_changed) == ("a", False, True)
    assert desk.path.read_text() == text


def test_notes_tell_of_gates_missing_licences_and_code(desk: Desk) -> None:
    files = {**FILES, "config.json": b'{"auto_map": {"AutoModel": "modeling.X"}}'}
    desk.publish(files, licence="", gated=True)
    assert desk.pin().notes == (
        "the repository names no licence",
        "gated: its terms have to be accepted on the Hub by the token's account",
        "config.json names code of the repository; without permission the engine uses its own",
    )


def test_the_official_client_and_a_mirror_give_the_same_pin(desk: Desk, tmp_path: Path) -> None:
    files = {**FILES, "empty.txt": b"", "sub/with space.json": '{"ü": 1}'.encode()}
    revision = desk.publish(files)
    fake = desk.pin(name="a", dry_run=True)

    origin = PublishedFiles(tmp_path / "origin")
    assert origin.publish("acme/tiny", files) == revision
    with serve_on_thread(mirror_app(origin)) as endpoint:
        real = pin_version(
            desk.path,
            "tiny",
            "main",
            name="a",
            open_hub=lambda: HuggingFaceHub(endpoint),
            report=desk.said.append,
        )

    def bytes_of(pinned: Pinned) -> list[tuple[str, int, str]]:
        return [(file.path, file.size, file.sha256) for file in pinned.snapshot.files]

    assert real.version == fake.version
    assert bytes_of(real) == bytes_of(fake)
    assert {path for path, _, _ in bytes_of(real)} == files.keys() - {"modeling.py"}
    assert read_lock(desk.path).snapshot_of(real.version) == real.snapshot
