"""What root runs of the host's side on a host is what its texts say, whatever lies beside them."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from toolkit.adapters.hosts.ssh import HOSTSIDE, hostside_path
from toolkit.domain.hosts.fleet import Host

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import loading
import tampering

TAG = sys.implementation.cache_tag
ASKED = b'1 open converse\n1 line {"command":"observe","root":"%s","label":"x"}\n'
EVIL = "open({!r}, 'w').close(); raise SystemExit(9)\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture(params=["copy", "watch"])
def place(root: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the host's side, as an ops machine places it, and the one of the watch."""
    return placed(root, request.param)


def placed(root: Path, kind: str = "copy") -> Path:
    host = Host("a", connection="ssh", address="b", root=str(root))
    found = Path(hostside_path(host)) if kind == "copy" else root / "bin/watch"
    found.mkdir(parents=True)
    (root / "seals").mkdir()
    for each in HOSTSIDE.glob("*.py"):
        shutil.copy(each, found)
    return found


def look(root: Path, place: Path) -> dict[str, Any]:
    """Return what a host of this Python says of itself by the program in `place`."""
    argv = [sys.executable, "-I", "-S", str(place / "__main__.py"), "serve"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        child.stdin.write(ASKED % str(root).encode())
        child.stdin.flush()
        line = child.stdout.readline()
        child.stdin.close()
    answer: dict[str, Any] = json.loads(line.split(b" line ", 1)[1])
    return answer


def evil(text: str, source: Path) -> bytes:
    """Return a file of a compiled module that Python takes for that of `source`."""
    seen = source.stat()
    head = importlib.util.MAGIC_NUMBER + bytes(4)
    head += int(seen.st_mtime).to_bytes(4, "little") + seen.st_size.to_bytes(4, "little")
    return head + marshal.dumps(compile(text, str(source), "exec"))


def cached(place: Path, text: str) -> None:
    (place / "__pycache__").mkdir()
    for each in sorted(place.glob("*.py")):
        (place / f"__pycache__/{each.stem}.{TAG}.pyc").write_bytes(evil(text, each))


def as_package(place: Path, text: str) -> None:
    (place / "observe").mkdir()
    (place / "observe/__init__.py").write_text(text)


def as_library(place: Path, _: str) -> None:
    (place / f"observe.{TAG}-x86_64-linux-gnu.so").write_bytes(b"\x7fELF")
    (place / "observe.abi3.so").write_bytes(b"\x7fELF")


def as_standard_module(place: Path, text: str) -> None:
    for name in ("json", "hashlib", "threading", "socket", "select", "_json"):
        (place / f"{name}.py").write_text(text)


def unsealed(place: Path, text: str) -> None:
    code = marshal.dumps(compile(text, "observe.py", "exec"))
    files = {each.stem: each.stat() for each in place.glob("*.py")}
    body = marshal.dumps({name: (s.st_size, s.st_mtime_ns, code) for name, s in files.items()})
    kept = place / f"compiled-{TAG}"
    kept.write_bytes(importlib.util.MAGIC_NUMBER + body)
    kept.chmod(0o600)


@pytest.mark.parametrize("plant", [cached, as_package, as_library, as_standard_module, unsealed])
def test_nothing_that_lies_beside_its_texts_is_run(
    root: Path, place: Path, plant: Callable[[Path, str], None]
) -> None:
    ran = root / "ran"
    plant(place, EVIL.format(str(ran)))
    assert "result" in look(root, place)
    assert not ran.exists()


@pytest.mark.parametrize("command", [["check-start"], ["carry-use"]])
def test_neither_do_the_commands_of_process_supervisors(root: Path, command: list[str]) -> None:
    place, ran = placed(root, "watch"), root / "ran"
    cached(place, EVIL.format(str(ran)))
    argv = [sys.executable, "-I", str(place / "__main__.py"), *command, str(root), "tiny-blue"]
    subprocess.run(argv, capture_output=True)
    assert not ran.exists()


def test_names_of_the_standard_library_are_known_where_python_does_not_tell_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(sys, "stdlib_module_names")
    known = {*loading.standard()}
    assert {"json", "select", "_json", "_hashlib", "sys", "os", "zlib"} <= known
    assert not known & {each.stem for each in HOSTSIDE.glob("[!_]*.py")}


def test_python_leaves_no_compiled_modules_of_its_own(root: Path, place: Path) -> None:
    look(root, place)
    assert not (place / "__pycache__").exists()


def test_a_look_at_a_host_that_was_never_provisioned_writes_nothing(root: Path) -> None:
    place = placed(root)
    (root / "seals").rmdir()
    files = {each.name for each in place.iterdir()}
    assert "result" in look(root, place)
    assert {each.name for each in place.iterdir()} == files
    assert not (root / "seals").exists()


def test_a_copy_is_compiled_once_for_root_alone_and_what_it_keeps_is_sealed(root: Path) -> None:
    place = placed(root)
    look(root, place)
    kept = place / f"compiled-{TAG}"
    assert kept.stat().st_mode & 0o777 == 0o600
    before = kept.stat().st_ino
    assert "result" in look(root, place)
    assert kept.stat().st_ino == before
    assert tampering.changed(str(root)) == []
    # A text that was changed is what runs, and is named.
    (place / "observe.py").write_text("def observe(*_):\n    return {'other': 1}\n")
    assert look(root, place)["result"] == {"other": 1}
    assert tampering.changed(str(root)) == [f"bin/{place.name} was changed"]


def other_bit(kept: Path) -> None:
    text = bytearray(kept.read_bytes())
    text[len(text) // 2] ^= 1
    kept.write_bytes(text)


def other_owner(kept: Path) -> None:
    os.chown(kept, 12345, 0)


@pytest.mark.parametrize(
    "damage",
    [
        other_bit,
        other_owner,
        lambda kept: kept.write_bytes(kept.read_bytes()[:40]),
        lambda kept: kept.chmod(0o644),
        lambda kept: unsealed(kept.parent, "raise SystemExit(9)"),
    ],
)
def test_what_is_kept_and_was_changed_is_named_not_run_and_made_anew(
    root: Path, damage: Callable[[Path], None]
) -> None:
    place = placed(root)
    look(root, place)
    kept = place / f"compiled-{TAG}"
    damage(kept)
    assert tampering.changed(str(root)) == [f"bin/{place.name} was changed"]
    assert "result" in look(root, place)
    assert tampering.changed(str(root)) == []
