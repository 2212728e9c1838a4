"""An engine that was installed beside the present one takes its place in one step, under replicas that run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import engine
import engine_swap
import seals
import tree_check

NAME = "vllm-1"


class Ground:
    """A root with the engine NAME, sealed, and the same one installed beside it."""

    def __init__(self, root: Path) -> None:
        self.root, self.top = root, root / "engines"
        self.place, self.anew = self.top / NAME, self.top / f".{NAME}.anew"
        self.request = {"root": str(root), "name": NAME}
        self.install(self.place)
        tree_check.seal_engine(self.request, _silent)

    def install(self, place: Path, *, stamped: bool = True) -> None:
        (place / "bin").mkdir(parents=True)
        (place / "bin/vllm").write_text("serve")
        if stamped:
            (place / ".complete").write_text(f"{NAME}\n")

    def faults(self) -> list[str]:
        found: list[str] = tree_check.check_engine(self.request, _silent)["faults"]
        return found

    def names(self) -> list[str]:
        return sorted(each.name for each in self.top.iterdir())


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchange", "two renames"])
def test_a_changed_engine_is_replaced_whole_and_what_is_open_stays(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(engine_swap, "_exchange", lambda *_: False)
    (ground.place / "bin/vllm").write_text("leak!")
    assert ground.faults() == ["bin/vllm: was changed"]
    with (ground.place / "bin/vllm").open() as opened:
        ground.install(ground.anew)
        assert engine_swap.swap(ground.request, _silent) == {"files": 2}
        assert opened.read() == "leak!"
    assert (ground.place / "bin/vllm").read_text() == "serve"
    assert (ground.faults(), ground.names()) == ([], [NAME])
    assert engine.engines(str(ground.root)) == [NAME]


def test_an_engine_that_is_gone_is_there_again(ground: Ground) -> None:
    ground.install(ground.anew)
    (ground.place / ".complete").unlink()
    (ground.place / "bin/vllm").unlink()
    (ground.place / "bin").rmdir()
    ground.place.rmdir()
    engine_swap.swap(ground.request, _silent)
    assert (ground.faults(), ground.names()) == ([], [NAME])


def test_without_a_whole_one_beside_it_the_present_engine_stays(ground: Ground) -> None:
    ground.install(ground.anew, stamped=False)
    before = (ground.place.stat().st_ino, seals.read(str(ground.root), f"engines-{NAME}"))
    with pytest.raises(ValueError, match="no engine that could replace vllm-1 was installed"):
        engine_swap.swap(ground.request, _silent)
    after = (ground.place.stat().st_ino, seals.read(str(ground.root), f"engines-{NAME}"))
    assert (before, ground.names()) == (after, [f".{NAME}.anew", NAME])


def test_at_each_moment_a_complete_engine_has_the_name(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(act: Any) -> Any:
        def acted(*given: Any, **options: Any) -> Any:
            seen.append(engine.engines(str(ground.root)))
            done = act(*given, **options)
            seen.append(engine.engines(str(ground.root)))
            return done

        return acted

    ground.install(ground.anew)
    monkeypatch.setattr(engine_swap.os, "rename", look(os.rename))
    monkeypatch.setattr(engine_swap, "_exchange", look(engine_swap._exchange))
    monkeypatch.setattr(engine_swap.shutil, "rmtree", look(engine_swap.shutil.rmtree))
    engine_swap.swap(ground.request, _silent)
    assert seen == [[NAME]] * 8


def test_a_name_that_is_no_engines_is_refused(ground: Ground) -> None:
    with pytest.raises(ValueError, match="is not the name of a snapshot or an engine"):
        engine_swap.swap({**ground.request, "name": "../x"}, _silent)


def _silent(_: dict[str, Any]) -> None:
    """Ignore events."""
