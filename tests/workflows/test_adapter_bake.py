"""The bake of LoRA adapters: the host itself gives the former ones back, whether or not a command is alive."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.test_adapter_gates import RIGHT, WRONG, answering, verdicts, version
from tests.workflows.test_adapters import ALL, LAW, SQL, SQL_2, base, engines, loaded, names
from tests.workflows.world import Killed, World
from toolkit.adapters.fakes.guard import FakeGuards
from toolkit.domain.gates.guard import Answers, Guard, GuardOrder, Tolerance
from toolkit.domain.gates.verdict import GateResult, Unsure, Verdict
from toolkit.domain.registry.release_parts import Check
from toolkit.errors import ReleaseFailedError
from toolkit.planning.change.adapters import adapter_changes, adapters_guard
from toolkit.workflows.change.adapting import Adapting

BAKED = Guard(bake=30.0)
WHY = "probes: 10 requests in a row failed"


def breach(world: World, *hosts: str) -> None:
    """Have the guards of these hosts, of all for no names, see a breach."""
    for name in hosts or world.hosts:
        guards: FakeGuards = world.hosts[name].guards
        guards.judge = lambda _: GateResult("bake", Verdict.FAILED, WHY)


def steps(world: World) -> list[str]:
    return [str(each.kind) for each in next(iter(world.shown[-1].plans.values())).steps]


def test_an_adapter_is_watched_under_traffic_where_it_asks_for_it(world: World) -> None:
    world.version = version(BAKED)
    world.deploy(base(1, SQL))
    world.deploy(base(2, SQL_2), ALL)
    assert steps(world)[-2:] == ["adapt", "bake"]
    assert (2, "bake", "passed") in verdicts(world)
    # What only the comparison needed is forgotten.
    assert all(each == loaded(SQL_2) for each in engines(world))
    assert all(not each.guards.facts for each in world.hosts.values())


def test_probes_ask_the_new_adapter_and_the_former_one_by_their_names(world: World) -> None:
    world.version = version(BAKED)
    world.deploy(base(1, SQL))
    orders = []
    world.before(
        lambda event: (
            orders.extend(world.host.guards.orders.values()) if "follow guard" in event else None
        )
    )
    world.deploy(base(2, SQL_2, LAW), ALL)
    world.go_on()
    order = orders[0]
    assert [(each.payload["model"], each.former) for each in order.probes] == [
        ("law", ""),
        ("sql", f"sql@{SQL.snapshot[:12]}"),
    ]
    assert order.adapters is not None
    assert order.adapters.names == ("law", "sql")
    back = [each.payload.get("lora_name", each.path) for each in order.adapters.back]
    assert back == ["/tokenize", "/tokenize", "law", "sql", "sql"]
    assert order.former == ""


@pytest.mark.parametrize(("new", "probes"), [(RIGHT, ["hi", "question"]), (WRONG, ["hi"])])
def test_probes_ask_an_adapter_the_golden_prompts_that_it_has_passed(
    world: World, tmp_path: Path, new: str, probes: list[str]
) -> None:
    prompt = {"prompt": "question", "max_tokens": 9, "expect": {"contains": "SELECT"}}
    (tmp_path / "sql.jsonl").write_text(json.dumps(prompt))
    asked = replace(BAKED, answers=Answers("sql.jsonl", lose_at_most=1, directory=str(tmp_path)))
    world.version = version(asked, "sql")
    checked = (Check("hi"),)
    answering(world, new)
    orders: list[GuardOrder] = []
    world.before(
        lambda event: (
            orders.extend(world.host.guards.orders.values()) if "follow guard" in event else None
        )
    )
    world.deploy(base(1, replace(SQL, checks=checked)))
    world.deploy(base(2, replace(SQL_2, checks=checked)), ALL)
    world.go_on()
    assert [each.payload["messages"][-1]["content"] for each in orders[0].probes] == probes


def test_a_breach_gives_the_former_adapter_back_and_marks_the_release(world: World) -> None:
    world.version = version(BAKED)
    world.deploy(base(1, SQL))
    breach(world)
    with pytest.raises(ReleaseFailedError, match="failed its bake"):
        world.deploy(base(2, SQL_2, LAW), ALL)
    assert all(each == loaded(SQL) for each in engines(world))
    assert names(world) == {("sql",)}
    failed = world.history.failure("tiny", 2)
    assert failed is not None and failed.result.reason == WHY
    assert (world.outcomes()[-1], world.unfinished()) == (("deploy", 2, "failed"), set())
    slots = [slot for each in world.hosts.values() for slot in each.facts.slots]
    assert all(slot.release == base(1, SQL) for slot in slots)


def test_a_breach_on_one_host_returns_the_others(fleet: World) -> None:
    fleet.version = version(BAKED)
    fleet.deploy(base(1, SQL))
    breach(fleet, "gpu3")
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(base(2, SQL_2))
    assert all(each == loaded(SQL) for each in engines(fleet))


def killed_in_its_bake(world: World) -> None:
    world.version = version(BAKED)
    world.deploy(base(1, SQL))
    world.raise_at("follow guard tiny", Killed)
    with pytest.raises(Killed):
        world.deploy(base(2, SQL_2), ALL)
    world.go_on()
    for host in world.hosts.values():
        host.owner = None


def test_a_host_gives_back_with_no_command_alive_and_the_next_one_records_it(world: World) -> None:
    killed_in_its_bake(world)
    breach(world)
    for host in world.hosts.values():
        host.guard_looks()
    assert all(each == loaded(SQL) for each in engines(world))
    # The next command is about something else, and must not bring the bad adapter back.
    world.deploy(base(1, SQL), ALL)
    assert all(each == loaded(SQL) for each in engines(world))
    assert world.unfinished() == set()
    failed = world.history.failure("tiny", 2)
    assert failed is not None and failed.result.reason == WHY


def test_a_bake_that_passes_with_no_command_alive_leaves_the_new_adapter(world: World) -> None:
    killed_in_its_bake(world)
    for host in world.hosts.values():
        host.guard_looks()
    world.deploy(base(2, SQL_2), ALL)
    assert all(each == loaded(SQL_2) for each in engines(world))
    assert world.unfinished() == set()


def test_an_undo_that_is_killed_does_not_bring_the_bad_adapter_back(world: World) -> None:
    world.version = version(BAKED)
    world.deploy(base(1, SQL))
    breach(world)
    world.raise_at("end guard tiny", Killed)
    with pytest.raises(Killed):
        world.deploy(base(2, SQL_2), ALL)
    world.go_on()
    world.deploy(base(1, SQL), ALL)
    assert all(each == loaded(SQL) for each in engines(world))
    assert world.unfinished() == set()


def test_a_rollback_and_a_host_without_a_watch_have_no_bake(world: World) -> None:
    world.version = version(BAKED)
    world.deploy(base(1, SQL))
    world.deploy(base(2, SQL_2), ALL)
    world.rollback()
    assert steps(world) == ["adapt"]
    world.see(watched=False)
    done = world.deploy(base(3, LAW), ALL)
    notes = {note for each in done.plan.plans.values() for note in each.notes}
    assert any("no bake on gpu1: its watch does not run" in note for note in notes)


@pytest.mark.parametrize(
    ("guards", "expected"),
    [
        ({}, None),
        ({"sql": Guard(), "law": replace(BAKED, off=True)}, None),
        ({"sql": BAKED}, Guard(bake=30.0)),
        (
            {
                "sql": replace(BAKED, patience=60.0, unsure=Unsure.GO_ON),
                "law": Guard(bake=90.0, tolerance=Tolerance(slower=2.0, errors=0.001)),
            },
            Guard(bake=90.0, patience=60.0, tolerance=Tolerance(slower=1.15, errors=0.001)),
        ),
        ({"sql": replace(BAKED, unsure=Unsure.GO_ON)}, replace(BAKED, unsure=Unsure.GO_ON)),
        # What does not change is not watched.
        ({"other": BAKED}, None),
    ],
)
def test_adapters_that_change_together_are_watched_by_the_strictest_guard(
    guards: dict[str, Guard], expected: Guard | None
) -> None:
    assert adapters_guard(adapter_changes(base(1, SQL), base(2, SQL_2, LAW)), guards) == expected


def test_a_plan_says_which_hosts_have_a_newer_adapter_first(fleet: World) -> None:
    fleet.version = version(BAKED)
    fleet.deploy(base(1, SQL))
    fleet.deploy(base(2, SQL_2))
    assert fleet.shown[-1].notes[-1] == (
        "the newer sql answers on gpu1 first: 1 of 3 hosts, so about 33% of the requests, until its bake has passed"
    )
    fleet.deploy(base(3, SQL), ALL)
    assert fleet.shown[-1].notes[-1] == (
        "the newer sql answers all requests at once: a canary needs a host that follows later"
    )
    # Of a name that is new no host answers before all have it.
    fleet.deploy(base(4, SQL, LAW))
    assert fleet.shown[-1].notes == ()


def test_a_breach_on_the_first_host_leaves_the_others_as_they_were(fleet: World) -> None:
    fleet.version = version(BAKED)
    fleet.deploy(base(1, SQL))
    breach(fleet, "gpu1")
    for host in fleet.hosts.values():
        host.adapters.log.clear()
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(base(2, SQL_2))
    assert all(each == loaded(SQL) for each in engines(fleet))
    assert [bool(each.adapters.log) for each in fleet.hosts.values()] == [True, False, False]


@pytest.mark.parametrize("moment", ["complete tiny-blue", "call in turn", "follow guard tiny"])
@pytest.mark.parametrize("then", ["again", "back", "another"])
def test_a_killed_change_leaves_no_name_in_the_engine_once_it_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch, moment: str, then: str
) -> None:
    """A killed command forgets nothing: what it had loaded to prove it, or to compare with it, is there."""
    world.version = version(BAKED)
    world.deploy(base(1, SQL))

    def die(event: str) -> None:
        if event == moment:
            dead.setattr(Adapting, "_forget", lambda *_: None)
            raise Killed

    with monkeypatch.context() as dead, pytest.raises(Killed):
        world.before(die)
        world.deploy(base(2, SQL_2), ALL)
    assert any("@" in name for each in engines(world) for name in each)
    world.go_on()
    for host in world.hosts.values():
        host.owner = None
        host.guard_looks()
    wanted = {"again": base(2, SQL_2), "back": base(1, SQL), "another": base(3, LAW)}[then]
    world.deploy(wanted, ALL)
    assert all(each == loaded(*wanted.adapters) for each in engines(world))
