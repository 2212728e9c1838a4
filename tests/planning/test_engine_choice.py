"""Which lock a host gets, as a table; and how two locks differ."""

from __future__ import annotations

import pytest

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import (
    LockedPackage,
    format_requirements,
    parse_requirements,
)
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.errors import InputError, NothingSuitableError
from toolkit.planning.release.engine_choice import (
    PackageChange,
    choose_lock,
    compare_locks,
    find_locks,
)

CPU, CUDA = Accelerator.CPU, Accelerator.CUDA
A, B, C = "a" * 64, "b" * 64, "c" * 64


def lock(version: str, accelerator: Accelerator, python: str, digest: str = A) -> EngineLock:
    return EngineLock("vllm", version, accelerator, python, digest, f"/x/{digest[:4]}.lock", 148)


LOCAL = lock("0.32.0", CUDA, "3.12", B)
LOCKS = (
    LOCAL,
    lock("0.31.0", CUDA, "3.12"),
    lock("0.32.0", CPU, "3.11"),
    lock("0.32.0", CUDA, "3.11"),
    lock("0.32.0", CUDA, "3.12"),
)


@pytest.mark.parametrize(
    ("version", "accelerator", "python", "chosen"),
    [
        ("0.32.0", CPU, "3.11", "vllm-0.32.0-cpu-py311-aaaaaaaa"),
        ("0.32.0", CUDA, "3.11", "vllm-0.32.0-cuda-py311-aaaaaaaa"),
        ("0.31.0", CUDA, "3.12", "vllm-0.31.0-cuda-py312-aaaaaaaa"),
        # One made on this ops machine stands first and wins over the shipped one.
        ("0.32.0", CUDA, "3.12", "vllm-0.32.0-cuda-py312-bbbbbbbb"),
    ],
)
def test_a_host_gets_the_lock_made_for_it(
    version: str, accelerator: Accelerator, python: str, chosen: str
) -> None:
    assert choose_lock(LOCKS, EngineSpec("vllm", version), accelerator, python).id == chosen


def test_a_python_without_a_lock_is_told_how_to_get_one() -> None:
    with pytest.raises(NothingSuitableError) as raised:
        choose_lock(LOCKS[2:], EngineSpec("vllm", "0.32.0"), CPU, "3.13")
    assert raised.value.message == (
        "no lock of vllm 0.32.0 for cpu on Python 3.13; there is one for "
        "cpu on Python 3.11, cuda on Python 3.11, cuda on Python 3.12"
    )
    assert raised.value.hint == "toolkit engine lock 0.32.0 --accelerator cpu --python 3.13"


def test_an_engine_nobody_locked_is_the_users_mistake() -> None:
    with pytest.raises(InputError) as raised:
        choose_lock(LOCKS, EngineSpec("vllm", "0.33.0"), CPU, "3.11")
    assert raised.value.message == "no lock for the engine vllm 0.33.0"


@pytest.mark.parametrize(
    ("wanted", "count"),
    [("0.32.0", 4), ("0.31.0", 1), ("vllm-0.32.0-cpu-py311-aaaaaaaa", 1), (LOCAL.id, 1)],
)
def test_an_engine_is_named_by_version_or_id(wanted: str, count: int) -> None:
    assert len(find_locks(LOCKS, wanted)) == count


def test_a_name_of_nothing_lists_what_there_is() -> None:
    with pytest.raises(
        InputError, match=r"no engine '9\.9'; versions with a lock: 0\.31\.0, 0\.32\.0"
    ):
        find_locks(LOCKS, "9.9")


BEFORE = (LockedPackage("torch", "2.13.0", (A,)), LockedPackage("gone", "1", (B,)))


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (BEFORE, ()),
        ((), (PackageChange("gone", "1", ""), PackageChange("torch", "2.13.0", ""))),
        (
            (LockedPackage("torch", "2.14.0", (C,)), LockedPackage("new", "3", (A,))),
            (
                PackageChange("gone", "1", ""),
                PackageChange("new", "", "3"),
                PackageChange("torch", "2.13.0", "2.14.0"),
            ),
        ),
        # The same version from other files is a change too.
        (
            (LockedPackage("torch", "2.13.0", (C,)), BEFORE[1]),
            (PackageChange("torch", "2.13.0", "2.13.0"),),
        ),
    ],
)
def test_two_locks_are_compared(
    after: tuple[LockedPackage, ...], changes: tuple[PackageChange, ...]
) -> None:
    assert compare_locks(BEFORE, after) == changes


def test_a_lock_survives_being_written_and_read() -> None:
    packages = (LockedPackage("a", "1.0+cpu", (A, B)), LockedPackage("b-c", "2", (C,)))
    assert parse_requirements(format_requirements(reversed(packages))) == packages


@pytest.mark.parametrize(
    "text",
    [
        "torch\n",
        "torch>=2\n",
        "torch==2.13.0\n",
        f"torch==2.13.0 --hash=md5:{A}\n",
        f"torch==2.13.0 \\\n    --hash=sha256:{A[:-1]}\n",
        f"--extra-index-url x\ntorch==2 --hash=sha256:{A}\n",
        f"torch @ file:///x.whl --hash=sha256:{A}\n",
    ],
)
def test_anything_but_pinned_and_hashed_is_no_lock(text: str) -> None:
    with pytest.raises(ValueError, match=r"^line 1: not a pinned package"):
        parse_requirements(text)
