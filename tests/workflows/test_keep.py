"""As many hosts as were asked for go on serving a model, also once hosts have failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.guarding import GUARDED
from tests.workflows.world import GB, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.errors import ReleaseFailedError
from toolkit.planning.change.rollout import Limits

MEMORY = 14 * GB  # a host holds one replica at a time
V1, V2 = release(1, memory=MEMORY), release(2, memory=MEMORY)


def serving(path: Path, hosts: int) -> World:
    world = World(path, hosts)
    world.deploy(V1)
    return world


def fewest(world: World) -> list[int]:
    """Return a list that has, after the next change, the least number of hosts that served during it."""
    least = [world.count]

    def before(_: str) -> None:
        slots = [each.facts.slots_of("tiny") for each in world.hosts.values()]
        well = sum(any(slot.healthy for slot in each) for each in slots)
        least[0] = min(least[0], well)

    world.before(before)
    return least


@pytest.mark.parametrize(
    ("hosts", "keep", "row"),
    [
        (
            3,
            2,
            "no further batch began: 2 hosts serve tiny and 2 must go on, but gpu2 cannot hold both"
            " releases at once",
        ),
        (
            2,
            1,
            "no further batch began: 1 host serves tiny and 1 must go on, but gpu2 cannot hold both"
            " releases at once",
        ),
    ],
)
def test_no_batch_begins_beside_which_too_few_would_serve(
    tmp_path: Path, hosts: int, keep: int, row: str
) -> None:
    world = serving(tmp_path, hosts)
    world.behave("v1", Behaviour.DIES_AT_START, "gpu1")
    world.behave("v2", Behaviour.DIES_AT_START, "gpu1")
    least = fewest(world)
    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(V2, Limits(serial=1, max_failures=1, keep=keep))
    assert least == [keep]
    assert f"\n  {row}" in caught.value.message
    assert "\n  gpu2: untouched: tiny #1 (v1)" in caught.value.message
    assert {n: v for n, v in world.serving().items() if n != "gpu1"} == {
        f"gpu{number}": "v1" for number in range(2, hosts + 1)
    }
    # The host that may not serve is open, the others are not.
    assert {each.host for each in world.history.unfinished()} == {"gpu1"}
    world.history.close()


def test_a_rollout_goes_on_where_enough_others_serve(tmp_path: Path) -> None:
    world = serving(tmp_path, 3)
    world.behave("v1", Behaviour.DIES_AT_START, "gpu1")
    world.behave("v2", Behaviour.DIES_AT_START, "gpu1")
    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(V2, Limits(serial=1, max_failures=1, keep=1))
    assert "no further batch" not in caught.value.message
    assert {n: v for n, v in world.serving().items() if n != "gpu1"} == {"gpu2": "v2", "gpu3": "v2"}
    world.history.close()


# Two hosts that may return at once need not meet: on a busy machine one is done before the other begins.
@pytest.mark.parametrize(("keep", "fewest_of_all"), [(2, {2}), (1, {1, 2})])
def test_hosts_return_to_the_former_release_in_turns(
    tmp_path: Path, keep: int, fewest_of_all: set[int]
) -> None:
    world = serving(tmp_path, 3)
    world.guard = GUARDED
    world.behave("v2", Behaviour.DIES_AT_START, "gpu3")
    least = fewest(world)
    with pytest.raises(ReleaseFailedError):
        world.deploy(V2, Limits(serial=1, keep=keep))
    assert least[0] in fewest_of_all
    assert world.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    assert world.history.unfinished() == []
    world.history.close()
