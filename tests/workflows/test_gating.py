"""The gates of a version without a deployment: nothing that runs is touched, and nothing stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.world import GB, TIMING, Killed, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.guard import Answers, Guard
from toolkit.domain.gates.verdict import Verdict
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.registry.release_parts import Check
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import (
    BusyError,
    HostError,
    InputError,
    NothingSuitableError,
    RefusedError,
    ReleaseFailedError,
)
from toolkit.planning.change.deploy import Wanted
from toolkit.workflows.change.gating import Gated, GatePlan, gate_version
from toolkit.workflows.change.wanted import Order

ASKED = ("shape", "answers")


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    text = json.dumps({"name": "capital", "prompt": "capital?", "expect": {"contains": "Paris"}})
    (tmp_path / "golden.jsonl").write_text(text, "utf-8")
    return Guard(answers=Answers("golden.jsonl", directory=str(tmp_path)))


def says(right: str) -> Callable[[str, Mapping[str, Any]], str]:
    """Return answers of which those of version `right` alone are as expected."""
    return lambda version, _: "Paris" if version == right else "Rome"


def gate(world: World, wanted: Release, guard: Guard, plans: list[GatePlan] | None = None) -> Gated:
    shown = [] if plans is None else plans

    def confirm(plan: GatePlan) -> bool:
        shown.append(plan)
        return True

    def want(facts: HostFacts) -> Wanted:
        return Wanted("gate", wanted)

    return gate_version(world.command(), Order("gate", "tiny", want, None, TIMING), guard, confirm)


def verdicts(gated: Gated) -> list[tuple[str, str]]:
    """Return gate and verdict of what a version is asked; its figures have tests of their own."""
    return [(each.gate, str(each.verdict)) for each in gated.results if each.gate in ASKED]


def test_a_version_that_does_not_run_is_started_without_traffic_and_stopped_again(
    world: World, guard: Guard
) -> None:
    world.deploy(release(1))
    before = world.table()
    for each in world.hosts.values():
        each.says = says("v2")
    plans: list[GatePlan] = []
    gated = gate(world, release(2), guard, plans)
    assert (gated.host, gated.started, gated.release) == ("gpu1", True, release(2))
    assert verdicts(gated) == [("shape", "passed"), ("answers", "passed")]
    kinds = [str(step.kind) for step in plans[0].plan.steps]
    assert kinds[-3:] == ["start", "gate", "stop"]
    assert not {"shift", "hold", "remove", "provision"} & {*kinds}
    assert not [event for event in world.host.events if event.startswith("routes")]
    assert world.table() == before
    assert world.history.unfinished() == []
    kept = [(each.release, each.result.gate, each.host) for each in world.history.gates("tiny")]
    assert {(2, "answers", "gpu1"), (2, "shape", "gpu1")} <= {*kept}


def test_a_version_that_runs_is_asked_as_it_is(world: World, guard: Guard) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    for each in world.hosts.values():
        each.says = says("v2")
    before = world.table()
    gated = gate(world, release(1), guard)
    assert (gated.started, verdicts(gated)) == (False, [("shape", "passed"), ("answers", "failed")])
    assert world.table() == before
    assert {event.split()[0] for event in world.host.events} == {"complete"}
    failed = world.history.failure("tiny", 1)
    assert failed is not None
    assert failed.result.verdict is Verdict.FAILED


def test_a_version_that_differs_in_its_checks_alone_is_asked_of_the_replica_that_runs(
    world: World, guard: Guard
) -> None:
    world.deploy(release(1))
    for each in world.hosts.values():
        each.says = says("v1")
    before = world.table()
    other = replace(release(1), number=2, checks=(Check("capital?", contains="Paris"),))
    plans: list[GatePlan] = []
    gated = gate(world, other, guard, plans)
    assert (gated.started, gated.release.number, verdicts(gated)) == (
        False,
        1,
        [("answers", "passed")],
    )
    assert [str(step.kind) for each in plans for step in each.plan.steps] == ["gate"]
    with pytest.raises(ReleaseFailedError, match="without 'Rome'"):
        gate(world, replace(other, checks=(Check("capital?", contains="Rome"),)), guard)
    assert world.table() == before
    assert {event.split()[0] for event in world.host.events} == {"complete"}


def test_the_serving_version_is_asked_alone(world: World, guard: Guard) -> None:
    world.deploy(release(1))
    for each in world.hosts.values():
        each.says = says("v1")
    assert verdicts(gate(world, release(1), guard)) == [("answers", "passed")]


def test_an_upgrade_whose_answers_are_wrong_never_takes_traffic(world: World, guard: Guard) -> None:
    world.guard = guard
    for each in world.hosts.values():
        each.says = says("v1")
    world.deploy(release(1))
    before = world.table()
    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(release(2))
    gate_step = next(step for step in world.shown[-1].plans["gpu1"].steps if step.kind == "gate")
    assert (
        gate_step.reason
        == "it must answer its checks and pass its gates (answers) before it takes traffic"
    )
    words = "tiny #2 (v2) did not pass the gate 'answers': 1 of 1 golden prompts that the serving release passes"
    assert words in caught.value.message
    assert world.table() == before
    assert not [event for event in world.host.events if event.startswith("routes")]
    failed = world.history.failure("tiny", 2)
    assert failed is not None
    assert failed.result.gate == "answers"
    # the serving one has no gates to pass again, nor has a rollback
    world.deploy(release(1))


def test_a_release_that_took_the_place_of_the_former_one_is_compared_with_what_that_answered(
    world: World, guard: Guard
) -> None:
    world.guard = replace(guard, bake=1)
    large = [replace(release(number), memory=15 * GB) for number in (1, 2, 3)]
    for each in world.hosts.values():
        each.says = lambda version, _: "Rome" if version == "v3" else "Paris"
    world.deploy(large[0])
    world.deploy(large[1])
    assert set(world.serving().values()) == {"v2"}
    found = [each.result for each in world.history.gates("tiny") if each.release == 2]
    answers = next(each for each in found if each.gate == "answers")
    assert [(each.new, each.old) for each in answers.figures[:1]] == [(1.0, 1.0)]
    assert "shape" in {each.gate for each in found}

    with pytest.raises(
        ReleaseFailedError, match="that the serving release passes at the same moment lost"
    ):
        world.deploy(large[2])
    assert set(world.serving().values()) == {"v2"}


def test_what_the_former_release_got_wrong_does_not_refuse_the_one_in_its_place(
    world: World, guard: Guard
) -> None:
    world.guard = replace(guard, bake=1)
    for each in world.hosts.values():
        each.says = lambda *_: "Paris"
    world.deploy(replace(release(1), memory=15 * GB))
    for each in world.hosts.values():
        each.says = lambda *_: "Rome"
    world.deploy(replace(release(2), memory=15 * GB))
    assert set(world.serving().values()) == {"v2"}


def test_a_version_that_does_not_answer_its_checks_is_stopped_again(
    world: World, guard: Guard
) -> None:
    world.deploy(release(1))
    before = world.table()
    world.behave("v2", Behaviour.EMPTY)
    with pytest.raises(ReleaseFailedError, match="answered nothing"):
        gate(world, release(2), guard)
    assert world.table() == before
    assert world.history.unfinished() == []


def test_a_gate_that_was_killed_is_cleared_away_by_the_next_command(
    world: World, guard: Guard
) -> None:
    world.deploy(release(1))
    before = world.table()
    world.host.before = killed_at("complete tiny-green")
    with pytest.raises(Killed):
        gate(world, release(2), guard)
    world.host.owner = None
    world.go_on()
    assert len(world.host.facts.slots) == 2
    world.deploy(release(1))
    assert world.table() == before
    assert world.history.unfinished() == []


@pytest.mark.parametrize("found", [KeyboardInterrupt, HostError("gpu1 does not answer")])
def test_a_gate_that_ends_in_the_middle_stops_its_replica(
    world: World, guard: Guard, found: BaseException | type[BaseException]
) -> None:
    world.deploy(release(1))
    before = world.table()

    def interrupted(version: str, payload: Mapping[str, Any]) -> str:
        if version == "v2":
            raise found
        return "Paris"

    world.host.says = interrupted
    with pytest.raises(found if isinstance(found, type) else type(found)):
        gate(world, release(2), guard)
    assert (world.table(), world.history.unfinished()) == (before, [])
    assert world.history.failure("tiny", 2) is None


@pytest.mark.parametrize("text", [None, "[]", '{"prompt": "hi"}'])
def test_golden_prompts_that_are_spoilt_while_it_starts_change_nothing(
    world: World, guard: Guard, tmp_path: Path, text: str | None
) -> None:
    world.deploy(release(1))
    before = world.table()

    def spoil(event: str) -> None:
        if event == "complete tiny-green":
            (tmp_path / "golden.jsonl").unlink(missing_ok=True)
            if text is not None:
                (tmp_path / "golden.jsonl").write_text(text)

    world.host.before = spoil
    world.guard = guard
    for command in (lambda: gate(world, release(2), guard), lambda: world.deploy(release(2))):
        (tmp_path / "golden.jsonl").write_text('{"prompt": "hi", "expect": {"contains": "a"}}')
        with pytest.raises(InputError, match=r"golden\.jsonl"):
            command()
        assert (world.table(), world.history.unfinished()) == (before, [])


def killed_at(moment: str) -> Callable[[str], None]:
    def before(event: str) -> None:
        if event == moment:
            raise Killed

    return before


def test_what_would_touch_a_running_replica_is_refused(world: World, guard: Guard) -> None:
    world.deploy(release(1))
    with pytest.raises(NothingSuitableError, match="does not fit on gpu1 beside what serves"):
        gate(world, release(2, memory=22 * GB), guard)
    world.deploy(release(2))
    with pytest.raises(RefusedError, match="the free slot on gpu1 is taken: release tiny #1"):
        gate(world, release(3), guard)
    world.see(converged="other")
    with pytest.raises(RefusedError, match="a gate changes no host"):
        gate(world, release(3), guard)
    assert world.serving() == dict.fromkeys(world.hosts, "v2")


def test_a_release_that_is_being_changed_is_not_asked(world: World, guard: Guard) -> None:
    world.deploy(release(1))
    world.host.owner = LockOwner("bob@ops2", "toolkit upgrade tiny", 1)
    with pytest.raises(BusyError, match="toolkit upgrade tiny"):
        gate(world, release(1), guard)
    assert world.history.failure("tiny", 1) is None


def test_without_a_yes_nothing_is_started(world: World, guard: Guard) -> None:
    world.deploy(release(1))
    for number in (1, 2):
        wanted = Wanted("gate", release(number))
        order = Order("gate", "tiny", lambda _, wanted=wanted: wanted, None, TIMING)
        with pytest.raises(RefusedError, match="nothing was changed"):
            gate_version(world.command(), order, guard, lambda _: False)
        assert world.host.events == []


def test_a_start_for_its_gates_alone_needs_a_fence_or_consent_as_any_other(
    world: World, guard: Guard
) -> None:
    for each in world.hosts.values():
        each.host = replace(each.host, accept_unfenced=True, router_bind="*:8080")
    world.deploy(release(1))
    world.see(fences=("user", "rights"))
    plans: list[GatePlan] = []
    gate(world, release(2), Guard(), plans)
    words = "it cannot fence replicas entirely: they can read what all users of the host may read"
    assert any(note.startswith(words) for note in plans[0].plan.notes)
    before = world.table()
    for each in world.hosts.values():
        each.host = replace(each.host, accept_unfenced=False)
    with pytest.raises(RefusedError, match=f"gpu1: {words}.*; and its router would listen at"):
        gate(world, release(3), guard)
    assert world.table() == before
    # One that runs is asked as it is.
    assert not gate(world, release(1), Guard()).started
