"""LoRA adapters: what changes between two releases, the plan for it, and which names are routed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.planning.facts import host, kinds, release, slot
from tests.planning.rendered import render_files
from toolkit.domain.deployment.plan import Strategy
from toolkit.domain.deployment.release import (
    Deployment,
    Outcome,
    Release,
    ReleaseAdapter,
    StepRecord,
)
from toolkit.domain.hosts.facts import ProcessState
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.registry.model import Lora
from toolkit.domain.registry.release_parts import Check
from toolkit.hostside import holds, routes_file
from toolkit.planning.change.adapters import adapter_changes, internal_name
from toolkit.planning.change.deploy import Wanted, plan_deploy
from toolkit.planning.change.drift import drift_of
from toolkit.planning.change.recovery import plan_recovery
from toolkit.planning.engines import vllm_lora
from toolkit.planning.routing.edits import with_adapters, with_hold, with_model
from toolkit.planning.routing.rebuild import rebuilt
from toolkit.planning.routing.routes import Routes, Target

LORA = ("--enable-lora", "--max-loras", "4", "--max-lora-rank", "16")


def adapter(name: str, digit: str) -> ReleaseAdapter:
    return ReleaseAdapter(name, f"acme/{name}", digit * 40, digit * 64)


SQL, SQL_2, LAW = adapter("sql", "a"), adapter("sql", "b"), adapter("law", "c")
LAW_2 = adapter("law", "e")
ASKED, ASKED_2 = (replace(each, checks=(Check("hi"),)) for each in (SQL, SQL_2))


def base(number: int, *adapters: ReleaseAdapter) -> Release:
    return replace(release(1), number=number, args=LORA, adapters=adapters)


@pytest.mark.parametrize(
    ("former", "wanted", "loaded", "exchanged", "removed", "words"),
    [
        ((), (), (), (), (), ""),
        ((SQL,), (ASKED,), (), (), (), "check sql again"),
        ((SQL, LAW), (ASKED, LAW_2), (LAW_2,), ("law",), (), "upgrade law; check sql again"),
        ((ASKED,), (SQL,), (), (), (), ""),
        ((SQL,), (ASKED_2,), (ASKED_2,), ("sql",), (), "upgrade sql"),
        ((SQL,), (replace(SQL, revision="f" * 40),), (), (), (), ""),
        ((SQL,), (SQL,), (), (), (), ""),
        ((), (SQL,), (SQL,), (), (), "add sql"),
        ((SQL,), (SQL_2,), (SQL_2,), ("sql",), (), "upgrade sql"),
        ((SQL,), (), (), (), ("sql",), "remove sql"),
        ((SQL, LAW), (LAW, SQL_2), (SQL_2,), ("sql",), (), "upgrade sql"),
        (
            (SQL,),
            (LAW,),
            (LAW,),
            (),
            ("sql",),
            "add law; remove sql",
        ),
    ],
)  # fmt: skip
def test_what_differs_is_loaded_and_the_rest_stays(
    former: tuple[ReleaseAdapter, ...],
    wanted: tuple[ReleaseAdapter, ...],
    loaded: tuple[ReleaseAdapter, ...],
    exchanged: tuple[str, ...],
    removed: tuple[str, ...],
    words: str,
) -> None:
    changes = adapter_changes(base(1, *former), base(2, *wanted))
    assert (changes.loaded, changes.exchanged, changes.removed) == (loaded, exchanged, removed)
    assert changes.words == words


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (ASKED, "check sql again; the replica runs on"),
        (replace(SQL, revision="f" * 40), "record the adapters anew; the replica runs on"),
    ],
)
def test_the_plan_says_what_becomes_of_an_adapter_with_the_same_files(
    wanted: ReleaseAdapter, reason: str
) -> None:
    facts = replace(host(slot("blue", base(1, SQL), weight=100)), snapshots=THERE)
    plan = plan_deploy(Wanted("deploy", base(2, wanted), provision_digest="base-1"), facts)
    assert [each.reason for each in plan.steps] == [reason]


def test_an_internal_name_is_none_that_a_client_can_have() -> None:
    assert internal_name(SQL) == f"sql@{'a' * 12}"


THERE = (release(1).snapshot, SQL.snapshot, SQL_2.snapshot)
PLANS = {
    "the same": (base(1, SQL), base(2, SQL), {}, "switch", []),
    "a first adapter": (base(1), base(2, SQL), {}, "adapt", ["adapt blue"]),
    "another one": (base(1, SQL), base(2, SQL_2), {}, "adapt", ["adapt blue"]),
    "none any more": (base(1, SQL), base(2), {}, "adapt", ["adapt blue"]),
    "another version's name": (
        base(1, SQL),
        replace(base(2, SQL_2), version="v9"),
        {},
        "adapt",
        ["adapt blue"],
    ),
    "files that the host lacks": (
        base(1),
        base(2, LAW),
        {},
        "adapt",
        ["verify", "distribute", "adapt blue"],
    ),
    "no room reserved": (
        replace(base(1), args=()),
        base(2, SQL),
        {},
        "side-by-side",
        ["start green", "gate green", "shift green", "bake green", "drain blue", "standby blue"],
    ),
    "more room": (
        base(1, SQL),
        replace(base(2, SQL), args=(*LORA[:-1], "32")),
        {},
        "side-by-side",
        ["start green", "gate green", "shift green", "bake green", "drain blue", "standby blue"],
    ),
    "a replica that is not as it was deployed": (
        base(1, SQL),
        base(2, SQL_2),
        {"drift": ("run was changed",)},
        "side-by-side",
        ["start green", "gate green", "shift green", "bake green", "drain blue", "stop blue"],
    ),
}


@pytest.mark.parametrize("case", PLANS)
def test_a_replica_adapts_where_nothing_but_adapters_differs(case: str) -> None:
    before, wanted, more, strategy, steps = PLANS[case]
    facts = replace(host(slot("blue", before, weight=100, **more)), snapshots=THERE)
    plan = plan_deploy(Wanted("deploy", wanted, provision_digest="base-1"), facts)
    assert (str(plan.strategy), kinds(plan.steps)) == (strategy, steps)
    if plan.strategy is Strategy.ADAPT:
        assert (plan.slot, plan.downtime) == ("blue", "")


def open_change(*steps: str) -> Deployment:
    records = tuple(StepRecord(i, each, "blue", Outcome.DONE, 0.0) for i, each in enumerate(steps))
    return Deployment(
        id=7,
        model="tiny",
        action="deploy",
        release=2,
        previous=1,
        slot="blue",
        actor="ann",
        outcome=Outcome.RUNNING,
        reason="",
        started_at=0.0,
        ended_at=None,
        steps=records,
    )


OLD, NEW = base(1, SQL), base(2, SQL_2)
ENDS = {
    "before its checks": (OLD, True, True, False, ["adapt blue"]),
    "after its checks": (NEW, True, True, True, ["adapt blue"]),
    "it failed": (OLD, False, True, False, ["adapt blue"]),
    "it failed after its checks": (NEW, False, True, False, ["adapt blue"]),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_change_that_was_cut_short_is_ended_in_its_slot(case: str) -> None:
    shown, may_complete, well, completes, steps = ENDS[case]
    facts = host(slot("blue", shown, weight=100, well=well))
    found = plan_recovery(open_change("adapt"), OLD, facts, may_complete=may_complete)
    assert (found.completes, kinds(found.steps)) == (completes, steps)
    assert {found.slot, found.previous_slot} == {"", "blue"}


def test_a_replica_that_crashed_meanwhile_is_replaced_as_after_any_failure() -> None:
    facts = host(slot("blue", NEW, weight=100, well=False, process=ProcessState.FAILED))
    found = plan_recovery(open_change("adapt"), OLD, facts, may_complete=False)
    wanted = ["hold blue", "stop blue", "start green", "gate green", "shift green"]
    assert kinds(found.steps) == wanted


def test_files_of_an_adapter_that_are_gone_are_drift() -> None:
    facts = replace(host(slot("blue", OLD, weight=100)), snapshots=(OLD.snapshot,))
    assert drift_of(facts) == (
        f"{facts.name} tiny blue: its files (snapshot {'a' * 12}) are not on the host",
    )


def routed(*targets: Target) -> Routes:
    return with_model(Routes(), "tiny", targets, created=7)


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ((Target("blue", 8100, 100),), ()),
        ((Target("blue", 8100, 100, adapters=("law", "sql")),), ("law", "sql")),
        # A name that one of two targets lacks would be refused by every second request.
        ((Target("blue", 8100, 50, adapters=("law", "sql")), Target("green", 8101, 50, adapters=("sql",))), ("sql",)),
        ((Target("blue", 8100, 9, adapters=("a", "law")), Target("green", 8101, share=1, adapters=("law",))), ("law",)),
        # A standby has no traffic, so its set does not count.
        ((Target("blue", 8100, 100, adapters=("law",)), Target("green", 8101, standby=True)), ("law",)),
        # While the base is exchanged, its requests wait, and those of its adapters too.
        ((Target("blue", 8100, adapters=("law",)), Target("green", 8101)), ("law",)),
    ],
)  # fmt: skip
def test_a_name_is_routed_where_every_target_with_traffic_has_it(
    targets: tuple[Target, ...], names: tuple[str, ...]
) -> None:
    routes = routed(*targets)
    route = routes.of("tiny")
    assert route and route.adapters == names
    assert Routes.from_json(routes.as_json()) == routes


def test_routes_that_are_made_anew_lead_to_adapters_again() -> None:
    routes = rebuilt({"": (Host("localhost"), host(slot("blue", OLD, weight=100)))}, 7.0)
    route = routes.of("tiny")
    assert route and route.adapters == ("sql",)


def test_routes_without_adapters_are_as_they_were() -> None:
    (route,) = routed(Target("blue", 8100, 100)).as_json()["routes"]
    assert route == {
        "model": "tiny",
        "created": 7,
        "targets": [{"slot": "blue", "port": 8100, "weight": 100}],
    }


def test_requests_for_an_adapter_wait_while_it_is_exchanged() -> None:
    routes = routed(Target("blue", 8100, 100, adapters=("sql",)))
    waiting = with_adapters(routes, "tiny", "blue", ("sql",), ("sql",))
    assert render_files(waiting)["holds.map"] == "sql 30\n"
    assert holds.of_routes(waiting.as_json()) == {"sql": "30"}
    assert not routes_file.needs_reload(render_files(routes), render_files(waiting))
    done = with_adapters(waiting, "tiny", "blue", ("sql",), ())
    assert done == routes


def test_requests_wait_until_every_host_has_exchanged_the_adapter() -> None:
    routes = routed(
        Target("blue", 8100, 100, "a", "10.0.0.1:8090", adapters=("sql",)),
        Target("blue", 8100, 100, "b", "10.0.0.2:8090", adapters=("sql",)),
    )
    one = with_adapters(routes, "tiny", "a.blue", ("sql",), ("sql",))
    both = with_adapters(one, "tiny", "b.blue", ("sql",), ("sql",))
    first_done = with_adapters(both, "tiny", "a.blue", ("sql",), ())
    assert [render_files(each)["holds.map"] for each in (one, both, first_done)] == ["sql 30\n"] * 3
    assert with_adapters(first_done, "tiny", "b.blue", ("sql",), ()) == routes
    assert Routes.from_json(both.as_json("a")) == both


def test_a_hold_of_the_base_holds_its_adapters() -> None:
    held = with_hold(routed(Target("blue", 8100, adapters=("sql",))), "tiny", 120)
    assert render_files(held)["holds.map"] == "tiny 120\nsql 120\n"
    assert holds.of_routes(held.as_json()) == {"tiny": "120", "sql": "120"}


def keys_of(text: str) -> list[str]:
    return [line.split(" ", 1)[0] for line in text.splitlines()]


@pytest.mark.parametrize(("former", "new"), [("alpha", "beta"), ("beta", "alpha")])
def test_an_adapter_that_moved_is_there_once_with_the_model_that_got_it_last(
    former: str, new: str
) -> None:
    """The registry gives it to another model, and the former one serves on with its release."""
    blue = Target("blue", 8100, 100, adapters=("sql",))
    green = Target("green", 8101, 100, adapters=("sql",))
    routes = with_model(Routes(), former, (blue,), created=1)
    starting = with_model(routes, new, (replace(green, weight=0),), created=1)
    both = with_model(starting, new, (green,), created=1)
    swapping = with_hold(with_model(both, new, (replace(green, weight=0),), created=1), new, 120)
    for held, owner in ((starting, former), (both, new), (swapping, new)):
        files = render_files(held)
        backends = dict(line.split(" ") for line in files["models.map"].splitlines())
        assert backends["sql"] == f"model.{owner}"
        assert files["slots.map"].count("sql ") == files["models-described.map"].count("sql ") == 1
        for name in ("models.map", "slots.map", "holds.map", "models-described.map"):
            keys = keys_of(files[name])
            assert sorted(keys) == sorted(set(keys)), name
        (listed,) = [
            each for each in json.loads(files["models.json"])["data"] if each["id"] == "sql"
        ]
        assert listed["parent"] == owner
        # the host makes the same of its copy of the routes
        document = json.loads(files["routes.json"])
        found = dict(line.split(" ") for line in files["slots.map"].splitlines())
        assert routes_file.main_slots(document) == found
        assert Routes.from_json(document).of(former) == held.of(former)


def test_an_adapter_takes_no_name_of_a_model_that_serves() -> None:
    routes = with_model(Routes(), "sql", (Target("blue", 8100, 100),), created=1)
    routes = with_model(routes, "alpha", (Target("blue", 8100, 100, adapters=("sql",)),), created=1)
    files = render_files(routes)
    assert files["models.map"] == "alpha model.alpha\nsql model.sql\n"
    assert [each["id"] for each in json.loads(files["models.json"])["data"]] == ["alpha", "sql"]


def test_a_worker_that_a_reload_left_behind_finds_an_adapter_s_target() -> None:
    routes = routed(Target("blue", 8100, 100, adapters=("sql",)))
    assert render_files(routes)["slots.map"] == "tiny blue\nsql blue\n"
    assert routes_file.main_slots(routes.as_json()) == {"tiny": "blue", "sql": "blue"}


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"r": 8}, ""),
        ({"r": 16, "peft_type": "LORA", "use_rslora": True, "modules_to_save": None}, ""),
        ({"r": 8, "modules_to_save": ["classifier"]}, ""),
        ({"r": 8, "init_lora_weights": "gaussian"}, ""),
        ({"r": 8, "rank_pattern": {"q": 16}}, ""),
        ({"r": 17}, "its rank is 17, and replicas take 16 at most"),
        ({"r": 8, "rank_pattern": {"q": 64}}, "its rank is 64, and replicas take 16 at most"),
        ({"r": 0}, "it names no rank `r`"),
        ({"r": True}, "it names no rank `r`"),
        ({"r": 8, "rank_pattern": {"q": "x"}}, "it names no rank `r`"),
        ({}, "it names no rank `r`"),
        ({"r": 8, "bias": "all"}, "it has biases, which the engine does not add"),
        ({"r": 8, "lora_bias": True}, "the engine does not know a bias of its own (lora_bias)"),
        ({"r": 8, "init_lora_weights": "pissa"}, "its weights begin from 'pissa', which changes the base model"),
        ({"r": 8, "modules_to_save": "all"}, "it replaces whole modules (modules_to_save)"),
        ({"r": 8, "layer_replication": [[0, 4]]}, "the engine does not know replicated layers (layer_replication)"),
    ],
)  # fmt: skip
def test_what_vllm_would_not_load_is_known_from_its_configuration(
    config: dict[str, object], fault: str
) -> None:
    assert vllm_lora.config_fault(config, Lora()) == fault
