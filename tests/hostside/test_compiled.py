"""What one replica has compiled is given to the next of its kind, and to no other; nobody but root can change it."""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.nested import nested

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import compiled
import snapshots
import start_check

COMPILES = {"engine": "vllm-0.32.0", "accelerator": "cuda", "words": ["--a", "1"], "rank": [0, 1]}
GRAPHS = {"vllm/a/model": b"graph", "triton/k/kernel.json": b"{}", "triton/k/.hidden": b"h"}


class Ground:
    """A root with the slots blue and green, and two snapshots of one shape."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "router").mkdir(parents=True)
        for name, weights in (("v1", b"1"), ("v2", b"2")):
            top = root / "snapshots" / name
            top.mkdir(parents=True)
            (top / "config.json").write_text('{"layers": 2}')
            (top / "generation_config.json").write_text(json.dumps({"of": name}))
            (top / "model.safetensors").write_bytes(weights)

    def begin(self, slot: str, snapshot: str = "v1", **changed: Any) -> Path:
        """Write a slot's manifest, as a start does, and look before it; return what the replica compiles into."""
        home, slots = self.root / "caches" / f"tiny-{slot}", self.root / "slots" / f"tiny-{slot}"
        home.mkdir(parents=True, exist_ok=True)
        slots.mkdir(parents=True, exist_ok=True)
        manifest = {
            "model": "tiny",
            "slot": slot,
            "release": {"snapshot": snapshot},
            "compiles": {**COMPILES, **changed},
        }
        (slots / "new").write_text(json.dumps(manifest))
        (slots / "new").replace(slots / "manifest.json")
        return self.look(slot)

    def look(self, slot: str) -> Path:
        assert start_check.main([str(self.root), f"tiny-{slot}"]) == 0
        return self.root / "compiling" / f"tiny-{slot}"

    def keep(self, slot: str) -> dict[str, Any]:
        found: dict[str, Any] = compiled.keep(str(self.root), f"tiny-{slot}")
        return found

    def kept(self) -> list[Path]:
        return sorted((self.root / "compiled").glob("[!.]*"))

    def route(self, **target: Any) -> None:
        routes = {
            "at": "",
            "routes": [{"model": "tiny", "targets": [{"slot": "blue", "host": "", **target}]}],
        }
        (self.root / "router/routes.json").write_text(json.dumps(routes))


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    # The names of these snapshots are no digests, and nothing else of the machine matters.
    monkeypatch.setattr(compiled, "machine", lambda: {"cpu": "this"})
    return Ground(tmp_path / "root")


def compile_into(working: Path) -> None:
    for path, data in GRAPHS.items():
        (working / path).parent.mkdir(parents=True, exist_ok=True)
        (working / path).write_bytes(data)


def there(top: Path) -> dict[str, bytes]:
    return {str(f.relative_to(top)): f.read_bytes() for f in top.rglob("*") if f.is_file()}


def test_the_next_version_begins_with_what_the_first_compiled_in_the_other_slot(
    ground: Ground,
) -> None:
    working = ground.begin("blue")
    assert there(working) == {}
    compile_into(working)
    kept = ground.keep("blue")
    assert (kept["files"], kept["bytes"], kept["why"]) == (3, 8, "")
    assert there(ground.begin("green", "v2")) == GRAPHS
    (tree,) = ground.kept()
    assert all(each.stat().st_mode & 0o222 == 0 for each in tree.rglob("*") if each.is_file())
    # The same kind is kept once.
    assert ground.keep("green") == {"name": tree.name, "files": 0, "bytes": 0, "why": ""}


@pytest.mark.parametrize(
    "changed",
    [
        {"engine": "vllm-0.33.0"},
        {"accelerator": "cpu"},
        {"words": ["--a", "2"]},
        {"rank": [1, 2]},
    ],
)
def test_another_kind_begins_with_nothing(ground: Ground, changed: dict[str, Any]) -> None:
    compile_into(ground.begin("blue"))
    ground.keep("blue")
    assert there(ground.begin("green", **changed)) == {}


