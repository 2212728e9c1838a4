"""Pinning over a Hub in memory: what is asked, what is written, what stops it."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.hub_server import PublishedFiles
from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.adapters.hub.errors import Fault
from toolkit.adapters.hub.port import HubFile, RepoInfo
from toolkit.adapters.mirror.app import mirror_app
from toolkit.adapters.mirror.server import serve_on_thread
from toolkit.config.lock_file import lock_path, read_lock
from toolkit.config.registry.reading import load_registry
from toolkit.domain.capabilities import ModelFacts
from toolkit.domain.model import HubSource
from toolkit.domain.snapshot import FileDigest, content_revision
from toolkit.errors import InputError, IntegrityError, RefusedError, SourceError, ToolkitError
from toolkit.workflows.registry.pin import Pinned, lock_versions, pin_version

FILES = {
    "config.json": b'{"model_type": "qwen3"}',
    "model.safetensors": b"weights" * 1000,
    "README.md": b"# hello",
    "modeling.py": b"import os",
}
HEAD = """\
# mine
policy:
  licences: {allowed: [apache-2.0, mit], denied: [cc-by-nc-4.0]}
models:
  tiny:
    licence: apache-2.0   # checked by hand
    openness: open-weights
    source: {repo: acme/tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 6GiB}
"""


class Desk:
    """A registry in a directory, a Hub, and the pins of a person."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "model_registry.yaml"
        self.hub = FakeHub()
        self.said: list[str] = []
        self.path.write_text(HEAD)

    def publish(self, files: Mapping[str, bytes] = FILES, **settings: object) -> str:
        return self.hub.publish("acme/tiny", files, **settings)  # type: ignore[arg-type]

    def pin(self, ref: str = "", *, name: str = "", dry_run: bool = False) -> Pinned:
        return pin_version(
            self.path,
            "tiny",
            ref,
            name=name,
            open_hub=lambda: self.hub,
            report=self.said.append,
            dry_run=dry_run,
        )

    def lock(self, spec: str = "tiny") -> tuple[Pinned, ...]:
        return lock_versions(self.path, spec, open_hub=lambda: self.hub, report=self.said.append)

    def texts(self) -> tuple[str, str]:
        lock = lock_path(self.path)
        return self.path.read_text(), lock.read_text() if lock.exists() else ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def digest(path: str, content: bytes) -> FileDigest:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    small = "" if path.endswith(".safetensors") else blob
    return FileDigest(path, len(content), hashlib.sha256(content).hexdigest(), small)


def test_a_repository_that_was_renamed_is_recorded_under_its_name_of_today(desk: Desk) -> None:
    revision = desk.publish()
    desk.hub.rename("acme/tiny", "Acme/tiny-2")
    pinned = desk.pin(name="new")
    assert pinned.notes[0] == "acme/tiny is Acme/tiny-2 on the Hub"
    assert pinned.version.source == HubSource("Acme/tiny-2")
    text, lock = desk.texts()
    assert text == HEAD + (
        f"    versions:\n      new:\n        source: {{repo: Acme/tiny-2}}\n        revision: {revision}\n"
    )
    assert "Acme/tiny-2" in lock
    assert "acme/tiny" not in lock
    again = desk.pin()
    assert (again.changed, again.notes) == (False, ("acme/tiny is Acme/tiny-2 on the Hub",))


WAITING = [
    ("      new: {revision: main}  # soon\n", "      new: {{revision: {0}, source: {{repo: acme/next}}}}  # soon\n"),
    ("      new:\n        revision: main  # soon\n        env: {TZ: UTC}\n", "      new:\n        revision: {0}  # soon\n        source: {{repo: acme/next}}\n        env: {{TZ: UTC}}\n"),
    ("      new:\n        revision: main", "      new:\n        revision: {0}\n        source: {{repo: acme/next}}"),
    ("      new:\n        source: {repo: acme/tiny}\n        revision: main\n", "      new:\n        source: {{repo: acme/next}}\n        revision: {0}\n"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), WAITING, ids=range(len(WAITING)))
