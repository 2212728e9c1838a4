"""Ctrl-C, or SIGTERM, in the middle of a rollout: nothing is waited for any more, and what served serves again."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.pace import Pace, paced
from tests.workflows.world import AGES, GB, Killed, World, press_ctrl_c, release
from toolkit.adapters.distribution.port import Report, Tree
from toolkit.adapters.fakes.distribution import FakeDistribution
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import InterruptionError
from toolkit.planning.change.rollout import Limits


def interrupted_at(fleet: World, moment: str, limits: Limits) -> str:
    """Deploy version 2; the operator gives up when `moment` begins on gpu1 and would take ages. Return what is said."""

    def before(event: str) -> None:
        if event == moment and fleet.interruption not in pressed:
            pressed.append(fleet.interruption)
            press_ctrl_c()
            fleet.interruption.sleep(AGES)

    pressed: list[object] = []
    fleet.hosts["gpu1"].before = before
    with paced() as pace, pytest.raises(InterruptionError) as caught:
        fleet.deploy(release(2), limits)
    assert pace() < 5
    assert pressed
    return caught.value.message


@pytest.mark.parametrize(
    "moment",
    [
        "replica started tiny-green",
        "wait tiny-green",
        "complete tiny-green",
        "watch tiny-green",
    ],
)
@pytest.mark.parametrize("limits", [Limits(), Limits(serial=2, max_failures=9)])
def test_what_takes_its_time_is_ended_and_undone(fleet: World, moment: str, limits: Limits) -> None:
    fleet.deploy(release(1))
    said = interrupted_at(fleet, moment, limits)
    assert said.startswith(f"{'gpu1' if limits.serial == 1 else 'gpu1, gpu2'}: interrupted\n")
    assert "gpu1: restored: tiny #1 (v1)" in said
    assert "gpu3: untouched: tiny #1 (v1)" in said
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    assert [len(each.facts.slots) for each in fleet.hosts.values()] == [1, 1, 1]
    assert fleet.history.unfinished() == []
    ended = {each.host: each.outcome for each in fleet.history.deployments("tiny")[:3]}
    assert ended["gpu1"] is Outcome.FAILED
    assert ended["gpu3"] is Outcome.UNDONE
    fleet.hosts["gpu1"].before = lambda _: None
    fleet.deploy(release(2))
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}


class Slow(FakeDistribution):
    """Gets a tree half across when somebody gives up."""

    def spread(self, tree: Tree, hosts: Sequence[Host], report: Report) -> Mapping[str, str]:
        press_ctrl_c()
        self.interruption.sleep(AGES)
        raise AssertionError("an interruption ends it")


def test_a_transfer_to_all_of_them_is_ended(fleet: World, pace: Pace) -> None:
    fleet.deploy(release(1))
    command = fleet.command

    def slow():  # type: ignore[no-untyped-def]
        way = Slow(fleet.hosts)
        made = command()
        way.interruption = fleet.interruption
        return tuple(replace(each, distribution=lambda: way) for each in made)

    fleet.command = slow  # type: ignore[method-assign]
    started = pace()
    with pytest.raises(InterruptionError) as caught:
        fleet.deploy(release(2), Limits(max_failures=9))
    assert pace() - started < 5
    assert caught.value.message.startswith("gpu1, gpu2, gpu3: interrupted")
    assert caught.value.exit_code == 130
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    assert fleet.history.unfinished() == []


def test_a_host_whose_router_missed_its_own_hold_is_restored(fleet: World) -> None:
    """The fleet's routes have taken its traffic away already, which its own router does not know."""
    fleet.deploy(release(1, memory=15 * GB))

    def taken() -> bool:
        route = fleet.routes("gpu1").of("tiny")
        return route is not None and route.weight("gpu3.blue") == 0

    # All routers get the same routes at once: gpu3 waits with each of them until gpu1 has its own.
    gpu1, gpu3 = fleet.hosts["gpu1"], fleet.hosts["gpu3"]
    has, apply = threading.Semaphore(0), gpu1.apply_routes

    def applied(*given: Any, **more: Any) -> None:
        apply(*given, **more)
        has.release()

    def before(event: str) -> None:
        if event.startswith("routes"):
            assert has.acquire(timeout=60)
            if taken():
                raise Killed

    gpu1.apply_routes, gpu3.before = applied, before  # type: ignore[method-assign]
    with pytest.raises(Killed):
        fleet.deploy(release(2, memory=15 * GB))
    fleet.go_on()
    for each in fleet.hosts.values():
        each.owner = each.holder = None
    # gpu1 knows, gpu3 does not.
    assert fleet.routes("gpu3").of("tiny") != fleet.routes("gpu1").of("tiny")
    fleet.deploy(release(2, memory=15 * GB))
    assert set(fleet.serving().values()) == {"v2"}
    assert set(fleet.serving()) == {"gpu1", "gpu2", "gpu3"}
