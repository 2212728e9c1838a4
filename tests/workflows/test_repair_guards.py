"""Damaged orders of guards: made anew from their copies, or their releases are said to be watched no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.guarding import cut_in_bake, each_serves, gates, guarded
from tests.workflows.test_cut_short import elsewhere, kept
from tests.workflows.test_guarded_killed import deploy_another
from tests.workflows.test_repair import repaired, status_drift
from tests.workflows.world import World, release

__all__ = ["guarded"]


def test_an_order_of_a_guard_comes_back_from_its_copy_and_the_bake_goes_on(world: World) -> None:
    cut_in_bake(world)
    before = gates(world)
    world.see(damaged=("guard/tiny.json",))
    assert status_drift(world) == [
        f"{name}: guard/tiny.json cannot be read; toolkit repair makes it anew"
        for name in world.hosts
    ]
    repaired(world)
    assert (status_drift(world), gates(world)) == ([], before)
    assert not [words for words in world.said if "any more" in words]
    assert all(each.observe().guards for each in world.hosts.values())


@pytest.mark.parametrize("then", ["deploy", "rollback"])
def test_a_release_whose_guard_has_lost_its_order_is_said_to_be_watched_no_more(
    world: World, then: str
) -> None:
    cut_in_bake(world)
    before = gates(world)
    lose_orders(world)
    repaired(world)
    assert [words for words in world.said if "any more" in words] == [
        f"{name}: guard/tiny.json and its copy cannot be read: no guard watches tiny #2 (v2) any more; "
        "toolkit deploy tiny keeps it, toolkit rollback tiny goes back"
        for name in world.hosts
    ]
    assert gates(world) - before == {(2, "bake", "could not tell")}
    assert status_drift(world) == []
    # What the words promise.
    world.deploy(release(2)) if then == "deploy" else world.rollback()
    assert set(world.serving().values()) == {"v2" if then == "deploy" else "v1"}
    assert world.unfinished() == set()


@pytest.mark.parametrize("mended", ["before", "between", "after"])
@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("then", ["deploy", "rollback"])
def test_a_change_of_another_model_decides_nothing_about_a_release_whose_guard_has_lost_its_order(
    world: World, tmp_path: Path, here: bool, then: str, mended: str
) -> None:
    cut_in_bake(world)
    before = gates(world)
    lose_orders(world)
    at = world if here else elsewhere(world, tmp_path / "other")
    if mended == "before":
        repaired(at)
    deploy_another(at)
    if mended == "between":
        repaired(at)
    deploy_another(at, "third")
    assert kept(world) == list(world.hosts)
    assert (world.unfinished(), each_serves(world)) == ({2}, {"v2"})
    if mended == "after":
        assert gates(world) == before
        repaired(at)
    at.deploy(release(2)) if then == "deploy" else at.rollback()
    assert each_serves(world) == {"v2" if then == "deploy" else "v1"}
    assert kept(world) == []


def test_a_release_whose_guard_has_lost_its_order_goes_back_where_it_does_not_answer(
    world: World,
) -> None:
    cut_in_bake(world)
    lose_orders(world)
    for each in world.hosts.values():
        slot = each.observe().serving_slot("tiny")
        assert slot
        each.facts = replace(
            each.facts,
            slots=tuple(
                replace(one, healthy=False) if one.slot == slot.slot else one
                for one in each.facts.slots
            ),
        )
    deploy_another(world)
    assert each_serves(world) == {"v1"}
    assert world.unfinished() == set()


def lose_orders(world: World) -> None:
    """Damage the orders of all guards, and their copies."""
    for each in world.hosts.values():
        each.guards.orders.clear()
        each.guards.facts.clear()
    world.see(damaged=("guard/tiny.json",))