def test_a_branch_of_a_renamed_repository_becomes_its_commit_and_its_name(
    desk: Desk, before: str, after: str
) -> None:
    revision = desk.publish()
    desk.hub.rename("acme/tiny", "acme/next")
    desk.path.write_text(f"{HEAD}    versions:\n{before}")
    assert desk.pin().version.source == HubSource("acme/next")
    assert desk.path.read_text() == f"{HEAD}    versions:\n{after.format(revision)}"


def test_a_repository_of_another_owner_is_pinned_only_where_it_is_accepted(desk: Desk) -> None:
    desk.publish()
    desk.hub.rename("acme/tiny", "mallory/tiny")
    before = desk.texts()
    with pytest.raises(RefusedError) as caught:
        desk.pin()
    assert caught.value.message == (
        "the Hub leads from acme/tiny to mallory/tiny, which is another owner's"
    )
    assert caught.value.hint == "where that is the one that is meant: --source mallory/tiny"
    assert desk.texts() == before
    asked = []

    def accept(asked_for: str, repo: str) -> bool:
        asked.append((asked_for, repo))
        return True

    pinned = pin_version(
        desk.path, "tiny", open_hub=lambda: desk.hub, report=desk.said.append, accept=accept
    )
    assert pinned.version.source == HubSource("mallory/tiny")
    assert asked == [("acme/tiny", "mallory/tiny")]


def test_the_digests_of_a_renamed_repository_are_written_with_a_remark(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="new")
    desk.hub.rename("acme/tiny", "acme/next")
    (pinned,) = desk.lock("tiny@new")
    assert "acme/tiny is acme/next on the Hub" in pinned.notes
    assert pinned.version.source == HubSource("acme/tiny")
    desk.hub.rename("acme/next", "mallory/tiny")
    with pytest.raises(RefusedError, match="another owner"):
        desk.lock("tiny@new")


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


def test_other_bytes_at_a_pinned_revision_are_never_pinned(desk: Desk) -> None:
    revision = desk.publish()
    desk.path.write_text(HEAD + f"    versions:\n      a: {{revision: {revision}}}\n")
    desk.lock()
    before = desk.texts()
    lock = read_lock(desk.path)
    changed = [HubFile("model.safetensors", 7, "e" * 64, "")]
    desk.hub.files = lambda repo, revision: tuple(changed)  # type: ignore[method-assign]
    with pytest.raises(
        IntegrityError, match=r"model\.safetensors of tiny@a is not what was pinned"
    ):
        desk.lock("tiny@a")
    assert desk.texts() == before
    assert read_lock(desk.path) == lock


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


def _other_licence(desk: Desk) -> None:
    desk.publish(licence="mit")


def _denied(desk: Desk) -> None:
    desk.path.write_text(HEAD.replace("licence: apache-2.0", "licence: cc-by-nc-4.0"))
    desk.publish(licence="cc-by-nc-4.0")


def _bin_only(desk: Desk) -> None:
    desk.publish({"config.json": b"{}", "pytorch_model.bin": b"x"})


def _flipped(desk: Desk) -> None:
    desk.publish()
    desk.hub.flip_byte("acme/tiny", "config.json")


def _offline(desk: Desk) -> None:
    desk.publish()
    desk.hub.fail("acme/tiny", Fault.OFFLINE)


def _escaping(desk: Desk) -> None:
    desk.publish({**FILES, "a//evil.json": b"{}"})


