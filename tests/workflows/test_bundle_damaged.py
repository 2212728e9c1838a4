"""Each damaged file of a bundle is named, and nothing of the bundle is taken in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflows.bundled import WEIGHTS, Office
from tests.workflows.carried import DIGEST, WHEEL, bundle, carried, damage, site
from toolkit.adapters import bundle as disk
from toolkit.adapters.bundle import check
from toolkit.domain.files.bundle import BundleFile
from toolkit.errors import IntegrityError

__all__ = ["bundle", "carried", "site"]


def truncate(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("how", [damage, truncate, Path.unlink])
@pytest.mark.parametrize(
    "name",
    [
        f"weights/{DIGEST}",
        WHEEL,
        "registry/model_registry.lock.json",
        "registry/model_registry.yaml",
        "engines/vllm-0.32.0-cpu-py311.lock",
        "README.md",
        "bin/uv",
        "SHA256SUMS",
    ],
)
def test_a_file_that_is_not_as_it_was_made_is_named_and_nothing_is_taken_in(
    bundle: Path, site: Office, name: str, how: Callable[[Path], None]
) -> None:
    how(bundle / name)
    with pytest.raises(IntegrityError, match=name.replace("/", ".")) as caught:
        site.load(bundle)
    assert caught.value.exit_code == 6
    assert site.contents() == {}


def test_all_damaged_files_are_named_at_once(bundle: Path, site: Office) -> None:
    truncate(bundle / "weights" / DIGEST)
    (bundle / WHEEL).unlink()
    with pytest.raises(IntegrityError) as caught:
        site.load(bundle)
    size = len(WEIGHTS)
    assert f"\n  weights/{DIGEST}: {size - 1} bytes, not {size}" in caught.value.message
    assert f"\n  {WHEEL}: missing" in caught.value.message


def test_a_damaged_file_is_found_where_all_of_the_bundle_is_here_already(
    bundle: Path, site: Office
) -> None:
    site.load(bundle)
    damage(bundle / "weights" / DIGEST)
    with pytest.raises(IntegrityError):
        site.load(bundle)


def test_a_manifest_and_sums_made_to_fit_do_not_fit_the_lock(bundle: Path, site: Office) -> None:
    """Whoever changes weights has to change manifest, sums, lock, and with it the snapshot's digest."""
    path = bundle / "weights" / DIGEST
    damage(path)
    forged = hashlib.sha256(path.read_bytes()).hexdigest()
    path.rename(bundle / "weights" / forged)
    for name in ("manifest.json", "SHA256SUMS"):
        text = (bundle / name).read_text().replace(DIGEST, forged)
        (bundle / name).write_text(text)
    with pytest.raises(IntegrityError, match=r"model\.safetensors of the lock is not in the"):
        site.load(bundle)
    assert site.contents() == {}


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "weights/../../x", "a\\u001b"])
def test_a_manifest_that_leads_out_of_the_bundle_is_refused(
    bundle: Path, site: Office, path: str
) -> None:
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace('"README.md"', f'"{path}"'))
    with pytest.raises(IntegrityError, match=r"manifest\.json is not one that"):
        site.load(bundle)


def of(target: str) -> Callable[[Path], None]:
    """Return what puts a link to `target` in a file's place."""
    return lambda path: path.symlink_to(target)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "made", [os.mkfifo, of("/dev/zero"), of("/dev/tty"), of("/proc/self/maps"), Path.mkdir]
)
def test_an_empty_file_of_a_bundle_is_no_pipe_device_or_link_to_one(
    tmp_path: Path, made: Callable[[Path], None]
) -> None:
    """Each says that it has no bytes, and then gives them without end, or none for ever."""
    made(tmp_path / "empty")
    file = BundleFile("empty", 0, hashlib.sha256().hexdigest())
    assert check(tmp_path, file, lambda _: None).startswith("empty: ")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("made", [os.mkfifo, of("/dev/zero"), of("/proc/self/maps")])
@pytest.mark.parametrize("name", ["SHA256SUMS", "manifest.json"])
def test_a_text_of_a_bundle_is_no_pipe_device_or_link_to_one(
    bundle: Path, site: Office, name: str, made: Callable[[Path], None]
) -> None:
    (bundle / name).unlink()
    made(bundle / name)
    with pytest.raises(IntegrityError, match=name):
        site.load(bundle)
    assert site.contents() == {}


def test_what_else_lies_there_is_left_alone(bundle: Path, site: Office) -> None:
    (bundle / "notes.txt").write_text("from the courier")
    (bundle / "weights" / ("0" * 64)).write_bytes(b"nobody asked for this")
    assert not site.load(bundle).empty
    assert not (site.store.blobs / ("0" * 64)).exists()


@pytest.mark.parametrize("looks", [1, 2])
def test_an_engine_lock_that_changes_after_it_was_checked_is_not_taken_in(
    bundle: Path, site: Office, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A medium that gives other bytes the next time could bring packages of its own."""
    name = "engines/vllm-0.32.0-cpu-py311.lock"
    looked_at, seen = disk.check, []

    def look(root: Path, file: BundleFile, advance: Callable[[int], None]) -> str:
        fault = looked_at(root, file, advance)
        seen.append(file.path)
        if seen.count(name) == looks and file.path == name:
            (root / name).chmod(0o644)
            (root / name).write_text((root / name).read_text() + "# more\n")
        return fault

    monkeypatch.setattr(disk, "check", look)
    with pytest.raises(IntegrityError, match=r"vllm-0.32.0-cpu-py311\.lock"):
        site.load(bundle)
    assert site.contents() == {}