def test_another_shape_or_machine_begins_with_nothing(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_into(ground.begin("blue"))
    ground.keep("blue")
    (ground.root / "snapshots/v2/config.json").write_text('{"layers": 3}')
    assert there(ground.begin("green", "v2")) == {}
    monkeypatch.setattr(compiled, "machine", lambda: {"cpu": "another"})
    assert there(ground.begin("green")) == {}


def spoil(tree: Path) -> None:
    (tree / "vllm/a/model").chmod(0o644)
    (tree / "vllm/a/model").write_bytes(b"worse")


def add(tree: Path) -> None:
    (tree / "vllm/a/more").write_bytes(b"more")


def open_to_all(tree: Path) -> None:
    (tree / "vllm/a/model").chmod(0o666)


def give_away(tree: Path) -> None:
    os.chown(tree / "vllm/a/model", 65534, 65534)


@pytest.mark.parametrize("poison", [spoil, add, open_to_all, give_away])
def test_a_kept_tree_that_somebody_changed_is_refused_and_removed(
    ground: Ground, poison: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    if poison is give_away and os.geteuid():
        pytest.skip("only root gives files away")
    compile_into(ground.begin("blue"))
    ground.keep("blue")
    poison(ground.kept()[0])
    assert there(ground.begin("green")) == {}
    assert "what was compiled before is not used" in capsys.readouterr().err
    assert ground.kept() == []


def test_what_a_former_replica_left_in_the_slot_is_not_what_the_next_one_loads(
    ground: Ground,
) -> None:
    compile_into(ground.begin("blue"))
    assert there(ground.begin("blue", "v2")) == {}


def test_a_replica_that_crashed_goes_on_with_what_it_has_compiled(ground: Ground) -> None:
    compile_into(ground.begin("blue"))
    assert there(ground.look("blue")) == GRAPHS


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ({}, ""),
        ({"weight": 0}, ""),
        ({"weight": 100}, "it has taken requests of clients"),
        ({"weight": 0, "share": 5}, "it has taken requests of clients"),
        ({"weight": 0, "standby": True}, "it has taken requests of clients"),
        # another host's slot
        ({"weight": 100, "host": "beta"}, ""),
    ],
)
def test_nothing_is_kept_of_a_replica_that_clients_have_reached(
    ground: Ground, target: dict[str, Any], why: str
) -> None:
    compile_into(ground.begin("blue"))
    ground.route(**target)
    assert ground.keep("blue")["why"] == why
    assert len(ground.kept()) == (not why)


def test_nothing_is_kept_of_a_replica_that_an_older_toolkit_started(ground: Ground) -> None:
    compile_into(ground.begin("blue"))
    (ground.root / "compiling/.tiny-blue.json").unlink()
    assert ground.keep("blue")["why"] == "it was not started with a fresh directory"


