"""The same path on hosts with GPUs: which devices a replica is given, and when two do not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.workflows.world import GB, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.host import gpu
from toolkit.domain.deployment.release import Release
from toolkit.errors import ReleaseFailedError


def on_gpus(world: World, count: int) -> None:
    """Give each host of the world GPUs of 24 GB."""
    world.see(devices=gpu(24 * GB, count))


def devices_given(world: World) -> list[str]:
    """Return the devices that replicas were given, the same on all hosts."""
    first, *others = world.environments.values()
    assert all(each == first for each in others)
    return [each["CUDA_VISIBLE_DEVICES"] for each in first]


def large(number: int, memory: int = 15, devices: int = 1) -> Release:
    held = release(number, memory=memory * GB)
    return replace(held, accelerator="cuda", devices=devices)


def test_two_devices_hold_the_old_one_and_the_new_one(world: World) -> None:
    on_gpus(world, 2)
    world.deploy(large(1))
    world.deploy(large(2))
    world.deploy(large(3))
    assert devices_given(world) == ["0", "1", "0"]
    assert world.table() == [("blue", "v3", "healthy", 100), ("green", "v2", "healthy", 0)]
    assert world.shown[-1].plans["gpu1"].downtime == ""


def test_one_device_too_small_for_two_is_swapped(world: World) -> None:
    on_gpus(world, 1)
    world.deploy(large(1))
    world.deploy(large(2))
    assert devices_given(world) == ["0", "0"]
    plan = world.shown[-1].plans["gpu1"]
    # Three hosts that change at once leave none that serves meanwhile.
    assert (str(plan.strategy), plan.devices) == ("swap", (0,))
    assert world.table() == [("green", "v2", "healthy", 100)]


def test_a_swap_that_fails_gives_the_device_back(world: World) -> None:
    on_gpus(world, 1)
    world.deploy(large(1))
    world.behave("v2", Behaviour.DIES_AT_START)
    with pytest.raises(ReleaseFailedError):
        world.deploy(large(2))
    given = [[one["CUDA_VISIBLE_DEVICES"] for one in each] for each in world.environments.values()]
    # A host that hears of a failure before it has stopped anything starts nothing again.
    assert ["0", "0", "0"] in given
    assert all(each in (["0"], ["0", "0", "0"]) for each in given)
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_several_devices_for_one_replica(world: World) -> None:
    on_gpus(world, 4)
    world.deploy(large(1, 40, devices=2))
    world.deploy(large(2, 40, devices=2))
    assert devices_given(world) == ["0,1", "2,3"]


def test_a_small_one_shares_a_device(world: World) -> None:
    on_gpus(world, 1)
    world.deploy(large(1, 8))
    world.deploy(large(2, 8))
    assert devices_given(world) == ["0", "0"]
    assert world.table() == [("blue", "v1", "healthy", 0), ("green", "v2", "healthy", 100)]
