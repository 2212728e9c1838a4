"""One replica over several hosts: which, at which ports, and that they change in step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import host, release, slot, wanted
from toolkit.domain.deployment.plan import Plan, Strategy
from toolkit.domain.deployment.release import Release, Span
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError, InputError, NothingSuitableError, RefusedError
from toolkit.planning.change.placement import choose_hosts
from toolkit.planning.change.rollout import Limits, plan_rollout
from toolkit.planning.change.span import (
    place_together,
    placed_before,
    plan_together,
    require_open,
    require_together,
    require_whole,
)
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

HOSTS = ("10.0.0.1", "10.0.0.2")
ANYWHERE, PLACED = Span(2), Span(2, HOSTS, 28000)


def wide(number: int, span: Span = PLACED, **more: Any) -> Release:
    return replace(release(number, **more), span=span)


BARE = host()
ONE = host(slot("blue", wide(1), weight=100), snapshots=(2,))


def fleet(*facts: HostFacts) -> dict[str, HostFacts]:
    return {f"h{number}": replace(each, name=f"h{number}") for number, each in enumerate(facts, 1)}


def plans(facts: dict[str, HostFacts], of: Release, **more: Any) -> dict[str, Plan]:
    return plan_together({name: wanted(of, **more) for name in facts}, facts)


def steps(plan: Plan) -> list[str]:
    return [f"{step.kind} {step.slot}".strip() for step in plan.steps]


def test_a_release_that_was_never_placed_gets_hosts_and_ports() -> None:
    placed = place_together(wide(1, ANYWHERE), HOSTS, [BARE, BARE])
    assert placed.span == PLACED
    assert (PLACED.port_of("blue"), PLACED.port_of("green")) == (28000, 28002)


def test_models_do_not_share_ports() -> None:
    other = replace(wide(1), model="other")
    taken = host(replace(slot("blue", other), model="other"))
    assert place_together(wide(1, ANYWHERE), HOSTS, [BARE, taken]).span == Span(2, HOSTS, 28004)


def test_the_next_release_stays_where_the_model_is() -> None:
    here = Span(2, ("10.0.0.2", "10.0.0.3"), 28008)
    facts = host(slot("green", wide(1, here)))
    found = placed_before(wide(2, ANYWHERE), facts)
    assert found.span == here
    assert place_together(found, ("10.0.0.2", "10.0.0.3"), [facts]) == found
    # one that ran at other addresses is placed anew
    assert place_together(found, HOSTS, [facts]).span == PLACED
    assert placed_before(wide(2, ANYWHERE), BARE).span == ANYWHERE
    # one on other hosts, and one that a single host runs, say nothing of where three would
    assert placed_before(wide(2, Span(3)), facts).span == Span(3)
    assert placed_before(release(2), facts) == release(2)


@pytest.mark.parametrize(
    ("facts", "more", "expected"),
    [
        (fleet(BARE, BARE, BARE), {}, ("h1", "h2")),
        # the emptiest
        (fleet(ONE, BARE, BARE), {"model": "other"}, ("h2", "h3")),
        (fleet(BARE, ONE, ONE), {}, ("h2", "h3")),
        (fleet(BARE, BARE, BARE), {"named": ("h3", "h1")}, ("h1", "h3")),
        (
            fleet(BARE, BARE, BARE),
            {"unfit": {"h1": NothingSuitableError("h1: too small")}},
            ("h2", "h3"),
        ),
        (fleet(BARE, BARE, BARE), {"replicas": 1}, ("h1", "h2")),
        # refused
        (fleet(BARE, BARE), {"replicas": 2}, InputError),
        (fleet(BARE, BARE), {"named": ("h1",)}, InputError),
        (fleet(BARE, ONE, ONE), {"named": ("h1", "h2")}, InputError),
        (fleet(ONE, BARE), {}, InputError),
        (
            fleet(BARE, BARE),
            {"unfit": {"h1": NothingSuitableError("h1: too small")}},
            NothingSuitableError,
        ),
    ],
)
def test_a_span_gets_exactly_these_hosts(
    facts: dict[str, HostFacts], more: dict[str, Any], expected: tuple[str, ...] | type[Exception]
) -> None:
    model, unfit = more.pop("model", "tiny"), more.pop("unfit", {})
    if isinstance(expected, tuple):
        assert choose_hosts(model, facts, unfit, Routes(), span=2, **more).hosts == expected
    else:
        with pytest.raises(expected):
            choose_hosts(model, facts, unfit, Routes(), span=2, **more)


def test_a_new_release_starts_on_all_hosts_in_the_same_slot() -> None:
    made = plans(fleet(ONE, ONE), wide(2))
    assert steps(made["h1"]) == steps(made["h2"])
    assert {plan.slot for plan in made.values()} == {"green"}
    rollout = plan_rollout(made, fleet(ONE, ONE), Limits(serial=1), unreachable={})
    assert rollout.batches == (("h1", "h2"),)


def test_nothing_is_done_where_all_is_well() -> None:
    made = plans(fleet(ONE, ONE), wide(1))
    assert [plan.empty for plan in made.values()] == [True, True]
    assert plan_rollout(made, fleet(ONE, ONE), Limits(), unreachable={}).batches == ()


def test_where_one_host_drifted_both_start_anew() -> None:
    drifted = host(slot("blue", wide(1), weight=100, drift=("run was changed",)))
    made = plans(fleet(ONE, drifted), wide(1))
    assert {plan.slot for plan in made.values()} == {"green"}
    assert all("start green" in steps(plan) for plan in made.values())


def test_where_one_host_lost_its_standby_both_start_anew() -> None:
    both = host(slot("green", wide(2), weight=100), slot("blue", wide(1)))
    alone = host(slot("green", wide(2), weight=100), snapshots=(1,))
    made = plans(fleet(both, alone), wide(1), action="rollback")
    assert {plan.slot for plan in made.values()} == {"blue"}
    assert all("start blue" in steps(plan) for plan in made.values())


def test_a_swap_has_its_downtime_since_no_other_host_serves() -> None:
    tight = host(slot("blue", wide(1, memory=14 * 10**9), weight=100), snapshots=(2,))
    facts = fleet(tight, tight)
    made = plans(facts, wide(2, memory=14 * 10**9))
    rollout = plan_rollout(made, facts, Limits(), unreachable={})
    assert {plan.strategy for plan in rollout.plans.values()} == {Strategy.SWAP}
    assert all(plan.downtime for plan in rollout.plans.values())


def test_slots_that_differ_are_refused() -> None:
    with pytest.raises(RefusedError, match="blue on h1, green on h2"):
        plans(fleet(host(), host(slot("blue", wide(9), weight=100))), wide(2))


def test_hosts_that_would_run_different_releases_are_refused() -> None:
    with pytest.raises(RefusedError, match="different releases"):
        plan_together({"h1": wanted(wide(1)), "h2": wanted(wide(2))}, fleet(BARE, BARE))


def test_a_host_that_does_not_answer_holds_the_others_back() -> None:
    targets = tuple(Target("blue", 8100, 100, name, "10.0.0.1:8090") for name in ("h1", "h2"))
    routes = with_model(Routes(), "tiny", targets, created=1)
    require_together("tiny", routes, {"h3": "no route"})
    with pytest.raises(HostError, match="h2: no route"):
        require_together("tiny", routes, {"h2": "no route"})


def test_a_firewall_between_them_is_named() -> None:
    shut = Host("h1", settings={"toolkit_firewall": True})
    ajar = Host("h2", settings={"toolkit_firewall": True, "toolkit_interconnect": True})
    require_open("tiny", [ajar, Host("h3")])
    with pytest.raises(InputError, match="the firewall of h1 keeps"):
        require_open("tiny", [shut, ajar])


def test_a_part_cannot_be_stopped_alone() -> None:
    facts = fleet(ONE, ONE, BARE)
    require_whole("tiny", facts, ["h1", "h2"])
    with pytest.raises(InputError, match="h1 runs tiny together with h2"):
        require_whole("tiny", facts, ["h1"])
