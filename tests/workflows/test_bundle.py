"""A bundle holds all that a site without network needs, and is never mistaken for one when it does not."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflows.bundled import FILES, WEIGHTS, Office, manifest_of
from toolkit.adapters import bundle as disk
from toolkit.adapters.bundle import building, workplace
from toolkit.config.registry.lock_file import read_lock
from toolkit.config.registry.reading import load_registry
from toolkit.errors import BusyError, InputError, IntegrityError, RefusedError, SourceError
from toolkit.workflows.files import bundle_files
from toolkit.workflows.files.bundle import create_bundle, outlook
from toolkit.workflows.files.bundle_load import open_bundle


@pytest.fixture
def office(tmp_path: Path) -> Office:
    found = Office(tmp_path / "office")
    found.stock()
    return found


def test_a_bundle_holds_models_engine_texts_and_their_sums(office: Office, tmp_path: Path) -> None:
    root = office.create(tmp_path / "usb" / "bundle", "tiny@v1", "tiny@v2")
    weights = hashlib.sha256(WEIGHTS).hexdigest()
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert [name for name in names if not name.startswith("weights/")] == [
        "LICENCES.md",
        "README.md",
        "SHA256SUMS",
        "bin/uv",
        "engines/vllm-0.32.0-cpu-py311.lock",
        "licences/tiny@v1/LICENSE",
        "licences/tiny@v2/LICENSE",
        "manifest.json",
        "registry/model_registry.lock.json",
        "registry/model_registry.yaml",
        "wheels/anchor-1.0-py3-none-any.whl",
        "wheels/barge-1.0-py3-none-any.whl",
    ]
    # Two versions share the weights and the licence: five contents would be six files otherwise.
    contents = {hashlib.sha256(data).hexdigest() for data in (*FILES.values(), b'{"a": 1}')}
    assert {path.name for path in (root / "weights").iterdir()} == contents
    assert (root / "weights" / weights).read_bytes() == WEIGHTS
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=root, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout.count(": OK")) == (0, len(names) - 1)
    assert not workplace(root).exists()


def test_registry_and_lock_are_cut_down_to_what_is_inside(office: Office, tmp_path: Path) -> None:
    root = office.create(tmp_path / "bundle", "tiny@v1")
    registry = load_registry(root / "registry" / "model_registry.yaml")
    assert {name: [v.name for v in m.versions] for name, m in registry.models.items()} == {
        "tiny": ["v1"]
    }
    assert (registry.policy.allowed, registry.policy.approved) == (("mit",), {})
    lock = read_lock(root / "registry" / "model_registry.yaml")
    assert [source for source, _ in lock.snapshots] == ["local/tiny"]


def test_texts_say_how_to_take_it_in_and_under_which_licence(
    office: Office, tmp_path: Path
) -> None:
    root = office.create(tmp_path / "bundle", "tiny@v1", "other")
    licences = (root / "LICENCES.md").read_text()
    assert "- Licence: mit\n- Openness: open weights: " in licences
    assert "- Text: licences/tiny@v1/LICENSE\n" in licences
    assert "- Licence: odd\n- Openness: fully open: " in licences
    assert "- Text: the source has no licence file" in licences
    readme = (root / "README.md").read_text()
    for line in ("sha256sum --quiet -c SHA256SUMS", "toolkit bundle load DIR"):
        assert line in readme
    assert "       toolkit deploy tiny@v1\n       toolkit deploy other@v1\n" in readme
    assert manifest_of(root)["created_at"] == "2023-11-14T22:13:20Z"


def test_on_the_same_disk_the_bundle_takes_no_room(office: Office, tmp_path: Path) -> None:
    assert outlook(office.spec(tmp_path / "bundle", "tiny"), office.tools()).linked
    root = office.create(tmp_path / "bundle", "tiny")
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    assert (root / "weights" / digest).samefile(office.store.blobs / digest)
    wheel = "anchor-1.0-py3-none-any.whl"
    house = office.wheelhouse.directory(office.engine())
    assert (root / "wheels" / wheel).samefile(house / wheel)


def test_on_a_disk_without_links_and_modes_files_are_copied(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr(Path, "chmod", refuse)
    root = office.create(tmp_path / "bundle", "tiny")
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    assert not (root / "weights" / digest).samefile(office.store.blobs / digest)
    assert (root / "weights" / digest).read_bytes() == WEIGHTS
    open_bundle(root)


def test_what_is_missing_is_pulled_first(office: Office, tmp_path: Path) -> None:
    spec = office.spec(tmp_path / "bundle", "tiny@v2")
    snapshot = spec.snapshots()[0]
    office.store.remove(snapshot)
    other = office.spec(tmp_path / "bundle", "tiny@v1").snapshots()[0]
    office.store.remove(other)
    assert outlook(spec, office.tools()).fetch == snapshot.size
    office.create(tmp_path / "bundle", "tiny@v2")
    assert office.store.has(snapshot)


def test_an_interrupted_bundle_does_not_look_like_one_and_is_taken_up_again(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle"

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(disk, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            office.create(target, "tiny")
    assert not target.exists()
    with pytest.raises(InputError, match=r"\.bundle\.incomplete is incomplete") as caught:
        open_bundle(target)
    assert "toolkit bundle create` again" in caught.value.hint
    with pytest.raises(InputError, match="is incomplete"):
        open_bundle(workplace(target))

    digest = hashlib.sha256(WEIGHTS).hexdigest()
    left = workplace(target) / "weights" / digest
    kept = left.stat().st_ino
    damaged = next((workplace(target) / "wheels").iterdir())
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(b"x" * len(content))
    (workplace(target) / "wheels" / "stray.whl").write_bytes(b"of an earlier run")
    root = office.create(target, "tiny")
    assert (root / "weights" / digest).stat().st_ino == kept
    assert (root / "wheels" / damaged.name).read_bytes() == content
    assert not (root / "wheels" / "stray.whl").exists()
    assert not workplace(target).exists()
    open_bundle(root)


def test_the_same_bundle_again_changes_nothing(office: Office, tmp_path: Path) -> None:
    root = office.create(tmp_path / "bundle", "tiny")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    office.clock += 1000
    done = create_bundle(office.spec(root, "tiny"), office.tools())
    assert done.already_there
    assert done.fingerprint == hashlib.sha256((root / "manifest.json").read_bytes()).hexdigest()
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_place_that_is_taken_is_left_alone(office: Office, tmp_path: Path) -> None:
    root = office.create(tmp_path / "bundle", "tiny@v1")
    with pytest.raises(InputError, match="is there already, and is not this bundle"):
        office.create(root, "tiny@v2")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "mine").touch()
    with pytest.raises(InputError, match="is there already"):
        office.create(tmp_path / "files", "tiny")
    (tmp_path / "empty").mkdir()
    office.create(tmp_path / "empty", "tiny")


def test_two_commands_do_not_make_the_same_bundle(office: Office, tmp_path: Path) -> None:
    with building(tmp_path / "bundle"), pytest.raises(BusyError, match="another process makes"):
        office.create(tmp_path / "bundle", "tiny")


def no_licence(office: Office, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    office.registry.write_text(office.registry.read_text().replace("[mit]", "[]"))


def no_room(office: Office, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(disk, "room_below", lambda path: (hash(path), 10**6))


def damaged_store(office: Office, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    blob = office.store.blobs / hashlib.sha256(WEIGHTS).hexdigest()
    blob.chmod(0o644)
    blob.write_bytes(WEIGHTS[:-1] + b"!")


@pytest.mark.parametrize(
    ("arrange", "error", "message"),
    [
        (no_licence, RefusedError, "the licence mit of tiny@v2 is not approved"),
        (no_room, SourceError, "needs 1.05 MB, with 67.1 MB to spare; .* has 1 MB free"),
        (damaged_store, IntegrityError, "model.safetensors is damaged: weights/"),
    ],
)
def test_what_cannot_be_bundled_is_named_and_no_bundle_appears(
    office: Office,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arrange: Callable[[Office, Path, pytest.MonkeyPatch], None],
    error: type[Exception],
    message: str,
) -> None:
    arrange(office, tmp_path, monkeypatch)
    with pytest.raises(error, match=message):
        office.create(tmp_path / "bundle", "tiny")
    assert not (tmp_path / "bundle").exists()


def test_a_damaged_package_is_had_anew_by_the_same_command(office: Office, tmp_path: Path) -> None:
    engine = office.engine()
    wheel = next(office.wheelhouse.directory(engine).glob("barge*.whl"))
    right = wheel.read_bytes()
    wheel.write_bytes(b"!" + right[1:])
    with pytest.raises(
        IntegrityError, match=r"barge-1\.0-py3-none-any\.whl is damaged: wheels/"
    ) as caught:
        office.create(tmp_path / "bundle", "tiny")
    assert caught.value.hint == "the same command again fetches the damaged packages anew"
    assert not office.wheelhouse.complete(engine)
    office.wheelhouse.take_in(engine, (office.place / "shelf").glob("*.whl"), lambda _: None)
    assert office.create(tmp_path / "bundle", "tiny").is_dir()
    assert wheel.read_bytes() == right


def test_room_is_counted_for_each_file_system_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {Path("/a"): (1, 100 * 10**6), Path("/b"): (1, 100 * 10**6), Path("/c"): (2, 10**6)}
    monkeypatch.setattr(disk, "room_below", lambda path: free[path])
    bundle_files.require_room({Path("/a"): 20 * 10**6, Path("/c"): 0}, "it")
    with pytest.raises(SourceError, match=r"it needs 40 MB, with 67\.1 MB to spare; /b has 100 MB"):
        bundle_files.require_room({Path("/a"): 20 * 10**6, Path("/b"): 20 * 10**6}, "it")


def test_a_directory_that_is_no_bundle_is_told_from_one_that_lost_something(
    office: Office, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="is no bundle: it has no manifest"):
        open_bundle(tmp_path / "nowhere")
    root = office.create(tmp_path / "bundle", "tiny")
    (root / "manifest.json").unlink()
    with pytest.raises(IntegrityError, match=r"has lost its manifest\.json"):
        open_bundle(root)


def test_the_fingerprint_tells_one_bundle_from_another(office: Office, tmp_path: Path) -> None:
    root = office.create(tmp_path / "bundle", "tiny")
    fingerprint = hashlib.sha256((root / "manifest.json").read_bytes()).hexdigest()
    assert open_bundle(root, fingerprint.upper()).fingerprint == fingerprint
    with pytest.raises(IntegrityError, match="this bundle's fingerprint is"):
        open_bundle(root, "0" * 64)


def test_a_bundle_is_readable_by_others_after_a_copy_without_modes(
    office: Office, tmp_path: Path
) -> None:
    root = office.create(tmp_path / "bundle", "tiny")
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    assert open_bundle(tmp_path / "copy").manifest == open_bundle(root).manifest
    assert os.access(root / "bin" / "uv", os.X_OK)
