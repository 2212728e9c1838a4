"""What a killed rollout left on many hosts is undone so that the model goes on: not on all hosts at one moment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.workflows.guarding import GUARDED, guarded
from tests.workflows.test_cut_short import kept
from tests.workflows.test_guarded_killed import deploy_another
from tests.workflows.world import GB, Killed, World, die_in_bake, release
from toolkit.domain.gates.verdict import Verdict
from toolkit.planning.change.rollout import Limits

__all__ = ["guarded"]
FORMER, NEW = release(1, memory=14 * GB), release(2, memory=14 * GB)


def cut_on_the_last_host(fleet: World) -> None:
    """Kill a rollout without room for both releases where the last host's guard finds the new one no good."""
    fleet.deploy(FORMER)
    die_in_bake([fleet.hosts["gpu3"]])
    with pytest.raises(Killed):
        fleet.deploy(NEW, Limits(serial=1, keep=2))
    fleet.judge(Verdict.FAILED, "it is slow", "gpu3")
    fleet.leave_alone()
    assert set(fleet.serving().values()) == {"v2"}


def fewest(fleet: World, act: Callable[[], object]) -> int:
    """Return how many hosts served at the worst moment of `act`."""
    seen: list[int] = []
    fleet.before(lambda _: seen.append(len(fleet.serving())))
    act()
    fleet.go_on()
    return min(seen)


@pytest.mark.parametrize("keep", [1, 2])
def test_a_release_that_failed_goes_back_while_other_hosts_serve(fleet: World, keep: int) -> None:
    cut_on_the_last_host(fleet)
    limits = Limits(serial=1, keep=keep)
    assert fewest(fleet, lambda: fleet.deploy(FORMER, limits)) >= keep
    assert set(fleet.serving().values()) == {"v1"}
    assert (kept(fleet), fleet.history.unfinished()) == ([], [])


def test_a_command_of_another_model_takes_no_last_replica_either(fleet: World) -> None:
    cut_on_the_last_host(fleet)
    assert fewest(fleet, lambda: deploy_another(fleet)) >= 1
    assert set(fleet.serving().values()) == {"v1"}
    assert fleet.guard == GUARDED


def test_a_host_that_cannot_be_restored_ends_it_before_the_others_stop(fleet: World) -> None:
    cut_on_the_last_host(fleet)
    fleet.failing = "replica"
    with pytest.raises(Exception, match="replica"):
        fleet.deploy(FORMER)
    assert len(fleet.serving()) >= 1
    fleet.failing = ""
    fleet.judge(Verdict.PASSED)
    fleet.deploy(FORMER)
    assert set(fleet.serving().values()) == {"v1"}
