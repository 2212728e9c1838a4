"""A host keeps each deployment that has not ended: that of the last command, and those that are left to their guard."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.parsers import hostside

with hostside():
    directory, guard_order = import_module("directory"), import_module("guard_order")
    open_deployment = import_module("open_deployment")

TINY = {"rollout": "r-1", "model": "tiny"}
OTHER = {"rollout": "r-2", "model": "other"}


def watch(root: Path, **order: Any) -> None:
    """Give the host the order of a guard."""
    known = {"slot": "green", "former": "blue", "phase": "bake", "number": 2, "token": "t"}
    (root / "guard").mkdir(exist_ok=True)
    text = json.dumps({**TINY, **known, **order})
    (root / "guard" / f"{order.get('model', 'tiny')}.json").write_text(text)


def keep(root: Path, *deployments: dict[str, Any]) -> None:
    for each in deployments:
        assert open_deployment.keep(str(root), each) == {"kept": True}


def test_the_next_one_takes_its_place(tmp_path: Path) -> None:
    keep(tmp_path, TINY, OTHER)
    assert open_deployment.every(str(tmp_path)) == [OTHER]


def test_one_that_a_guard_still_watches_stays_beside_the_next_ones(tmp_path: Path) -> None:
    watch(tmp_path)
    third = {"rollout": "r-3", "model": "third"}
    keep(tmp_path, TINY, OTHER)
    open_deployment.drop(str(tmp_path), "r-2")
    assert open_deployment.every(str(tmp_path)) == [TINY]
    watch(tmp_path, **OTHER)
    keep(tmp_path, OTHER, third)
    assert open_deployment.read(str(tmp_path)) == (third, True)
    assert open_deployment.left(str(tmp_path)) == ([TINY, OTHER], [])
    # Its record outlives its guard, which ends before its slot is emptied.
    guard_order.end(str(tmp_path), "tiny", "r-1")
    assert TINY in open_deployment.every(str(tmp_path))
    open_deployment.drop(str(tmp_path), "r-1")
    assert open_deployment.every(str(tmp_path)) == [OTHER, third]


def test_one_whose_guard_has_an_order_that_cannot_be_read_stays_for_a_person_to_decide(
    tmp_path: Path,
) -> None:
    watch(tmp_path, slot=7)
    keep(tmp_path, TINY, OTHER)
    assert open_deployment.every(str(tmp_path)) == [TINY, OTHER]
    assert guard_order.repair(str(tmp_path)) == {"lost": ["guard/tiny.json"]}
    assert open_deployment.every(str(tmp_path)) == [{**TINY, "unjudged": True}, OTHER]


@pytest.mark.parametrize("model", ["tiny", ".a b", "tiny.found"])
def test_one_whose_lost_guard_a_repair_has_forgotten_stays_beside_the_next_ones(
    tmp_path: Path, model: str
) -> None:
    named = {**TINY, "model": model}
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / guard_order.name_of(model, guard_order.ORDER)).write_text("{}")
    keep(tmp_path, named)
    guard_order.repair(str(tmp_path))
    assert guard_order.damaged(str(tmp_path)) == []
    keep(tmp_path, OTHER)
    assert open_deployment.every(str(tmp_path)) == [{**named, "unjudged": True}, OTHER]
    # Its end is the end of the note, too.
    open_deployment.drop(str(tmp_path), "r-1")
    keep(tmp_path, {**named, "rollout": "r-3"}, OTHER)
    assert open_deployment.every(str(tmp_path)) == [OTHER]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("of another rollout", {"rollout": "r-0"}),
        ("of another model", {"model": "large"}),
    ],
)
def test_a_guard_that_is_not_its_own_keeps_no_deployment(
    tmp_path: Path, name: str, order: dict[str, Any]
) -> None:
    watch(tmp_path, **order)
    keep(tmp_path, TINY, OTHER)
    assert open_deployment.every(str(tmp_path)) == [OTHER], name


def test_a_rollout_is_kept_again_in_the_same_place(tmp_path: Path) -> None:
    watch(tmp_path)
    keep(tmp_path, TINY, {**TINY, "slot": "green"})
    assert open_deployment.every(str(tmp_path)) == [{**TINY, "slot": "green"}]


@pytest.mark.parametrize("rollout", ["", "../r", ".r", "a/b", "r" * 65])
def test_a_rollout_that_is_no_name_of_a_file_is_not_kept_aside(
    tmp_path: Path, rollout: str
) -> None:
    watch(tmp_path, rollout=rollout)
    keep(tmp_path, {**TINY, "rollout": rollout}, OTHER)
    assert open_deployment.every(str(tmp_path)) == [OTHER]


def test_a_record_that_cannot_be_read_is_named_and_goes_with_the_next_that_ends(
    tmp_path: Path,
) -> None:
    watch(tmp_path)
    keep(tmp_path, TINY, OTHER)
    (tmp_path / "deployments" / "r-1.json").write_text("{")
    assert open_deployment.left(str(tmp_path)) == ([], ["deployments/r-1.json"])
    open_deployment.drop(str(tmp_path), "r-2")
    assert open_deployment.left(str(tmp_path)) == ([], [])


def test_where_it_cannot_be_kept_aside_it_stays_and_the_next_one_is_not_kept(
    tmp_path: Path,
) -> None:
    watch(tmp_path)
    keep(tmp_path, TINY)
    (tmp_path / "deployments").write_text("no directory")
    with pytest.raises(directory.NotSafe):
        open_deployment.keep(str(tmp_path), OTHER)
    assert open_deployment.read(str(tmp_path)) == (TINY, True)
