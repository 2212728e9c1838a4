"""What belongs into a bundle, and what its manifest must say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.planning.facts import version
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import LockedPackage
from toolkit.domain.files.bundle import LOCK, README, REGISTRY, BundleEngine, BundleFile, Manifest
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.errors import IntegrityError, NothingSuitableError
from toolkit.planning.upkeep.bundle import (
    choose_engines,
    contradictions,
    describe_version,
    manifest_text,
    parse_manifest,
    sums_text,
    wheel_files,
)

CPU, CUDA = Accelerator.CPU, Accelerator.CUDA
A, B, C = "a" * 64, "b" * 64, "c" * 64
SNAPSHOT = Snapshot("demo/tiny", "1" * 40, (FileDigest("w.safetensors", 7, A),))
TEXTS = tuple(BundleFile(path, 1, C) for path in (README, REGISTRY, LOCK, "engines/x.lock"))
WEIGHTS, WHEEL = BundleFile(f"weights/{A}", 7, A), BundleFile("wheels/p.whl", 5, B)
ENGINE = BundleEngine("x", "0.32.0", "cpu", "3.11", "engines/x.lock", ("wheels/p.whl",), 5)
PACKAGES = {"x": (LockedPackage("p", "1", (C, B)),)}


def lock(accelerator: Accelerator, python: str, digest: str = A) -> EngineLock:
    return EngineLock("vllm", "0.32.0", accelerator, python, digest, "/x.lock", 1)


def manifest(*files: BundleFile) -> Manifest:
    about = describe_version(version(), SNAPSHOT)
    return Manifest("0.1.0", "2026-01-01T00:00:00Z", (about,), (ENGINE,), (*TEXTS, *files))


WHOLE = manifest(WEIGHTS, WHEEL)
LOCKS = (lock(CPU, "3.11"), lock(CPU, "3.12"), lock(CUDA, "3.11"), lock(CPU, "3.11", B))


@pytest.mark.parametrize(
    ("can", "asked", "pythons", "chosen"),
    [
        ((CPU,), (), ("3.11",), [LOCKS[0]]),
        ((CUDA, CPU), (), ("3.11",), [LOCKS[2], LOCKS[0]]),
        ((CUDA, CPU), (CPU,), ("3.11", "3.12"), [LOCKS[0], LOCKS[1]]),
    ],
)
def test_engines_are_those_the_versions_can_use(
    can: tuple[Accelerator, ...],
    asked: tuple[Accelerator, ...],
    pythons: tuple[str, ...],
    chosen: list[EngineLock],
) -> None:
    wanted = version(resources={"accelerators": can})
    assert list(choose_engines([wanted, wanted], LOCKS, asked, pythons)) == chosen


def test_an_engine_without_a_lock_for_that_python_is_named() -> None:
    with pytest.raises(NothingSuitableError, match=r"for cuda on Python 3\.13"):
        choose_engines([version(resources={"accelerators": (CUDA,)})], LOCKS, (), ("3.13",))


def test_a_version_that_none_of_the_accelerators_can_serve_is_refused() -> None:
    with pytest.raises(NothingSuitableError, match="tiny@v1 runs on cuda, not on cpu"):
        choose_engines([version(resources={"accelerators": (CUDA,)})], LOCKS, (CPU,), ("3.11",))


def test_equal_wheels_are_one_file_and_unequal_ones_never_are() -> None:
    placed = wheel_files({"x": {"p.whl": (A, 1)}, "y": {"p.whl": (A, 1)}, "z": {"p.whl": (B, 2)}})
    assert placed["x"] == placed["y"] == (BundleFile("wheels/p.whl", 1, A),)
    assert placed["z"] == (BundleFile(f"wheels/{B[:12]}/p.whl", 2, B),)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert parse_manifest(manifest_text(WHOLE)) == WHOLE


def test_sums_name_every_file_and_the_manifest_in_order() -> None:
    lines = sums_text(WHOLE, B).splitlines()
    assert f"{B}  manifest.json" in lines
    assert f"{A}  weights/{A}" in lines
    assert [line.split("  ")[1] for line in lines] == sorted(
        [file.path for file in WHOLE.files] + ["manifest.json"]
    )


def changed(**more: Any) -> str:
    return json.dumps({**json.loads(manifest_text(WHOLE)), **more})


def with_file(**more: Any) -> str:
    files = json.loads(manifest_text(WHOLE))["files"]
    return changed(files=[*files, {"path": "x", "size": 1, "sha256": A, **more}])


def with_version(**more: Any) -> str:
    (about,) = json.loads(manifest_text(WHOLE))["versions"]
    return changed(versions=[{**about, **more}])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty, no JSON"),
        ("[]", "it has another form"),
        (changed(format=2), "it has format 2, not 1"),
        (changed(files=[]), "it does not name"),
        (changed(files=7), "it has another form"),
        (changed(engines=[{"id": "x"}]), "it has no 'wheels'"),
        (with_file(path="../x"), "leads out of the bundle"),
        (with_file(path="/x"), "leads out of the bundle"),
        (with_file(path="a//x"), "leads out of the bundle"),
        (with_file(path="manifest.json"), "it cannot be checked"),
        (with_file(sha256="xyz"), "it cannot be checked"),
        (with_file(size=-1), "-1 is no size"),
        (with_file(size="1"), "'1' is no size"),
        (with_file(path=README), "it does not name each file once"),
        (manifest_text(manifest(WEIGHTS)), r"it does not name wheels/p\.whl"),
        (
            changed(toolkit=f"0.1.0\nfingerprint {A}\x1b[8m"),
            "fingerprint a.* is not one line of text",
        ),
        (changed(toolkit="0.1.0" + " " * 60 + "fingerprint"), "does not tell when it was made"),
        (changed(toolkit=""), "does not tell when it was made"),
        (changed(created_at="yesterday"), "does not tell when it was made"),
        (changed(**{"more\x1b[8m": 1}), "is not one line of text"),
        (with_version(licence="mit\x9b8m"), "is not one line of text"),
        (with_version(title="tiny@v1\u202e"), "is not one line of text"),
        (with_version(**{"more\n": 1}), "is not one line of text"),
        (with_file(path="a\x1b[8m"), "is not one line of text"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, message: str) -> None:
    with pytest.raises(IntegrityError, match=message) as caught:
        parse_manifest(text)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("found", "title", "packages", "faults"),
    [
        (WHOLE, "tiny@v1", PACKAGES, ()),
        (
            manifest(WHEEL),
            "tiny@v1",
            PACKAGES,
            ("tiny@v1: w.safetensors of the lock is not in the manifest",),
        ),
        (
            manifest(BundleFile(WEIGHTS.path, 8, A), WHEEL),
            "tiny@v1",
            PACKAGES,
            ("tiny@v1: w.safetensors of the lock is not in the manifest",),
        ),
        (WHOLE, "tiny@v2", PACKAGES, ("registry and manifest name different versions",)),
        (WHOLE, "tiny@v1", {}, ("x: engines/x.lock is another lock",)),
        (
            manifest(WEIGHTS, BundleFile(WHEEL.path, 5, A)),
            "tiny@v1",
            PACKAGES,
            ("x: no wheel of p==1",),
        ),
    ],
)
def test_a_manifest_must_agree_with_the_locks_beside_it(
    found: Manifest,
    title: str,
    packages: dict[str, tuple[LockedPackage, ...]],
    faults: tuple[str, ...],
) -> None:
    assert contradictions(found, {title: SNAPSHOT}, packages) == faults
