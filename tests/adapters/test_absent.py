"""The module that removes a unit and files: only what is there, and never what a link leads to."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.adapters.own_modules import own_module
from tests.nested import nested


@pytest.fixture
def absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = own_module("absent")
    monkeypatch.setattr(module, "UNITS", str(tmp_path))
    return module


def recording(*, check: bool = False) -> Any:
    said: list[str] = []

    def run_command(words: list[str], check_rc: bool) -> None:
        assert check_rc
        said.append(" ".join(words))

    return SimpleNamespace(check_mode=check, run_command=run_command, said=said)


def test_a_unit_is_stopped_before_its_file_goes_and_then_forgotten(
    absent: Any, tmp_path: Path
) -> None:
    (tmp_path / "some.service").write_text("[Service]\n")
    module = recording()
    assert absent.forget(module, "some.service")
    assert module.said == [
        "systemctl stop some.service",
        "systemctl disable --quiet --no-reload some.service",
        "systemctl daemon-reload",
    ]
    assert list(tmp_path.iterdir()) == []
    module.said.clear()
    assert not absent.forget(module, "some.service")
    assert module.said == []


def test_check_mode_tells_of_a_unit_and_of_files_and_leaves_them(
    absent: Any, tmp_path: Path
) -> None:
    file = tmp_path / "some.service"
    file.write_text("[Service]\n")
    module = recording(check=True)
    assert absent.forget(module, "some.service")
    assert absent.remove(str(file), True)
    assert module.said == []
    assert file.exists()


def test_files_trees_and_links_go_and_what_links_lead_to_stays(absent: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "theirs").write_text("theirs\n")
    tree, file, link = tmp_path / "tree", tmp_path / "file", tmp_path / "link"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "link").symlink_to(outside)
    file.write_text("ours\n")
    link.symlink_to(outside)
    for each in (tree, file, link):
        assert absent.remove(str(each), False)
        assert not absent.remove(str(each), False)
    assert not absent.remove(str(outside / "theirs" / "below a file"), False)
    assert [each.name for each in tmp_path.iterdir()] == ["outside"]
    assert (outside / "theirs").read_text() == "theirs\n"


@pytest.mark.parametrize("name", ["absent", "directories"])
def test_a_tree_that_is_nested_too_deep_for_python_goes(tmp_path: Path, name: str) -> None:
    """A replica may nest directories in its home, and a user of the past in what was its own."""
    (tmp_path / "home").mkdir()
    with nested(tmp_path / "home", 3000, within=tmp_path):
        if name == "absent":
            assert own_module(name).remove(str(tmp_path / "home"), False)
        else:
            handle = os.open(tmp_path, os.O_RDONLY)
            own_module(name).hand_over(handle, "home", (0, 0))
            os.close(handle)
        assert list(tmp_path.iterdir()) == []
