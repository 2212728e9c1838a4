"""What the host says of its engines and of the libraries they need."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import accelerators
import engine
import pytest

from toolkit.domain.accelerator import Accelerator


def test_only_stamped_engines_count(tmp_path: Path) -> None:
    assert engine.engines(str(tmp_path)) == []
    # A removal that was cut short may leave the stamp.
    for name in ("vllm-2", "vllm-1", "vllm-cut-short", ".vllm-3.removed"):
        (tmp_path / "engines" / name).mkdir(parents=True)
    (tmp_path / "engines" / ".cache").mkdir()
    for name in ("vllm-2", "vllm-1", ".vllm-3.removed"):
        (tmp_path / "engines" / name / ".complete").write_text(f"{name}\n")
    assert engine.engines(str(tmp_path)) == ["vllm-1", "vllm-2"]


@pytest.mark.parametrize(
    ("name", "package", "missing"),
    [
        ("libc.so.6", "libc6", []),
        ("libno-such-thing.so.9", "libno", ["libno-such-thing.so.9 (libno)"]),
        ("libno-driver.so.1", "", ["libno-driver.so.1 (NVIDIA driver)"]),
        ("no-such-header.h", "none-dev", ["no-such-header.h (none-dev)"]),
        ("sh", "dash", []),
        ("no-such-compiler", "none", ["no-such-compiler (none)"]),
    ],
)
def test_what_is_missing_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str, missing: list[str]
) -> None:
    monkeypatch.setitem(accelerators.NEEDED, "cpu", {name: package})
    assert engine.missing_libraries("cpu") == missing


@pytest.mark.parametrize("accelerator", list(Accelerator))
def test_the_role_installs_what_the_host_looks_for(accelerator: Accelerator) -> None:
    installed = Accelerator(accelerator).traits.libraries
    assert {each.looked_for: each.package for each in installed} == accelerators.NEEDED[accelerator]
    assert all(
        each.path.startswith("/usr/") or each.path == "Python.h"
        for each in installed
        if each.package
    )


def test_the_headers_of_the_interpreter_are_where_it_has_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An interpreter below /usr/local or /opt has its own, whatever lies in /usr/include."""
    monkeypatch.setitem(accelerators.NEEDED, "cpu", {"Own.h": "python3-dev"})
    monkeypatch.setattr(sysconfig, "get_path", lambda name, scheme: str(tmp_path / name))
    assert engine.missing_libraries("cpu") == ["Own.h (python3-dev)"]
    (tmp_path / "include").mkdir()
    (tmp_path / "include/Own.h").touch()
    assert engine.missing_libraries("cpu") == []
