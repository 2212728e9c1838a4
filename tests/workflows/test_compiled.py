"""What the first host of a fleet has compiled reaches the ones after it, and is compiled no second time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from errno import EIO, ENOSPC
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.world import World, release
from toolkit.adapters.fakes.stock import COMPILED, COMPILED_BYTES, hash_of
from toolkit.adapters.hosts.port import FoundCompiled
from toolkit.adapters.store import compiled
from toolkit.adapters.store.compiled import CompiledTrees
from toolkit.domain.engines.compiled import CompiledTree
from toolkit.domain.files.snapshot import FileDigest, digest_of_files
from toolkit.errors import IntegrityError

ENGINE = release(1).engine
NAME = f"{hash_of(ENGINE)}.{hash_of('cpu')}.{digest_of_files([COMPILED])}"
TREE = CompiledTree(NAME, (COMPILED,))


def fleet(path: Path, count: int = 3) -> World:
    """Return a fleet that serves the first release, of which nothing is kept. So the second goes from host to host."""
    world = World(path, count=count)
    world.deploy(release(1))
    for each in world.hosts.values():
        each.compiled.clear()
    world.given = {"compiled": CompiledTrees(path)}
    return world


def sent(world: World) -> list[str]:
    return [
        host for host, kind, name in world.distribution.sent if (kind, name) == ("compiled", NAME)
    ]


def handed_out(world: World) -> list[str]:
    return [name for name, each in world.hosts.items() if f"hand out {NAME[:8]}" in each.events]


def test_later_hosts_get_what_the_first_has_compiled(tmp_path: Path) -> None:
    world = fleet(tmp_path)
    world.deploy(release(2))
    assert (handed_out(world), sent(world)) == (["gpu1"], ["gpu2", "gpu3"])
    assert all(host.compiled == {NAME} for host in world.hosts.values())
    (stored,) = CompiledTrees(tmp_path).of_engines([ENGINE])
    assert (stored.tree.kind, (stored.directory / "graph").read_bytes()) == (
        NAME.rpartition(".")[0],
        COMPILED_BYTES,
    )
    # The next version has the same shape: nothing is compiled, sent or fetched.
    world.deploy(release(3))
    assert (handed_out(world), sent(world)) == ([], [])


@pytest.mark.parametrize("name", ["gpu1", "gpu2"])
def test_ctrl_c_before_a_batch_has_begun_leaves_nothing_open(tmp_path: Path, name: str) -> None:
    world = fleet(tmp_path)
    find, calls = world.hosts[name].find_compiled, []

    def interrupted(*asked: Any) -> FoundCompiled:
        calls.append(asked)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return find(*asked)

    world.hosts[name].find_compiled = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.deploy(release(2))
    assert world.history.unfinished() == []
    assert not any(each.opened for each in world.hosts.values())
    done = ("gpu1",) if name == "gpu2" else ()
    assert {host for host, version in world.serving().items() if version == "v2"} == {*done}
    world.history.close()


def test_hosts_that_start_together_do_not_wait_for_each_other(tmp_path: Path) -> None:
    world = World(tmp_path, count=3, given={"compiled": CompiledTrees(tmp_path)})
    world.deploy(release(1))
    assert (handed_out(world), sent(world)) == (["gpu1"], [])
    assert all(host.compiled == {NAME} for host in world.hosts.values())


def test_another_kind_of_machine_gets_nothing_from_the_first(tmp_path: Path) -> None:
    world = fleet(tmp_path)
    world.hosts["gpu2"].machine = "another"
    world.deploy(release(2))
    assert (handed_out(world), sent(world)) == (["gpu1", "gpu2"], ["gpu3"])


def test_a_tree_that_does_not_arrive_costs_a_compilation_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fleet(tmp_path, 2)

    def lost(*_: object) -> dict[str, str]:
        return {"gpu2": "no room"}

    monkeypatch.setattr("toolkit.adapters.fakes.distribution.FakeDistribution.spread", lost)
    for each in world.hosts.values():
        each.facts = replace(each.facts, snapshots=(release(1).snapshot, release(2).snapshot))
    world.deploy(release(2))
    assert world.serving() == {"gpu1": "v2", "gpu2": "v2"}
    assert "gpu2:   what was compiled before did not arrive: no room" in world.said


def test_a_host_that_hands_out_other_bytes_than_it_says_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fleet(tmp_path)
    monkeypatch.setattr(
        "toolkit.adapters.fakes.host.FakeHost.hand_out_compiled",
        lambda *_: ((COMPILED,), iter((b"worse",))),
    )
    world.deploy(release(2))
    assert sent(world) == []
    assert any("graph is not what its digest says" in line for line in world.said)
    assert CompiledTrees(tmp_path).of_engines([ENGINE]) == ()


def test_a_full_disk_here_costs_a_compilation_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fleet(tmp_path)

    def full(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(CompiledTrees, "take_in", full)
    world.deploy(release(2))
    assert world.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}
    assert any("not carried: [Errno 28] No space left" in line for line in world.said)


def keep(path: Path, tree: CompiledTree = TREE, *parts: bytes) -> CompiledTrees:
    trees = CompiledTrees(path)
    trees.take_in(tree, ENGINE, parts or (b"gr", b"", b"aph"))
    return trees


def test_what_is_kept_here_is_found_by_kind_and_by_engine(tmp_path: Path) -> None:
    trees = keep(tmp_path)
    assert trees.find(TREE.kind) == trees.of_engines([ENGINE, "other"])[0]
    assert (trees.find(TREE.kind[:-1] + "x"), trees.of_engines(["other"])) == (None, ())


def test_what_has_changed_here_counts_as_none_and_goes(tmp_path: Path) -> None:
    trees = keep(tmp_path)
    (tmp_path / "compiled" / NAME / "graph").write_bytes(b"worse")
    assert trees.find(TREE.kind) is None
    assert list((tmp_path / "compiled").iterdir()) == []


def test_what_the_disk_does_not_give_back_counts_as_none_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = keep(tmp_path)

    def broken(path: Path, *_: object) -> None:
        raise OSError(EIO, os.strerror(EIO), str(path))

    monkeypatch.setattr("toolkit.adapters.store.compiled.digest_file", broken)
    assert trees.find(TREE.kind) is None
    assert list((tmp_path / "compiled").iterdir()) == []


@pytest.mark.parametrize("note", ['{"engine": ""}', "[" * 100_000])
def test_a_tree_whose_note_names_no_engine_counts_as_none_and_goes(
    tmp_path: Path, note: str
) -> None:
    trees = keep(tmp_path)
    (tmp_path / "compiled" / f"{NAME}.json").write_text(note)
    assert trees.find(TREE.kind) is None
    assert list((tmp_path / "compiled").iterdir()) == []


def test_what_another_command_removes_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees, place = keep(tmp_path), tmp_path / "compiled"
    hashes = compiled.digest_file

    def remove_first(path: Path, name: str) -> FileDigest:
        path.unlink()
        return hashes(path, name)

    monkeypatch.setattr(compiled, "digest_file", remove_first)
    assert trees.find(TREE.kind) is None
    # What goes while the oldest ones are looked for.
    monkeypatch.undo()
    (place / "gone.json").symlink_to(place / "nowhere")
    monkeypatch.setattr(compiled, "_MOST_TREES", 1)
    assert keep(tmp_path).find(TREE.kind) is not None


def test_two_commands_take_in_the_same_tree_at_once(tmp_path: Path) -> None:
    def meanwhile() -> Iterator[bytes]:
        yield b"gr"
        keep(tmp_path)
        yield b"aph"

    found = CompiledTrees(tmp_path).take_in(TREE, ENGINE, meanwhile())
    kept = CompiledTrees(tmp_path).find(TREE.kind)
    assert kept and kept.directory == found.directory
    assert len(list((tmp_path / "compiled").iterdir())) == 2


def test_what_another_command_puts_there_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees, graph = keep(tmp_path), tmp_path / "compiled" / NAME / "graph"
    hashes = compiled.digest_file
    graph.write_bytes(b"half")

    def put_after(path: Path, name: str) -> FileDigest:
        found = hashes(path, name)
        graph.write_bytes(COMPILED_BYTES)
        return found

    monkeypatch.setattr(compiled, "digest_file", put_after)
    assert trees.find(TREE.kind) is not None


def test_what_killed_commands_left_goes(tmp_path: Path) -> None:
    (tmp_path / "compiled" / ".killed").mkdir(parents=True)
    (tmp_path / "compiled" / ".killed" / "graph").write_bytes(b"gr")
    (tmp_path / "compiled" / ".nobody-knows").touch()
    keep(tmp_path)
    assert not (tmp_path / "compiled" / ".killed").exists()


def lies() -> Iterator[tuple[CompiledTree, str]]:
    yield CompiledTree(NAME[:-1] + "x", (COMPILED,)), "no name"
    yield CompiledTree("../" + NAME, (COMPILED,)), "no name"
    yield CompiledTree(NAME, (FileDigest("../graph", 5, COMPILED.sha256),)), "leads out"
    yield CompiledTree(NAME, (FileDigest("other", 5, COMPILED.sha256),)), "do not have the digest"
    yield CompiledTree(NAME, (FileDigest("graph", 2**60, COMPILED.sha256),)), "larger"
    yield CompiledTree(NAME, (COMPILED, COMPILED)), "twice"


@pytest.mark.parametrize(("tree", "why"), tuple(lies()))
def test_a_tree_is_kept_under_its_own_name_alone(
    tmp_path: Path, tree: CompiledTree, why: str
) -> None:
    with pytest.raises(IntegrityError, match=why):
        keep(tmp_path, tree)
    assert list(tmp_path.rglob("graph")) == []


@pytest.mark.parametrize("parts", [(b"gra",), (b"grapes",), (b"g" * 5,)])
def test_other_bytes_are_not_kept(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    with pytest.raises(IntegrityError, match="not what its digest says"):
        keep(tmp_path, TREE, *parts)
    assert list((tmp_path / "compiled").iterdir()) == []
