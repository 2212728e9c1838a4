"""Locks made anew, and what installing an engine would change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.config.engine_locks import SHIPPED, read_locks
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.facts import Device, HostFacts
from toolkit.errors import NothingSuitableError
from toolkit.planning.release.engine_choice import PackageChange
from toolkit.workflows.change.engine import Relocked, plan_install, relock

SHIPPED_LOCK = SHIPPED / "vllm-0.32.0-cpu-py311.lock"
TEXT = SHIPPED_LOCK.read_text()


def lock_anew(home: Path, text: str, python: str = "3.11") -> Relocked:
    return relock(
        "0.32.0",
        Accelerator.CPU,
        python,
        locks=read_locks(home),
        home=home,
        resolve=lambda version, accelerator, python: text,
    )


def test_what_resolves_to_the_shipped_lock_is_not_written(tmp_path: Path) -> None:
    done = lock_anew(tmp_path, TEXT)
    assert (done.written, done.changes, done.lock.path) == (False, (), str(SHIPPED_LOCK))
    assert list(tmp_path.iterdir()) == []


def test_a_change_is_shown_and_kept_beside_the_shipped_lock(tmp_path: Path) -> None:
    newer = TEXT.replace("anyio==4.16.0", "anyio==4.17.0")
    assert newer != TEXT
    done = lock_anew(tmp_path, newer)
    assert done.changes == (PackageChange("anyio", "4.16.0", "4.17.0"),)
    assert done.lock.path == str(tmp_path / "engines" / SHIPPED_LOCK.name)
    assert (Path(done.lock.path).read_text(), SHIPPED_LOCK.read_text()) == (newer, TEXT)
    assert [path.name for path in (tmp_path / "engines").iterdir()] == [SHIPPED_LOCK.name]
    # From now on the local one is compared with.
    assert not lock_anew(tmp_path, newer).written
    assert lock_anew(tmp_path, TEXT).changes == (PackageChange("anyio", "4.17.0", "4.16.0"),)


def test_a_first_lock_for_a_python_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    done = lock_anew(tmp_path, TEXT, python="3.14")
    assert (done.before, done.written, done.lock.python) == (None, True, "3.14")
    assert len(done.changes) == done.lock.packages


LOCK = next(lock for lock in read_locks(Path("/nonexistent")) if lock.path == str(SHIPPED_LOCK))
HOST = HostFacts(name="here", observed_at=0.0, python="3.11")
MISSING = ("libnuma.so.1 (libnuma1)",)


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        (HOST, (f"148 packages of {LOCK.id} are not on the host",)),
        (replace(HOST, engines=(LOCK.id,)), ()),
        (
            replace(HOST, engines=(LOCK.id,), missing_libraries=MISSING),
            ("the host lacks libnuma.so.1 (libnuma1)",),
        ),
        # What is missing for its GPU is no concern of an engine for the CPU.
        (
            replace(
                HOST,
                engines=(LOCK.id,),
                missing_libraries=("cc (gcc)",),
                devices=(Device(0, "H200", 1, 1),),
            ),
            (),
        ),
    ],
)
def test_an_install_says_what_it_would_change(facts: HostFacts, reasons: tuple[str, ...]) -> None:
    assert plan_install(LOCK, facts).reasons == reasons


def test_an_engine_for_another_python_is_refused() -> None:
    with pytest.raises(NothingSuitableError) as raised:
        plan_install(LOCK, replace(HOST, python="3.13"))
    assert raised.value.hint == "toolkit engine lock 0.32.0 --accelerator cpu --python 3.13"
