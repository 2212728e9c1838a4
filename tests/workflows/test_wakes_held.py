"""While a command starts a replica on a host no model wakes there, and one that has woken before is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.planning.rendered import render_files
from tests.workflows.world import GB, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.domain.hosts.facts import ProcessState, SlotFacts
from toolkit.errors import NothingSuitableError, ReleaseFailedError
from toolkit.planning.routing.edits import with_model, with_sleep
from toolkit.planning.routing.routes import Routes, Sleep, Target


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A host of 12 GB on which another model of 5 GB sleeps."""
    made = World(tmp_path)
    other = replace(release(9), model="other", memory=5 * GB)
    slot = SlotFacts("other", "blue", 8190, other, process=ProcessState.RUNNING, healthy=True)
    made.see(memory_available=12 * GB, slots=(replace(slot, memory=5 * GB),))
    routes = with_model(Routes(), "other", (Target("blue", 8190, 100),), created=1)
    apply(made, with_sleep(routes, "other", Sleep("a1", "wait", 9), 60))
    yield made
    made.history.close()


def apply(world: World, routes: Routes) -> None:
    host = world.host
    host.apply_routes(render_files(replace(routes, serial=routes.serial + 1), host.label))


def ask(world: World) -> None:
    world.host.want("other")


def sleeps(world: World) -> bool:
    (slot,) = world.host.observe().slots_of("other")
    return bool(slot.asleep)


def at(world: World, moment: str, act: Callable[[], None]) -> list[tuple[str, bool]]:
    """Act at the operation `moment`; return each operation so far, and whether the other model slept then."""
    seen: list[tuple[str, bool]] = []

    def before(event: str) -> None:
        world.go_on()
        if event == moment:
            act()
        seen.append((event, sleeps(world)))
        world.before(before)

    world.before(before)
    return seen


def names(seen: list[tuple[str, bool]], *wanted: str) -> list[str]:
    return [event for event, _ in seen if event in wanted]


START = "replica started tiny-blue"
HELD = ("hold wakes", START, "wait tiny-blue", "let wakes begin")


def test_a_wake_waits_until_the_replica_has_started(world: World) -> None:
    seen = at(world, START, lambda: ask(world))
    world.deploy(release(1, memory=6 * GB))
    assert names(seen, *HELD) == list(HELD)
    assert [slept for event, slept in seen if event in HELD] == [True] * 4
    assert not sleeps(world)
    assert ("blue", "v1", "healthy", 100) in world.table()


def test_a_model_that_has_woken_since_the_plan_keeps_its_memory(world: World) -> None:
    seen = at(world, "hold wakes", lambda: ask(world))
    with pytest.raises(NothingSuitableError) as refused:
        world.deploy(release(1, memory=7 * GB))
    assert refused.value.message.startswith(
        "tiny #1 (v1) does not fit on gpu1 any more: other has woken since the plan was made; needs 7 GB of memory"
    )
    assert refused.value.hint == "toolkit sleep other, then the same command again"
    assert START not in [event for event, _ in seen]
    assert not sleeps(world)
    assert world.outcomes() == [("deploy", 1, "failed")]
    world.go_on()
    # beside it there is room for a smaller one
    world.deploy(release(2, memory=6 * GB))


def test_a_swap_holds_wakes_off_before_it_gives_memory_away(world: World) -> None:
    world.deploy(release(1, memory=6 * GB))
    seen = at(world, "replica absent tiny-blue", lambda: ask(world))
    world.deploy(release(2, memory=7 * GB))
    order = ["hold wakes", "replica absent tiny-blue", "wait tiny-green", "let wakes begin"]
    assert names(seen, *order) == order
    assert [slept for event, slept in seen if event in order] == [True] * 4
    assert not sleeps(world)


def test_what_is_undone_starts_before_a_wake_begins(world: World) -> None:
    world.deploy(release(1, memory=6 * GB))
    world.behave("v2", Behaviour.DIES_AT_START)
    seen = at(world, "wait tiny-green", lambda: ask(world))
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(2, memory=7 * GB))
    order = ["wait tiny-green", START, "wait tiny-blue"]
    assert names(seen, *order) == order
    assert [slept for event, slept in seen if event in order] == [True] * 3
    assert not sleeps(world)


def test_a_change_that_starts_nothing_holds_no_wake_off(world: World) -> None:
    world.deploy(release(1, memory=GB))
    world.deploy(release(2, memory=GB))
    seen = at(world, "", lambda: None)
    world.rollback()
    assert "hold wakes" not in [event for event, _ in seen]
