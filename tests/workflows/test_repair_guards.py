"""Damaged orders of guards: made anew from their copies, or their releases are said to be watched no more."""

from __future__ import annotations

import pytest

from tests.workflows.guarding import cut_in_bake, gates, guarded
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
    for each in world.hosts.values():
        each.guards.orders.clear()
        each.guards.facts.clear()
    world.see(damaged=("guard/tiny.json",))
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
