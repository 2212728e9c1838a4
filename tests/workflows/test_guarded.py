"""A release earns its traffic: shares, verdicts, the return of the former one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.guarding import GUARDED, STEPS, cut_in_bake, gates, guarded, watch_shares
from tests.workflows.test_cut_short import kept
from tests.workflows.world import GB, Killed, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.guard import FakeGuards
from toolkit.adapters.hosts.client import Report
from toolkit.domain.gates.guard import Answers, Guard, GuardOrder
from toolkit.domain.gates.verdict import GateResult, GuardPhase, Unsure, Verdict
from toolkit.errors import HostError, RefusedError, ReleaseFailedError
from toolkit.planning.change.rollout import Limits
from toolkit.workflows.tools import NoTrail

__all__ = ["guarded"]

# with a command


def test_a_release_goes_through_its_shares_to_all_traffic(world: World) -> None:
    world.deploy(release(1))
    world.host.events.clear()
    seen = watch_shares(world)
    world.deploy(release(2))
    whole = {1: [(100,), (5000,), ()], 3: [(33,) * 3, (1667,) * 3, ()]}
    assert seen == whole[world.count]
    assert set(world.serving().values()) == {"v2"}
    assert world.host.events[-13:] == [
        "complete tiny-green",
        "guard share tiny", "routes runtime", "guard share tiny", "follow guard tiny",
        "routes runtime", "guard share tiny", "follow guard tiny",
        "routes runtime", "guard bake tiny", "follow guard tiny", "drain tiny-blue", "end guard tiny",
    ]  # fmt: skip
    assert gates(world) >= {(2, "shape", "passed"), (2, "canary", "passed"), (2, "bake", "passed")}
    assert all(not each.guards.facts for each in world.hosts.values())
    assert world.unfinished() == set()


def test_each_verdict_is_noted_once_in_the_history_and_in_the_audit_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[tuple[str, str]] = []
    monkeypatch.setattr(
        NoTrail, "judged", lambda _, host, result: noted.append((host, result.gate))
    )
    cut_in_bake(world)
    world.leave_alone()
    world.deploy(release(2))
    known = Counter((each.host, each.result.gate) for each in world.history.gates("tiny"))
    assert {"canary", "bake"} <= {gate for _, gate in known}
    # Shares that came to the same result stand once in the history.
    noted_of_shares = [each for each in noted if each[1] == "canary"]
    assert len(noted_of_shares) == len(STEPS) * world.count
    assert Counter(noted) - Counter(noted_of_shares) == {
        each: count for each, count in known.items() if each[1] != "canary"
    }


@pytest.mark.parametrize("beside", [True, False], ids=["beside", "swap"])
def test_a_guard_holds_a_release_to_the_golden_prompts_that_it_has_passed(
    world: World, tmp_path: Path, beside: bool
) -> None:
    lines = [{"name": each, "prompt": each, "max_tokens": 9} for each in ("right", "lost", "both")]
    text = "\n".join(json.dumps({**each, "expect": {"contains": "yes"}}) for each in lines)
    (tmp_path / "x.jsonl").write_text(text)
    answers = Answers("x.jsonl", lose_at_most=1, directory=str(tmp_path))
    orders: list[GuardOrder] = []

    def says(version: str, payload: Mapping[str, Any]) -> str:
        asked = str(payload["messages"][-1]["content"]) if "messages" in payload else ""
        return "no" if asked == "both" or (asked == "lost" and version == "v2") else "yes"

    memory = 3 * GB if beside else 15 * GB
    world.deploy(release(1, memory=memory))
    for host in world.hosts.values():
        host.says = says
    world.before(
        lambda event: (
            orders.extend(world.host.guards.orders.values()) if "follow guard" in event else None
        )
    )
    world.guard = replace(GUARDED, answers=answers)
    world.deploy(release(2, memory=memory))
    world.go_on()
    contents = [each.payload["messages"][-1]["content"] for each in orders[0].probes]
    assert contents[1:] == ["right"]
    assert bool(orders[0].former) is beside


def test_in_a_fleet_one_host_has_the_canary(fleet: World) -> None:
    fleet.deploy(release(1))
    seen = watch_shares(fleet)
    fleet.deploy(release(2))
    assert seen == [(33,), (1667,), ()]
    assert fleet.hosts["gpu2"].events.count("follow guard tiny") == 1
    assert set(fleet.serving().values()) == {"v2"}


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_breach_gives_the_traffic_back_and_marks_the_release(
    world: World, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(
        NoTrail,
        "judged",
        lambda _, host, result: (
            told.append((host, result.gate)) if result.verdict is Verdict.FAILED else None
        ),
    )
    world.deploy(release(1))
    follows = 0

    def before(event: str) -> None:
        nonlocal follows
        follows += event.startswith("follow")
        if follows == moment:
            world.judge(Verdict.FAILED, "errors 7 %, 0 % before")

    world.host.before = before
    with pytest.raises(ReleaseFailedError) as failed:
        world.deploy(release(2))
    assert "errors 7 %, 0 % before" in failed.value.message
    world.go_on()
    assert set(world.serving().values()) == {"v1"}
    assert (world.shares(), kept(world), world.unfinished()) == ([], [], set())
    assert [slot for slot, *_ in world.table()] == ["blue"]
    assert world.outcomes()[-1] == ("deploy", 2, "failed")
    record = world.history.failure("tiny", 2)
    assert record is not None
    assert record.result.figures
    # Once for each host, though the command that followed the guard also restores the host.
    failed_there = [
        (each.host, each.result.gate)
        for each in world.history.gates("tiny")
        if each.result.verdict is Verdict.FAILED
    ]
    assert sorted(told) == sorted(failed_there) == sorted(set(told))
    assert (world.host.name, record.result.gate) in told


def test_one_bad_host_returns_its_whole_batch_at_once(fleet: World) -> None:
    fleet.limits = Limits(serial=2)
    fleet.deploy(release(1))
    fleet.judge(Verdict.FAILED, "it is slow", "gpu2")
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(release(2))
    assert set(fleet.serving().values()) == {"v1"}
    assert fleet.shares() == []
    assert fleet.table() == [("blue", "v1", "healthy", 100)]


@pytest.mark.parametrize("bad", ["gpu2", "gpu3"])
def test_a_release_that_fails_on_a_later_host_is_returned_on_the_earlier_ones(
    fleet: World, bad: str
) -> None:
    fleet.deploy(release(1))
    fleet.judge(Verdict.FAILED, "it is slow", bad)
    with pytest.raises(ReleaseFailedError) as failed:
        fleet.deploy(release(2))
    assert "gpu1: restored: tiny #1 (v1)" in failed.value.message
    assert fleet.table() == [("blue", "v1", "healthy", 100)]
    assert fleet.unfinished() == set()
    assert {each.outcome for each in fleet.history.deployments("tiny") if each.release == 2} <= {
        "failed", "undone",
    }  # fmt: skip


def test_a_standby_that_fails_under_traffic_stays_on_no_host(world: World) -> None:
    world.limits = Limits(serial=3)
    world.deploy(release(1))
    world.deploy(release(2))
    # The standby answers again when the deployment is undone, as one does that its host has restarted.
    bad = list(world.hosts)[-1]
    world.judge(Verdict.FAILED, "its process ended", bad)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(1))
    for each in world.hosts.values():
        assert [slot.slot for slot in each.observe().slots_of("tiny") if slot.healthy] == ["green"]
    assert set(world.serving().values()) == {"v2"}


def test_a_host_that_fails_for_its_own_reasons_takes_no_other_with_it(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.hosts["gpu3"].before = lambda event: _no_route(event, "replica started tiny-green")
    with pytest.raises(HostError):
        fleet.deploy(release(2))
    fleet.go_on()
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v1"}


def _no_route(event: str, moment: str) -> None:
    if event == moment:
        raise HostError("gpu3: no route to host")


def test_what_nobody_could_tell_follows_the_policy(world: World) -> None:
    world.deploy(release(1))
    world.judge(Verdict.UNKNOWN, "too few requests")
    with pytest.raises(ReleaseFailedError, match="could not be judged in its bake: too few"):
        world.deploy(release(2))
    assert set(world.serving().values()) == {"v1"}
    # It did not fail, so a schedule may try it again.
    assert world.history.failure("tiny", 2) is None
    world.guard = Guard(steps=STEPS, bake=30, unsure=Unsure.GO_ON)
    world.deploy(release(2))
    assert set(world.serving().values()) == {"v2"}
    assert any("could not tell: too few requests; going on" in words for words in world.said)


@pytest.mark.parametrize(
    ("phase", "swap"),
    [(GuardPhase.SHARE, False), (GuardPhase.BAKE, False), (GuardPhase.BAKE, True)],
)
def test_a_phase_that_nobody_watched_follows_the_policy_too(
    world: World, phase: GuardPhase, swap: bool
) -> None:
    """The watch has died, or no other replica is up: the host has withdrawn nothing."""
    memory = 15 * GB if swap else 3 * GB
    world.deploy(release(1, memory=memory))

    def unwatched(each: FakeGuards) -> Callable[[str, str, Report], GateResult]:
        def follow(_: str, model: str, report: Report) -> GateResult:
            if each.facts[model].phase is phase:
                return GateResult("bake", Verdict.UNKNOWN, "the watch of this host does not run")
            return GateResult("canary", Verdict.PASSED, "")

        return follow

    for host in world.hosts.values():
        host.guards.follow = unwatched(host.guards)  # type: ignore[method-assign]
    if swap:
        # It serves alone, and the former release would have to start: without proof nothing is stopped.
        world.deploy(release(2, memory=memory))
        assert set(world.serving().values()) == {"v2"}
        return
    with pytest.raises(ReleaseFailedError, match="could not be judged in its"):
        world.deploy(release(2, memory=memory))
    assert set(world.serving().values()) == {"v1"}
    assert world.shares() == []
    assert world.history.failure("tiny", 2) is None
    world.guard = replace(GUARDED, unsure=Unsure.GO_ON)
    world.deploy(release(2, memory=memory))
    assert set(world.serving().values()) == {"v2"}


def test_a_rollback_and_a_guard_that_is_off_ask_no_guard(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.host.events.clear()
    world.rollback()
    assert not any("guard" in each for each in world.host.events)
    world.guard = Guard(steps=STEPS, off=True)
    world.deploy(release(3))
    assert "watch tiny-green" in world.host.events
    assert not any("guard" in each for each in world.host.events)


def test_a_host_without_a_watch_is_watched_by_the_command(world: World) -> None:
    world.deploy(release(1))
    world.see(watched=False)
    world.deploy(release(2))
    assert "watch tiny-green" in world.host.events
    assert not any("guard" in each for each in world.host.events)
    assert any("no canary on" in words for words in world.shown[-1].plans[world.host.name].notes)


# where both do not fit at once


def test_requests_wait_while_the_only_replica_is_exchanged(world: World) -> None:
    world.deploy(release(1, memory=15 * GB))
    holds: list[float] = []

    def before(event: str) -> None:
        route = world.routes(world.host.name).of("tiny")
        if event == "replica started tiny-green" and route:
            holds.append(route.hold)

    world.host.before = before
    world.deploy(release(2, memory=15 * GB))
    assert holds == [120]
    route = world.routes(world.host.name).of("tiny")
    assert route
    assert route.hold == 0
    assert set(world.serving().values()) == {"v2"}


def test_a_hold_ends_with_the_return_of_the_former_release(world: World) -> None:
    world.deploy(release(1, memory=15 * GB))
    world.behave("v2", Behaviour.DIES_AT_START)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(2, memory=15 * GB))
    route = world.routes(world.host.name).of("tiny")
    assert route
    assert route.hold == 0
    assert set(world.serving().values()) == {"v1"}
    world.behave("v2", Behaviour.GOOD)
    world.raise_at("replica started tiny-green", Killed)
    with pytest.raises(Killed):
        world.deploy(release(2, memory=15 * GB))
    world.go_on()
    world.deploy(release(1, memory=15 * GB))
    route = world.routes(world.host.name).of("tiny")
    assert route
    assert route.hold == 0
    assert set(world.serving().values()) == {"v1"}


def test_no_request_waits_where_other_hosts_serve(fleet: World) -> None:
    fleet.deploy(release(1, memory=15 * GB))
    holds: set[float] = set()

    def before(event: str) -> None:
        route = fleet.routes("gpu1").of("tiny")
        holds.add(route.hold if route else 0)

    fleet.before(before)
    fleet.deploy(release(2, memory=15 * GB))
    assert holds == {0}
    assert set(fleet.serving().values()) == {"v2"}


def test_a_former_release_that_is_not_kept_stands_by_until_the_bake_is_over(world: World) -> None:
    world.deploy(release(1))
    seen: list[tuple[bool, str]] = []

    def before(event: str) -> None:
        route = world.routes(world.host.name).of("tiny")
        if event in ("follow guard tiny", "replica absent tiny-blue") and route:
            blue = next(each for each in route.on(world.host.label) if each.slot == "blue")
            seen.append((blue.standby, event))

    world.host.before = before
    world.deploy(release(2), standby=False)
    # Two shares, in which it serves; the bake, in which it stands by; its end.
    assert [each for each, _ in seen] == [False, False, True, False]
    assert world.host.guards.facts == {}
    assert [row[:2] for row in world.table()] == [("green", "v2")]


def test_the_guards_of_a_rollout_know_how_many_they_are(fleet: World) -> None:
    fleet.deploy(release(1))
    hosts: list[int] = []
    begin = fleet.host.guards.begin
    fleet.host.guards.begin = lambda order: (hosts.append(order.hosts), begin(order))[1]  # type: ignore[method-assign,func-returns-value]
    fleet.deploy(release(2))
    assert hosts == [3]


# a release that failed


def test_a_failed_release_is_tried_again_by_a_person_alone(world: World) -> None:
    world.deploy(release(1))
    world.behave("v2", Behaviour.DIES_AT_START)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(2))
    record = world.history.failure("tiny", 2)
    assert record is not None
    assert record.result.gate == "start"
    world.behave("v2", Behaviour.GOOD)
    with pytest.raises(RefusedError, match=r"tiny #2 \(v2\) failed its start on gpu[123]"):
        world.deploy(release(2), unattended=True)
    assert set(world.serving().values()) == {"v1"}
    world.deploy(release(2))
    assert set(world.serving().values()) == {"v2"}
    assert any("failed its start on gpu" in each for each in world.shown[-1].notes)
    # What is live already needs no trial, and another version is another release.
    assert not world.deploy(release(2), unattended=True).changed
    world.deploy(release(3), unattended=True)
    assert set(world.serving().values()) == {"v3"}
