"""The gates of LoRA adapters: golden prompts and the form of answers, beside the adapter that serves under the name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.test_adapters import ALL, LAW, SQL, SQL_2, base, engines, loaded, names
from tests.workflows.world import TIMING, Killed, World
from toolkit.adapters.fakes.host import FakeHost
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.guard import Answers, Benchmarks, Guard, Score, Speed, Tolerance
from toolkit.domain.gates.verdict import Verdict
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.registry.model import Adapter, HubSource, Openness, Resources, Version
from toolkit.domain.registry.release_parts import Check, EngineSpec
from toolkit.domain.replicas.answers import Answer
from toolkit.errors import RefusedError, ReleaseFailedError
from toolkit.planning.change.deploy import Wanted
from toolkit.workflows.change.gating import Gated, GatePlan, gate_version
from toolkit.workflows.change.wanted import Order

RIGHT, WRONG = "SELECT name FROM customers", "There are no customers."


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    prompts = [
        {"name": f"p{each}", "prompt": f"question {each}", "expect": {"contains": "SELECT"}}
        for each in range(3)
    ]
    (tmp_path / "sql.jsonl").write_text("\n".join(map(json.dumps, prompts)), "utf-8")
    return Guard(answers=Answers("sql.jsonl", directory=str(tmp_path)))


def version(guard: Guard, *named: str) -> Version:
    """Return the version of the registry, whose adapters have `guard`."""
    adapters = [
        Adapter(name, HubSource(f"acme/{name}"), "a" * 40, guard=guard)
        for name in named or ("sql", "law")
    ]
    return Version(
        "tiny", "v1", HubSource("demo/tiny"), "5" * 40, "mit", Openness.OPEN_WEIGHTS,
        EngineSpec("vllm", "0.32.0"), Resources((Accelerator.CPU,), 2**30), adapters=tuple(adapters),
    )  # fmt: skip


def says(world: World, **words: str) -> None:
    """Have the adapters with these digests answer so, on all hosts."""
    for host in world.hosts.values():
        host.adapters.says.update(
            {digest.removeprefix("d"): text for digest, text in words.items()}
        )


def answering(world: World, new: str, old: str = RIGHT) -> None:
    says(world, **{f"d{SQL.snapshot}": old, f"d{SQL_2.snapshot}": new, f"d{LAW.snapshot}": old})


def verdicts(world: World) -> set[tuple[int, str, str]]:
    return {
        (each.release, each.result.gate, str(each.result.verdict))
        for each in world.history.gates("tiny")
    }


def gate(world: World, wanted: Release, asked: Version, plans: list[GatePlan]) -> Gated:
    def confirm(plan: GatePlan) -> bool:
        plans.append(plan)
        return True

    def want(_: HostFacts) -> Wanted:
        return Wanted("gate", wanted)

    order = Order("gate", "tiny", want, asked, TIMING)
    return gate_version(world.command(), order, asked.guard, confirm)


def test_a_new_adapter_proves_itself_beside_the_one_that_serves(world: World, guard: Guard) -> None:
    world.version = version(guard)
    answering(world, RIGHT)
    world.deploy(base(1, SQL))
    # Without one that serves there is nothing to compare with, and every golden prompt must pass.
    assert (1, "answers of sql", "passed") in verdicts(world)
    assert (1, "shape of sql", "passed") not in verdicts(world)
    world.deploy(base(2, SQL_2), ALL)
    assert {(2, f"{each} of sql", "passed") for each in ("answers", "shape", "health")} <= verdicts(
        world
    )
    assert all(each == loaded(SQL_2) for each in engines(world))


def test_an_adapter_with_worse_answers_never_gets_traffic(world: World, guard: Guard) -> None:
    world.version, world.guard = version(guard), Guard()
    answering(world, WRONG)
    world.deploy(base(1, SQL))
    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(base(2, SQL_2), ALL)
    assert (
        "adapter sql of tiny #2 (v1) did not pass the gate 'answers of sql': 3 of 3 golden prompts "
        "that the serving release passes at the same moment lost" in caught.value.message
    )
    assert all(each == loaded(SQL) for each in engines(world))
    assert world.unfinished() == set()
    assert (2, "answers of sql", "failed") in verdicts(world)
    # The gate that refused it is the record of the failure; its checks passed.
    assert (2, "checks", "failed") not in verdicts(world)
    failed = world.history.failure("tiny", 2)
    assert failed is not None and failed.result.gate == "answers of sql"


def test_what_the_serving_adapter_fails_too_says_nothing(world: World, guard: Guard) -> None:
    says(world, **{f"d{SQL.snapshot}": WRONG, f"d{SQL_2.snapshot}": WRONG})
    world.deploy(base(1, SQL))
    world.version = version(guard)
    world.deploy(base(2, SQL_2), ALL)
    assert (2, "answers of sql", "passed") in verdicts(world)


def test_one_bad_adapter_of_two_refuses_the_release(world: World, guard: Guard) -> None:
    world.version = version(guard)
    answering(world, RIGHT)
    says(world, **{f"d{LAW.snapshot}": WRONG})
    with pytest.raises(ReleaseFailedError, match="adapter law of tiny #1"):
        world.deploy(base(1, SQL, LAW))
    assert names(world) == {()}


def test_an_adapter_whose_form_differs_fails_the_shape(world: World) -> None:
    answering(world, RIGHT)
    world.deploy(base(1, SQL))
    world.version = version(Guard())
    for host in world.hosts.values():
        renaming(host)
    with pytest.raises(ReleaseFailedError, match=r"choices\.message\.content gone"):
        world.deploy(base(2, SQL_2), ALL)
    assert (2, "shape of sql", "failed") in verdicts(world)


def renaming(host: FakeHost) -> None:
    """Have an adapter on trial answer under another key."""
    given = host.ask

    def ask(port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        answer = given(port, path, payload, timeout)
        tried = "@" in str(payload.get("model", ""))
        return replace(answer, body=answer.body.replace('"content"', '"text"')) if tried else answer

    host.ask = ask  # type: ignore[method-assign]


def test_a_guard_that_is_off_leaves_the_checks_of_an_adapter(world: World, guard: Guard) -> None:
    answering(world, WRONG)
    world.deploy(base(1, SQL))
    world.version = version(replace(guard, off=True))
    world.deploy(base(2, SQL_2), ALL)
    assert not [each for each in verdicts(world) if "of sql" in each[1]]


def test_a_new_base_is_asked_for_its_adapters_beside_the_serving_one(
    world: World, guard: Guard
) -> None:
    world.version = version(guard)
    answering(world, RIGHT)
    world.deploy(base(1, SQL))
    changed = replace(base(2, SQL, version="v2"), snapshot="6" * 64)
    # The same adapter on another base: only that replica answers wrongly.
    for host in world.hosts.values():
        mistaken(host)
    with pytest.raises(ReleaseFailedError, match="adapter sql of tiny #2"):
        world.deploy(changed)
    assert set(world.serving().values()) == {"v1"}


def mistaken(host: FakeHost) -> None:
    given = host.ask

    def ask(port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        answer = given(port, path, payload, timeout)
        slot = next(each for each in host.facts.slots if each.port == port)
        new = slot.release and slot.release.version == "v2" and payload.get("model") == "sql"
        return replace(answer, body=answer.body.replace(RIGHT, WRONG)) if new else answer

    host.ask = ask  # type: ignore[method-assign]


def test_a_rollback_has_no_gates(world: World, guard: Guard) -> None:
    answering(world, RIGHT, old=WRONG)
    world.deploy(base(1, SQL))
    world.deploy(base(2, SQL_2), ALL)
    world.version = version(guard)
    world.rollback()
    assert all(each == loaded(SQL) for each in engines(world))


def test_a_gate_loads_new_adapters_without_a_deployment_and_forgets_them(
    world: World, guard: Guard
) -> None:
    answering(world, WRONG)
    world.deploy(base(1, SQL))
    before = world.table()
    plans: list[GatePlan] = []
    gated = gate(world, base(2, SQL_2), version(guard), plans)
    assert (gated.started, gated.tried) == (False, ("sql",))
    assert gated.refused.startswith("adapter sql of tiny #2 (v1) did not pass the gate")
    step = plans[0].plan.steps[-1]
    assert (step.kind, step.reason) == (
        "adapt",
        "load sql under names that no client can request, and forget them again",
    )
    assert not [event for event in world.host.events if event.startswith(("routes", "replica"))]
    assert (world.table(), world.unfinished()) == (before, set())
    assert all(each == loaded(SQL) for each in engines(world))
    assert not world.deploy(base(1, SQL)).changed
    answering(world, RIGHT)
    assert gate(world, base(3, SQL_2), version(guard), plans).refused == ""


def test_a_gate_on_what_serves_asks_its_adapters_too(world: World, guard: Guard) -> None:
    answering(world, RIGHT)
    world.deploy(base(1, SQL))
    gated = gate(world, base(1, SQL), version(guard), [])
    assert "answers of sql" in {each.gate for each in gated.results}
    assert {each.verdict for each in gated.results} == {Verdict.PASSED}


def test_a_gate_that_removes_adapters_alone_has_nothing_to_ask(world: World, guard: Guard) -> None:
    world.deploy(base(1, SQL))
    with pytest.raises(RefusedError, match="there is nothing to ask"):
        gate(world, base(2), version(guard), [])


STRICT = replace(SQL, checks=(Check("Name the customers.", contains="SELECT"),))


def test_a_gate_of_an_adapter_whose_checks_alone_changed_asks_it_by_its_name(
    world: World, guard: Guard
) -> None:
    answering(world, RIGHT)
    world.deploy(base(1, SQL, LAW))
    before, plans = world.table(), list[GatePlan]()
    gated = gate(world, base(2, STRICT, LAW), version(guard), plans)
    assert plans[0].plan.steps[-1].reason == "ask sql its changed checks by its name"
    assert (gated.tried, gated.checked, gated.refused) == ((), ("sql",), "")
    # The gates say what they would say of any adapter that serves; nothing is compared with itself.
    assert {each.gate for each in gated.results} == {"answers of sql", "health of sql"}
    assert not [event for event in world.host.events if event.startswith(("load", "routes"))]
    assert (world.table(), world.unfinished()) == (before, set())
    answering(world, RIGHT, old=WRONG)
    with pytest.raises(ReleaseFailedError, match=r"adapter sql .* without 'SELECT'"):
        gate(world, base(2, STRICT, LAW), version(guard), plans)
    assert (world.table(), world.unfinished()) == (before, set())
    assert all(each == loaded(SQL, LAW) for each in engines(world))


def test_a_gate_asks_new_adapters_and_those_with_other_checks_together(
    world: World, guard: Guard
) -> None:
    answering(world, RIGHT)
    world.deploy(base(1, SQL))
    plans: list[GatePlan] = []
    gated = gate(world, base(2, STRICT, LAW), version(guard), plans)
    assert plans[0].plan.steps[-1].reason == (
        "load law under names that no client can request, and forget them again; "
        "ask sql its changed checks by its name"
    )
    assert (gated.tried, gated.checked) == (("law",), ("sql",))
    assert {"answers of sql", "answers of law"} <= {each.gate for each in gated.results}


@pytest.mark.parametrize("moment", [f"load sql@{SQL_2.snapshot[:12]}", "complete tiny-blue"])
def test_a_gate_of_adapters_that_was_killed_is_cleared_away(
    world: World, guard: Guard, moment: str
) -> None:
    answering(world, RIGHT)
    world.deploy(base(1, SQL))
    world.host.before = killed_at(moment)
    with pytest.raises(Killed):
        gate(world, base(2, SQL_2), version(guard), [])
    world.host.owner = None
    world.go_on()
    world.deploy(base(1, SQL))
    assert (world.unfinished(), names(world)) == (set(), {("sql",)})
    assert world.routes(world.host.name).of("tiny") is not None


def killed_at(moment: str) -> Any:
    def before(event: str) -> None:
        if event == moment:
            raise Killed

    return before


FAST = Guard(speed=Speed(pairs=20), tolerance=Tolerance(slower=1.15))


def test_a_slower_adapter_is_refused_by_pairs_beside_the_one_that_serves(world: World) -> None:
    world.version = version(FAST)
    world.deploy(base(1, SQL))
    for host in world.hosts.values():
        host.adapters.slow[SQL_2.snapshot] = 2.0
    with pytest.raises(ReleaseFailedError, match="'speed of sql': time to first token: 2 times"):
        world.deploy(base(2, SQL_2), ALL)
    assert all(each == loaded(SQL) for each in engines(world))
    assert (2, "speed of sql", "failed") in verdicts(world)
    # The same weights in the serving adapter and the new one: slow is what it was.
    for host in world.hosts.values():
        host.adapters.slow[SQL.snapshot] = 2.0
    world.deploy(base(3, SQL_2), ALL)
    assert all(each == loaded(SQL_2) for each in engines(world))


def test_an_adapter_whose_name_is_new_is_compared_with_its_base(world: World) -> None:
    world.version = version(FAST)
    world.deploy(base(1))
    for host in world.hosts.values():
        host.adapters.slow[SQL.snapshot] = 1.3
    with pytest.raises(ReleaseFailedError, match="'speed of sql'"):
        world.deploy(base(2, SQL), ALL)
    assert names(world) == {()}
    world.version = version(replace(FAST, tolerance=Tolerance(slower=1.5)))
    world.deploy(base(3, SQL), ALL)
    assert names(world) == {("sql",)}


class Scorer:
    """Gives each name its score; notes who was asked."""

    def __init__(self, **scores: float) -> None:
        self.known, self.asked = scores, list[str]()

    def scores(self, _: Benchmarks, model: str, *given: Any, **how: Any) -> tuple[Score, ...]:
        self.asked.append(model)
        good = self.known[model.partition("@")[0] + "@" * ("@" in model)]
        marks = {str(each): float(each < 100 * good) for each in range(100)}
        return (Score("sums", "exact_match", good, marks),)


def test_the_benchmarks_of_an_adapter_ask_both_by_their_names(world: World) -> None:
    scorer = Scorer(tiny=0.9, sql=0.9)
    scorer.known["sql@"] = 0.5
    world.given["scorer"] = lambda: scorer
    world.version = version(Guard(benchmarks=Benchmarks(("sums.yaml",))))
    world.deploy(base(1))
    with pytest.raises(ReleaseFailedError, match="'benchmarks of sql'"):
        world.deploy(base(2, SQL), ALL)
    scorer.known["tiny"] = 0.4
    world.deploy(base(3, SQL), ALL)
    assert names(world) == {("sql",)}
    scorer.asked.clear()
    with pytest.raises(ReleaseFailedError, match="'benchmarks of sql'"):
        world.deploy(base(4, SQL_2), ALL)
    assert set(scorer.asked) == {f"sql@{SQL_2.snapshot[:12]}", "sql"}
    assert all(each == loaded(SQL) for each in engines(world))
