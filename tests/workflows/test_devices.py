"""The same path on hosts with GPUs: which devices a replica is given, and when two do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.world import GB, World, release
from toolkit.adapters.ansible.converge import Progress
from toolkit.adapters.fakes.host import Behaviour, FakeConverge, gpu
from toolkit.domain.fleet import Host
from toolkit.domain.release import Release
from toolkit.errors import ReleaseFailedError


class Recording(FakeConverge):
    """The playbooks, with the environment that each replica was started with."""

    given: list[str]

    def run(
        self, playbook: str, host: Host, variables: Mapping[str, Any], progress: Progress
    ) -> tuple[str, ...]:
        if "replica_env" in variables:
            self.given.append(variables["replica_env"]["CUDA_VISIBLE_DEVICES"])
        return super().run(playbook, host, variables, progress)


def on_gpus(tmp_path: Path, count: int) -> tuple[World, list[str]]:
    """Return a world with GPUs of 24 GB, and the devices that replicas were given."""
    world = World(tmp_path)
    world.host.facts = replace(world.host.facts, devices=gpu(24 * GB, count))
    recording = Recording(world.host)
    recording.given = []
    world.tools = replace(world.tools, converge=recording)
    return world, recording.given


def large(number: int, memory: int = 15, devices: int = 1) -> Release:
    held = release(number, memory=memory * GB)
    return replace(held, accelerator="cuda", devices=devices)


def test_two_devices_hold_the_old_one_and_the_new_one(tmp_path: Path) -> None:
    world, given = on_gpus(tmp_path, 2)
    world.deploy(large(1))
    world.deploy(large(2))
    world.deploy(large(3))
    assert given == ["0", "1", "0"]
    assert world.table() == [("blue", "v3", "healthy", 100), ("green", "v2", "healthy", 0)]
    assert world.shown[-1].downtime == ""


def test_one_device_too_small_for_two_is_swapped(tmp_path: Path) -> None:
    world, given = on_gpus(tmp_path, 1)
    world.deploy(large(1))
    world.deploy(large(2))
    assert given == ["0", "0"]
    assert (str(world.shown[-1].strategy), world.shown[-1].devices) == ("swap", (0,))
    assert world.table() == [("green", "v2", "healthy", 100)]


def test_a_swap_that_fails_gives_the_device_back(tmp_path: Path) -> None:
    world, given = on_gpus(tmp_path, 1)
    world.deploy(large(1))
    world.host.behaviour["v2"] = Behaviour.DIES_AT_START
    with pytest.raises(ReleaseFailedError):
        world.deploy(large(2))
    assert given == ["0", "0", "0"]
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_several_devices_for_one_replica(tmp_path: Path) -> None:
    world, given = on_gpus(tmp_path, 4)
    world.deploy(large(1, 40, devices=2))
    world.deploy(large(2, 40, devices=2))
    assert given == ["0,1", "2,3"]


def test_a_small_one_shares_a_device(tmp_path: Path) -> None:
    world, given = on_gpus(tmp_path, 1)
    world.deploy(large(1, 8))
    world.deploy(large(2, 8))
    assert given == ["0", "0"]
    assert world.table() == [("blue", "v1", "healthy", 0), ("green", "v2", "healthy", 100)]
