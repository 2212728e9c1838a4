"""Modules that Ansible has built for a run and later runs use: never those of other sources."""

from __future__ import annotations

import importlib
import os
import sys
import time
import zipfile
from pathlib import Path

import pytest

from toolkit.adapters.ansible import bytecode
from toolkit.adapters.ansible import kept_modules as kept
from toolkit.adapters.ansible.converge import RealConverge
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

BOOK = """\
- name: Play
  hosts: all
  gather_facts: false
  become: false
  tasks:
    - name: Greet
      greeting:
"""
MODULE = """\
from ansible.module_utils.basic import AnsibleModule
AnsibleModule({}).fail_json(msg="WORDS")
"""


@pytest.fixture
def books(tmp_path: Path) -> Path:
    books = tmp_path / "playbooks"
    (books / "library").mkdir(parents=True)
    (books / "library" / "greeting.py").write_text(MODULE)
    (books / "greet.yml").write_text(BOOK)
    return books


def test_the_same_sources_have_one_directory_that_this_user_alone_may_enter(
    tmp_path: Path, books: Path
) -> None:
    top = tmp_path / "modules"
    place = kept.kept_modules(top, books)
    assert (top.stat().st_mode & 0o777, place.stat().st_mode & 0o777) == (0o700, 0o700)
    assert kept.kept_modules(top, books) == place


def test_a_directory_that_others_may_enter_is_not_used(tmp_path: Path, books: Path) -> None:
    top = tmp_path / "modules"
    top.mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="is open to others"):
        kept.kept_modules(top, books)
    converge = RealConverge(books, tmp_path / "run", modules=top)
    with pytest.raises(HostError, match="WORDS"):
        converge.run("greet", Host("localhost"), {}, lambda _: None)
    assert list(top.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("library/greeting.py", True),
        ("library/second.py", True),
        ("module_utils/shared.py", True),
        ("roles/router/library/router_reload.py", True),
        ("roles/router/files/launch.py", False),
        ("greet.yml", False),
    ],
)
def test_other_modules_have_another_directory(
    tmp_path: Path, books: Path, path: str, other: bool
) -> None:
    top = tmp_path / "modules"
    place = kept.kept_modules(top, books)
    (books / path).parent.mkdir(parents=True, exist_ok=True)
    (books / path).write_text("# changed\n")
    assert (kept.kept_modules(top, books) != place) == other


def test_another_ansible_has_another_directory(
    tmp_path: Path, books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "modules"
    place = kept.kept_modules(top, books)
    monkeypatch.setattr(kept, "version", lambda _: "2.19.99")
    assert kept.kept_modules(top, books) != place


def test_directories_of_other_sources_go_after_a_day_without_use(
    tmp_path: Path, books: Path
) -> None:
    top = tmp_path / "modules"
    top.mkdir(mode=0o700)
    for name, age in {"old": kept.OTHERS_STAY_SECONDS + 60, "young": 60}.items():
        (top / name).mkdir()
        os.utime(top / name, (time.time() - age,) * 2)
    place = kept.kept_modules(top, books)
    assert {each.name for each in top.iterdir()} == {"young", place.name}


def test_a_later_run_takes_what_a_former_has_built_unless_its_source_has_changed(
    tmp_path: Path, books: Path
) -> None:
    top = tmp_path / "modules"
    converge = RealConverge(books, tmp_path / "run", modules=top)

    def said() -> str:
        with pytest.raises(HostError, match="greet: Greet: ") as caught:
            converge.run("greet", Host("localhost"), {}, lambda _: None)
        return str(caught.value).rpartition(": ")[2]

    assert said() == "WORDS"
    (built,) = (each for each in top.rglob("*greeting*") if each.suffix != ".lock")
    made = built.stat().st_mtime_ns
    assert said() == "WORDS"
    assert built.stat().st_mtime_ns == made
    (books / "library" / "greeting.py").write_text(MODULE.replace("WORDS", "others"))
    assert said() == "others"
    # What the runs had for themselves is gone.
    assert list((tmp_path / "run").iterdir()) == []


FROM = """\
from ansible.module_utils import basic
basic.AnsibleModule({}).fail_json(msg="loaded from %s" % basic.__file__)
"""


def test_a_module_loads_the_bytecode_of_what_it_imports(tmp_path: Path, books: Path) -> None:
    (books / "library" / "greeting.py").write_text(FROM)
    converge = RealConverge(books, tmp_path / "run", modules=tmp_path / "modules")
    for _ in ("built", "kept"):
        # The same Python stands for the host's.
        with pytest.raises(HostError, match=r"loaded from .*/ansible/module_utils/basic\.pyc$"):
            converge.run("greet", Host("localhost", python=sys.executable), {}, lambda _: None)


@pytest.mark.parametrize(("of", "ending"), [(bytecode.MAGIC_NUMBER, "pyc"), (b"\0\0\r\n", "py")])
def test_another_version_of_python_takes_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: bytes, ending: str
) -> None:
    monkeypatch.setattr(bytecode, "MAGIC_NUMBER", of)
    name = f"sent_{ending}"
    place = tmp_path / "module.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}/__init__.py", "")
        archive.writestr(f"{name}/inner.py", "WORDS = 'said'\n")
        bytecode.add_bytecode(archive)
    monkeypatch.syspath_prepend(str(place))
    inner = importlib.import_module(f"{name}.inner")
    assert (inner.WORDS, str(inner.__file__)) == ("said", f"{place}/{name}/inner.{ending}")


def test_a_directory_that_another_command_removes_at_that_moment_leaves_no_file_in_its_place(
    tmp_path: Path, books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the same sources is a day old, and a command of another toolkit removes such."""
    top, make = tmp_path / "modules", Path.mkdir

    def made(self: Path, *given: object, **named: object) -> None:
        make(self, *given, **named)  # type: ignore[arg-type]
        if self.parent == top:
            self.rmdir()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", made)
        with pytest.raises(FileNotFoundError):
            kept.kept_modules(top, books)
    assert kept.kept_modules(top, books).is_dir()