def test_root_copies_plain_files_alone_and_follows_nothing(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = ground.begin("blue")
    compile_into(working)
    (tmp_path / "secret").write_text("theirs")
    (working / "link").symlink_to(tmp_path / "secret")
    (working / "folder").symlink_to(tmp_path)
    os.link(tmp_path / "secret", working / "second-name")
    os.mkfifo(working / "pipe")
    (working / "odd\nname").write_text("x")
    (working / "some.lock").write_text("")
    with socket.socket(socket.AF_UNIX) as listener:
        # Its path must be short.
        monkeypatch.chdir(working)
        listener.bind("socket")
    ground.keep("blue")
    (tree,) = ground.kept()
    assert there(tree) == GRAPHS
    assert there(ground.begin("green")) == GRAPHS


@pytest.mark.parametrize(
    ("name", "bound", "why"),
    [
        ("MOST_BYTES", 7, "larger"),
        ("MOST_FILES", 2, "larger"),
        ("MOST_DEPTH", 1, "nested"),
    ],
)
def test_what_a_replica_may_fill_is_bounded(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, name: str, bound: int, why: str
) -> None:
    compile_into(ground.begin("blue"))
    monkeypatch.setattr(compiled, name, bound)
    assert why in ground.keep("blue")["why"]
    assert ground.kept() == []


@pytest.mark.parametrize("paths", ["a/b/c/d/e", "a b c d e", "a/b/c a/d/e"])
def test_the_directories_that_a_replica_may_make_are_bounded(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, paths: str
) -> None:
    """Each takes a file of the disk, which is counted in neither bytes nor files."""
    working = ground.begin("blue")
    compile_into(working)
    for path in paths.split():
        (working / path).mkdir(parents=True)
    monkeypatch.setattr(compiled, "MOST_NAMES", 4)
    assert "larger" in ground.keep("blue")["why"]
    assert ground.kept() == []


def test_directories_that_are_nested_too_deep_for_python_stop_no_start(ground: Ground) -> None:
    working = ground.begin("blue")
    compile_into(working)
    with nested(working, 3000, within=ground.root):
        assert "nested" in ground.keep("blue")["why"]
        assert there(ground.begin("blue")) == {}
        assert {each.name for each in working.parent.iterdir()} == {"tiny-blue", ".tiny-blue.json"}


def test_the_oldest_trees_go(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST_TREES", 2)
    names = []
    for number in range(3):
        compile_into(ground.begin("blue", words=[str(number)]))
        names.append(ground.keep("blue")["name"])
        os.utime(ground.root / "compiled" / names[-1], (number, number))
    assert {each.name for each in ground.kept()} == set(names[1:])


def test_the_machine_is_its_processor_system_devices_and_driver(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(
        "model name\t: A\nflags\t\t: x y\nMHz : 1\n\nmodel name : B\n"
    )
    (tmp_path / "os").write_text('NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    for number in (0, 1):
        place = tmp_path / f"driver/nvidia/gpus/{number}"
        place.mkdir(parents=True)
        (place / "information").write_text(f"Model: \t NVIDIA H100\nIRQ: {number}\n")
    (tmp_path / "driver/nvidia/version").write_text("NVRM version: 590.1\n")
    assert compiled.machine(str(tmp_path), str(tmp_path / "os")) == {
        "architecture": os.uname().machine,
        "cpu": {"model name": "A", "flags": "x y"},
        "system": ["ID=debian", 'VERSION_ID="12"'],
        "driver": "NVRM version: 590.1\n",
        "devices": ["Model: \t NVIDIA H100"],
    }


def test_a_kept_tree_is_handed_out_in_parts_and_found_by_its_kind(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_into(ground.begin("blue"))
    name = ground.keep("blue")["name"]
    root = str(ground.root)
    assert compiled.find(root, COMPILES, "v2") == {"kind": name.rpartition(".")[0], "name": name}
    assert compiled.find(root, {**COMPILES, "words": []}, "v2")["name"] == ""
    monkeypatch.setattr(compiled, "_PART", 3)
    parts, more = [], True
    files = compiled.hand_out(root, name, 0)["files"]
    while more:
        answer = compiled.hand_out(root, name, sum(map(len, parts)))
        parts.append(base64.b64decode(answer["data"]))
        more = answer["more"]
    assert [each[0] for each in files] == sorted(GRAPHS)
    assert b"".join(parts) == b"".join(GRAPHS[path] for path in sorted(GRAPHS))
    assert max(map(len, parts)) <= 3
    with pytest.raises(ValueError, match="nothing is kept"):
        compiled.hand_out(root, name[:-1] + "0", 0)


def test_a_tree_that_came_from_elsewhere_is_used_like_ones_own(
    ground: Ground, tmp_path: Path
) -> None:
    compile_into(ground.begin("blue"))
    name = ground.keep("blue")["name"]
    (tmp_path / "ops").mkdir()
    (ground.root / "compiled" / name).rename(tmp_path / "ops" / name)
    request = {"root": str(ground.root), "source": str(tmp_path / "ops" / name), "digest": name}
    request |= {"kind": "compiled", "files": sorted(GRAPHS)}
    done = snapshots.place(request, lambda _: None)
    assert (done["linked"], done["copied"]) == (0, 3)
    assert there(ground.begin("green")) == GRAPHS
    assert compiled.hand_out(str(ground.root), name, 0)["more"] is False
