"""A command that is killed amid a canary or a bake: the fleet finishes or goes back by itself."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.guarding import GUARDED, cut_in_bake, each_serves, gates, guarded
from tests.workflows.test_cut_short import elsewhere, kept
from tests.workflows.world import GB, TIMING, Killed, World, release
from toolkit.adapters.hosts.client import Report
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import BusyError, ReleaseFailedError
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.rollout import Limits
from toolkit.workflows.change.wanted import Order
from toolkit.workflows.change.wishes import settle_bakes
from toolkit.workflows.fleet.look import look

__all__ = ["guarded"]

OWNER = LockOwner("ann@ops", "toolkit status", 3)
SHARE_MOMENTS = ["guard share tiny", "follow guard tiny", "routes runtime"]


@pytest.mark.parametrize("moment", SHARE_MOMENTS)
def test_a_killed_canary_goes_back_by_itself(world: World, tmp_path: Path, moment: str) -> None:
    world.deploy(release(1))
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(release(2))
    world.leave_alone()
    assert each_serves(world) == {"v1"}
    assert world.shares() == []
    other = elsewhere(world, tmp_path / "other")
    other.guard = GUARDED
    other.deploy(release(2))
    assert set(world.serving().values()) == {"v2"}
    assert (other.shares(), kept(other), other.unfinished()) == ([], [], set())


def test_a_killed_bake_ends_by_itself_and_the_next_command_records_it(world: World) -> None:
    cut_in_bake(world)
    assert set(world.serving().values()) == {"v2"}
    world.leave_alone()
    assert not world.deploy(release(2)).changed
    assert set(world.serving().values()) == {"v2"}
    assert world.outcomes()[-1] == ("deploy", 2, "live")
    assert (2, "bake", "passed") in gates(world)
    assert kept(world) == []
    assert all(not each.guards.facts for each in world.hosts.values())


def test_a_killed_bake_of_a_bad_release_is_returned_and_recorded(
    world: World, tmp_path: Path
) -> None:
    cut_in_bake(world)
    world.judge(Verdict.FAILED, "it is slow")
    world.leave_alone()
    assert each_serves(world) == {"v1"}
    # Another ops machine, with a history of its own, ends it; this one learns of it.
    other = elsewhere(world, tmp_path / "other")
    other.deploy(release(1))
    assert other.outcomes()[0] == ("deploy", 2, "failed")
    assert other.history.failure("tiny", 2)
    assert [row[:2] for row in world.table()] == [("blue", "v1")]
    assert not world.deploy(release(1)).changed
    assert world.unfinished() == set()


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.UNKNOWN])
@pytest.mark.parametrize("seen", [False, True])
def test_a_release_that_one_host_returned_completes_on_no_other(
    fleet: World, verdict: Verdict, seen: bool
) -> None:
    fleet.limits = Limits(serial=3, keep=0)
    cut_in_bake(fleet)
    fleet.judge(verdict, "it is slow", "gpu2")
    fleet.leave_alone()
    if seen:
        # As `status` does.
        hosts = list(fleet.hosts.values())
        settle_bakes(hosts, fleet.history, look(hosts), OWNER, fleet.clock)
        assert "live" not in {each.outcome for each in fleet.history.deployments("tiny")[:3]}
    fleet.deploy(release(1))
    assert set(fleet.serving().values()) == {"v1"}
    assert fleet.outcomes()[-1][2] == "failed"
    assert [row[:2] for row in fleet.table()] == [("blue", "v1")]


def test_a_long_bake_is_not_cut_short_by_another_change(world: World) -> None:
    world.guard = Guard(bake=600)
    cut_in_bake(world)
    with pytest.raises(BusyError) as busy:
        world.deploy(release(3))
    assert "tiny #2 (v2) is still watched on gpu1, for 10 min 00 s at least" in busy.value.message
    assert busy.value.hint.startswith("toolkit watch tiny; toolkit promote tiny")
    assert set(world.serving().values()) == {"v2"}
    # A person may go back at any time.
    world.rollback()
    assert set(world.serving().values()) == {"v1"}
    assert (world.unfinished(), kept(world)) == (set(), [])


def test_a_stop_does_not_wait_for_a_bake(world: World) -> None:
    world.guard = Guard(bake=600)
    cut_in_bake(world)
    world.stop()
    assert world.table() == []
    assert world.unfinished() == set()


def test_a_short_bake_is_waited_for(world: World) -> None:
    cut_in_bake(world)
    world.deploy(release(3))
    assert set(world.serving().values()) == {"v3"}
    assert any("tiny #2 (v2) is watched for 30 s more: waiting" in words for words in world.said)
    assert [each[2] for each in world.outcomes()] == ["live"] * 3


def test_a_bake_whose_guard_cannot_tell_yet_is_waited_for_no_longer_than_a_minute(
    world: World,
) -> None:
    cut_in_bake(world)
    heard: list[int] = []

    def doubts(_: str, model: str, report: Report) -> GateResult:
        for second in range(600):
            heard.append(second)
            report({"phase": "bake", "seconds_left": 0.0, "words": "it may be slow"})
        return GateResult("bake", Verdict.UNKNOWN, "it may be slow")

    for each in world.hosts.values():
        each.guards.facts["tiny"] = replace(each.guards.facts["tiny"], watched=42.0)
        each.guards.follow = doubts  # type: ignore[method-assign]
    with pytest.raises(BusyError, match=r"tiny #2 \(v2\) is still watched on gpu1"):
        world.deploy(release(3))
    assert len(heard) == 61
    assert any("is watched until its guard can tell: waiting" in words for words in world.said)
    assert set(world.serving().values()) == {"v2"}


def deploy_another(world: World, name: str = "other") -> None:
    """Deploy another model, which leaves the one in its bake to its guard."""
    beside = replace(release(1), model=name, args=("--served-model-name", name))
    guard, world.guard = world.guard, None
    order = Order("deploy", name, lambda _: Wanted("deploy", beside), None, TIMING, world.limits)
    world.order(order)
    world.guard = guard


@pytest.mark.parametrize("here", [True, False])
def test_a_change_of_another_model_forgets_no_release_in_its_bake(
    world: World, tmp_path: Path, here: bool
) -> None:
    world.guard = Guard(bake=600)
    cut_in_bake(world)
    for each in world.hosts.values():
        each.owner = each.holder = None
    # An ops machine with a history of its own knows of the bake from the hosts alone.
    at = world if here else elsewhere(world, tmp_path / "other")
    deploy_another(at)
    deploy_another(at, "third")
    assert kept(world) == list(world.hosts)
    assert world.unfinished() == {2}
    world.judge(Verdict.FAILED, "it is slow")
    world.leave_alone()
    assert not at.deploy(release(1)).changed
    assert at.outcomes()[-1] == ("deploy", 2, "failed")
    tiny = [
        (slot.slot, slot.release and slot.release.version)
        for each in world.hosts.values()
        for slot in each.observe().slots_of("tiny")
    ]
    assert tiny == [("blue", "v1")] * world.count
    assert kept(world) == []
    assert all("tiny" not in each.guards.facts for each in world.hosts.values())
    assert not world.deploy(release(1)).changed
    assert world.history.unfinished() == []


def test_a_rollback_ends_a_bake_that_another_model_was_changed_beside(
    world: World, tmp_path: Path
) -> None:
    world.guard = Guard(bake=600)
    cut_in_bake(world)
    for each in world.hosts.values():
        each.owner = each.holder = None
    other = elsewhere(world, tmp_path / "other")
    deploy_another(other)
    other.rollback()
    assert each_serves(world) == {"v1"}
    assert [each[:2] for each in other.outcomes()] == [("deploy", 2), ("rollback", 1)]
    assert kept(world) == []


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("memory", [3 * GB, 15 * GB], ids=["side by side", "swap"])
@pytest.mark.parametrize("then", ["the same again", "another model", "a newer one"])
def test_an_undoing_that_is_killed_once_its_guard_is_forgotten_makes_nothing_live(
    tmp_path: Path, count: int, memory: int, then: str
) -> None:
    world = World(tmp_path, count, limits=Limits(serial=count, keep=0), guard=Guard(bake=30))
    world.deploy(release(1, memory=memory))
    world.judge(Verdict.FAILED, "it is slow")
    forgotten = False

    def before(event: str) -> None:
        nonlocal forgotten
        if forgotten:
            raise Killed
        forgotten = event == "end guard tiny"

    world.before(before)
    with pytest.raises(Killed):
        world.deploy(release(2, memory=memory))
    world.leave_alone()
    world.judge(Verdict.PASSED)
    if then == "another model":
        deploy_another(world)
    else:
        world.deploy(release(1 if then == "the same again" else 3, memory=memory))
    assert world.outcomes()[1] == ("deploy", 2, "failed")
    assert each_serves(world) == {"v3" if then == "a newer one" else "v1"}
    world.history.close()


@pytest.mark.parametrize(("count", "seed"), [*((3, each) for each in range(20)), (1, 8), (1, 11)])
def test_killed_at_any_moment_the_fleet_finishes_or_goes_back(
    tmp_path: Path, count: int, seed: int
) -> None:
    world = World(tmp_path, count, limits=Limits(serial=1 + 2 * (seed % 2), keep=0), guard=GUARDED)
    world.deploy(release(1))
    left = seed

    def before(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    world.host.before = before
    bad = seed % 3 == 0
    if bad:
        world.judge(Verdict.FAILED, "it is slow")
    with suppress(Killed, ReleaseFailedError):
        world.deploy(release(2))
    world.leave_alone()
    assert world.shares() == [], f"seed {seed}"
    assert each_serves(world) <= ({"v1"} if bad else {"v1", "v2"}), f"seed {seed}"
    world.judge(Verdict.PASSED)
    world.deploy(release(3))
    assert set(world.serving().values()) == {"v3"}, f"seed {seed}"
    assert (world.history.unfinished(), kept(world)) == ([], []), f"seed {seed}"
    world.history.close()
