"""On which devices a replica starts: always on named ones, also where the room of the plan is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.workflows.world import GB, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.host import gpu
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import ProcessState
from toolkit.errors import ReleaseFailedError


def big(number: int) -> Release:
    """Return a release that fills a device."""
    return replace(release(number, memory=15 * GB), accelerator="cuda")


@pytest.fixture
def begun(world: World) -> World:
    world.see(devices=gpu(24 * GB), memory=96 * GB, memory_available=96 * GB)
    world.deploy(big(1))
    return world


def devices(world: World) -> set[tuple[str, tuple[int, ...]]]:
    """Return slot and devices of each replica, on any host."""
    return {(slot.slot, slot.devices) for each in world.hosts.values() for slot in each.facts.slots}


def test_a_replica_that_still_starts_stays_on_its_device(begun: World) -> None:
    slots = [
        replace(each, healthy=False, started_at=begun.clock()) for each in begun.host.facts.slots
    ]
    begun.see(slots=tuple(slots), observed_at=begun.clock())
    begun.deploy(big(1))
    assert devices(begun) == {("blue", (0,))}


def test_a_replica_that_crashed_starts_on_a_device_although_others_have_come(begun: World) -> None:
    slots = [
        replace(each, healthy=False, process=ProcessState.FAILED, memory=0)
        for each in begun.host.facts.slots
    ]
    begun.see(slots=tuple(slots), devices=(replace(gpu(24 * GB)[0], memory_free=9 * GB),))
    begun.deploy(big(1))
    assert devices(begun) == {("blue", (0,))}


def test_what_is_undone_starts_on_a_device_although_others_have_come(begun: World) -> None:
    begun.behave("v2", Behaviour.DIES_AT_START)

    def taken(event: str) -> None:
        if event == "replica absent tiny-green":
            begun.see(devices=(replace(gpu(24 * GB)[0], memory_free=9 * GB),))

    begun.before(taken)
    with pytest.raises(ReleaseFailedError):
        begun.deploy(big(2))
    assert devices(begun) == {("blue", (0,))}