STOPPED = {
    "a licence other than the registry's": (_other_licence, InputError, "acme/tiny says its licence is 'mit', and the registry says 'apache-2.0'"),
    "a licence that policy denies": (_denied, RefusedError, "the licence cc-by-nc-4.0 of tiny@x is denied by policy"),
    "weights that can run code": (_bin_only, RefusedError, "acme/tiny is refused: it has no safetensors weights, only bin"),
    "bytes that are not the commit's": (_flipped, IntegrityError, "config.json of acme/tiny is not the file that its commit"),
    "a Hub out of reach": (_offline, SourceError, ""),
    "a file that would leave the snapshot": (_escaping, SourceError, "names the file 'a//evil.json', which no snapshot may hold"),
}  # fmt: skip


@pytest.mark.parametrize(("prepare", "kind", "message"), STOPPED.values(), ids=STOPPED.keys())
def test_what_stops_a_pin_leaves_both_files_alone(
    desk: Desk, prepare: object, kind: type[ToolkitError], message: str
) -> None:
    prepare(desk)  # type: ignore[operator]
    before = desk.texts()
    with pytest.raises(kind) as caught:
        desk.pin(name="x")
    assert message in caught.value.message
    assert caught.value.hint
    assert desk.texts() == before


def test_a_licence_that_differs_is_shown_in_its_line(desk: Desk) -> None:
    desk.publish(licence="mit")
    with pytest.raises(InputError) as caught:
        desk.pin()
    assert caught.value.message.startswith(f"{desk.path}:6:14: ")
    assert caught.value.hint == "read the licence, then write `licence: mit`"


def test_a_hub_that_answers_another_commit_than_asked_is_not_believed(desk: Desk) -> None:
    revision = desk.publish()
    real = desk.hub.resolve

    def other(repo: str, ref: str) -> RepoInfo:
        return replace(real(repo, ref), revision="0" * 40)

    desk.hub.resolve = other  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="the Hub answered '0000"):
        desk.pin(revision)


ARGUMENTS = [
    ("tyni", "", "no model 'tyni' in", "did you mean tiny?"),
    ("tiny@a", "", "'tiny@a' names a version; a pin makes a new one", "toolkit registry pin tiny --as a, or tiny@a --lock-only"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "ref", "message", "hint"), ARGUMENTS)
def test_wrong_arguments_of_a_pin_are_refused(
    desk: Desk, model: str, ref: str, message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        pin_version(desk.path, model, ref, open_hub=lambda: desk.hub, report=desk.said.append)
    assert message in caught.value.message
    assert caught.value.hint == hint


def test_a_model_without_what_a_version_needs_is_named_at_its_line(desk: Desk) -> None:
    desk.path.write_text(HEAD.replace("    openness: open-weights\n", ""))
    with pytest.raises(InputError) as caught:
        desk.pin()
    assert caught.value.message == f"{desk.path}:5:3: tiny has no 'openness'"


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


def test_a_commit_that_is_gone_upstream_stays_in_the_lock_as_it_is(desk: Desk) -> None:
    revision = desk.publish()
    desk.pin(name="v1")
    before = lock_path(desk.path).read_bytes()
    desk.publish({**FILES, "config.json": b"{}"})
    desk.hub.drop("acme/tiny", revision)
    (done,) = desk.lock("tiny@v1")
    assert (done.version.name, done.lock_changed) == ("v1", False)
    assert done.notes == (
        f"acme/tiny has no revision {revision}: it is gone upstream, or was never there; "
        "its digests stay in the lock as they are",
    )
    assert lock_path(desk.path).read_bytes() == before


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("", "name a branch, a tag or a commit that is there: toolkit registry pin tiny REF"),
        ("main", "name a branch, a tag or a commit that is there: toolkit registry pin tiny REF"),
        ("v9", "pin what main is now: toolkit registry pin tiny"),
        ("9" * 40, "pin what main is now: toolkit registry pin tiny"),
    ],
)
def test_no_hint_about_what_is_gone_is_the_same_command(desk: Desk, ref: str, hint: str) -> None:
    desk.publish()
    desk.hub.drop("acme/tiny", "main")
    with pytest.raises(SourceError, match="it is gone upstream, or was never there") as caught:
        desk.pin(ref)
    assert caught.value.hint == hint
