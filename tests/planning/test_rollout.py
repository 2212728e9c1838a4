"""Which hosts get a model, and in which order they change: facts of a fleet, exactly these batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import GB, host, release, slot, wanted
from toolkit.domain.deployment.plan import StepKind, Strategy
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import InputError, NothingSuitableError, RefusedError
from toolkit.planning.change.batch_sizes import batched, parse_sizes
from toolkit.planning.change.deploy import Wanted, plan_deploy
from toolkit.planning.change.placement import choose_hosts
from toolkit.planning.change.rollout import Limits, numbered, plan_rollout
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

BARE = host()
ONE = host(slot("blue", release(1), weight=100), snapshots=(2,))
TWO = host(slot("green", release(2), weight=100), slot("blue", release(1)))
GONE = host(slot("green", release(2), weight=100), snapshots=(1,))
TIGHT = host(
    slot("blue", release(1, memory=14 * 10**9), weight=100), snapshots=(2,),
)  # fmt: skip
CRASHED = host(slot("blue", release(1), weight=100, well=False), snapshots=(2,))


def fleet(*facts: HostFacts) -> dict[str, HostFacts]:
    return {f"h{number}": replace(each, name=f"h{number}") for number, each in enumerate(facts, 1)}


def batches(
    facts: dict[str, HostFacts],
    number: int,
    limits: Limits,
    **more: Any,
) -> tuple[tuple[str, ...], ...]:
    memory = more.pop("memory", 3 * 10**9)
    wants = wanted(release(number, memory=memory), **more)
    plans = {name: plan_deploy(wants, each) for name, each in facts.items()}
    return plan_rollout(plans, facts, limits, unreachable={}).batches


@pytest.mark.parametrize(
    ("facts", "number", "limits", "expected"),
    [
        # nothing to do
        (fleet(ONE, ONE), 1, Limits(), ()),
        # new hosts cost nobody anything
        (fleet(BARE, BARE, BARE), 1, Limits(), (("h1", "h2", "h3"),)),
        # those come first
        (fleet(ONE, BARE, ONE), 2, Limits(), (("h2",), ("h1",), ("h3",))),
        (fleet(ONE, ONE, ONE), 2, Limits(), (("h1",), ("h2",), ("h3",))),
        (fleet(ONE, ONE, ONE), 2, Limits(serial=2), (("h1", "h2"), ("h3",))),
        # a first one, and then half of them and what is left
        (
            fleet(ONE, ONE, ONE, ONE),
            2,
            Limits(serial=parse_sizes("1,50%")),
            (("h1",), ("h2", "h3"), ("h4",)),
        ),
        # only what differs
        (fleet(ONE, TWO, ONE), 2, Limits(), (("h1",), ("h3",))),
    ],
)
def test_hosts_are_ordered_into_batches(
    facts: dict[str, HostFacts], number: int, limits: Limits, expected: tuple[tuple[str, ...], ...]
) -> None:
    assert batches(facts, number, limits) == expected


@pytest.mark.parametrize(
    ("text", "hosts", "sizes"),
    [
        ("1", 3, [1, 1, 1]),
        ("2", 3, [2, 1]),
        ("1,2", 6, [1, 2, 2, 1]),
        ("1,100%", 50, [1, 49]),
        ("1, 10%,50%", 21, [1, 2, 10, 8]),
        # A share of a few hosts is one host.
        ("10%", 3, [1, 1, 1]),
        ("5", 0, []),
    ],
)
def test_batches_grow_as_their_sizes_say(text: str, hosts: int, sizes: list[int]) -> None:
    names = [f"h{number}" for number in range(hosts)]
    found = batched(names, parse_sizes(text))
    assert [len(each) for each in found] == sizes
    assert [name for each in found for name in each] == names


def test_a_batch_is_no_larger_than_what_others_can_do_without() -> None:
    assert batched(("a", "b", "c", "d"), parse_sizes("1,100%"), 2) == [("a",), ("b", "c"), ("d",)]


@pytest.mark.parametrize(
    "text", ["", "0", "1,", "-1", "101%", "1.5", "half", "1;2", "9999999", "٣"]
)
def test_what_is_no_size_of_a_batch_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no number of hosts|is more than all hosts"):
        parse_sizes(text)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (fleet(TWO, TWO, TWO), (("h1", "h2", "h3"),)),
        # where the former release must start first, the others do not wait for it
        (fleet(GONE, TWO, GONE, TWO), (("h2", "h4"), ("h1",), ("h3",))),
        (fleet(BARE, TWO, GONE, TWO), (("h2", "h4"), ("h1",), ("h3",))),
        (fleet(BARE, GONE, GONE), (("h1",), ("h2",), ("h3",))),
    ],
)
def test_a_rollback_switches_to_all_standbys_at_once_and_first(
    facts: dict[str, HostFacts], expected: tuple[tuple[str, ...], ...]
) -> None:
    assert batches(facts, 1, Limits(), action="rollback") == expected


def test_hosts_that_stop_serving_leave_enough_others() -> None:
    facts = fleet(TIGHT, TIGHT, TIGHT)
    wants = wanted(release(2, memory=14 * 10**9))
    plans = {name: plan_deploy(wants, each) for name, each in facts.items()}
    plan = plan_rollout(plans, facts, Limits(serial=3), unreachable={})
    assert plan.batches == (("h1", "h2"), ("h3",))
    assert {each.strategy for each in plan.plans.values()} == {Strategy.ROLLING}
    assert {each.downtime for each in plan.plans.values()} == {""}
    assert plan_rollout(plans, facts, Limits(keep=2, serial=3), unreachable={}).batches == (
        ("h1",), ("h2",), ("h3",),
    )  # fmt: skip
    with pytest.raises(RefusedError):
        plan_rollout(plans, facts, Limits(keep=3), unreachable={})


def test_a_batch_says_how_many_hosts_serve_beside_it() -> None:
    facts = fleet(TIGHT, TIGHT, TIGHT)
    plans = {
        name: plan_deploy(wanted(release(2, memory=14 * GB)), each) for name, each in facts.items()
    }

    def notes(limits: Limits) -> list[str]:
        found = plan_rollout(plans, facts, limits, unreachable={})
        return [each.notes[-1] for each in found.plans.values()]

    words = "its old replica stops before the new one starts; {} meanwhile"
    two, one = words.format("2 other hosts serve"), words.format("1 other host serves")
    assert notes(Limits(serial=1)) == [two, two, two]
    assert notes(Limits(serial=3)) == [one, one, two]
    # All of them at once, as was asked for.
    assert notes(Limits(serial=3, keep=0)) == [WAITS, WAITS, WAITS]


def routed(facts: HostFacts, **weights: int) -> HostFacts:
    """Return the facts with routes to a slot `blue` of each host, with its weight."""
    targets = tuple(
        Target("blue", 8100, weight, name, "10.0.0.1:8444") for name, weight in weights.items()
    )
    return replace(facts, routes=with_model(Routes(), "tiny", targets, created=1).as_json())


AWAY = "requests do not wait meanwhile: they go to h2, which is not known to serve"
WAITS = "requests wait at the router meanwhile, each for 2 min 00 s at most"


@pytest.mark.parametrize(
    ("facts", "note", "seconds"),
    [
        # h2 does not answer
        ({"h1": routed(TIGHT, h1=100, h2=100)}, AWAY, 0.0),
        # it answers, is not asked to change, and its replica is down
        (fleet(routed(TIGHT, h1=100, h2=100), CRASHED), AWAY, 0.0),
        # it has no part of the traffic
        ({"h1": routed(TIGHT, h1=100, h2=0)}, WAITS, 120.0),
        ({"h1": routed(TIGHT, h1=100)}, WAITS, 120.0),
    ],
)
def test_requests_wait_in_a_swap_unless_the_routes_lead_elsewhere(
    facts: dict[str, HostFacts], note: str, seconds: float
) -> None:
    facts = {name: replace(each, name=name) for name, each in facts.items()}
    plans = {"h1": plan_deploy(wanted(release(2, memory=14 * GB)), facts["h1"])}
    plan = plan_rollout(plans, facts, Limits(), unreachable={}).plans["h1"]
    assert plan.strategy is Strategy.SWAP
    assert plan.notes[-1] == note
    assert [each.seconds for each in plan.steps if each.kind is StepKind.HOLD] == [seconds]


def test_requests_wait_where_the_other_host_starts_first() -> None:
    facts = fleet(routed(TIGHT, h1=100, h2=100), CRASHED)
    plans = {
        name: plan_deploy(wanted(release(2, memory=14 * GB)), each) for name, each in facts.items()
    }
    plan = plan_rollout(plans, facts, Limits(), unreachable={})
    assert plan.batches == (("h2",), ("h1",))
    assert plan.plans["h1"].notes[-1] == WAITS


def test_the_only_host_that_serves_swaps_and_says_how_long() -> None:
    facts = fleet(TIGHT)
    wants = wanted(release(2, memory=14 * 10**9))
    plan = plan_rollout({"h1": plan_deploy(wants, facts["h1"])}, facts, Limits(), unreachable={})
    assert plan.plans["h1"].strategy is Strategy.SWAP
    assert plan.plans["h1"].downtime == "about 1 min 00 s"


@pytest.mark.parametrize(
    ("facts", "unfit", "more", "expected"),
    [
        (fleet(BARE, BARE), {}, {}, ("h1", "h2")),
        (fleet(BARE, BARE), {"h1": NothingSuitableError("too small")}, {}, ("h2",)),
        # where it is, it stays
        (fleet(BARE, ONE), {}, {}, ("h2",)),
        (fleet(BARE, ONE, BARE), {}, {"replicas": 2}, ("h1", "h2")),
        (fleet(ONE, BARE), {}, {"replicas": 1}, ("h1",)),
        (fleet(BARE, ONE), {}, {"named": ("h1",)}, ("h1",)),
    ],
)
def test_given_facts_lead_to_exactly_these_hosts(
    facts: dict[str, HostFacts],
    unfit: dict[str, NothingSuitableError],
    more: Any,
    expected: tuple[str, ...],
) -> None:
    assert choose_hosts("tiny", facts, unfit, Routes(), **more).hosts == expected


def test_placement_says_what_it_cannot_do() -> None:
    with pytest.raises(NothingSuitableError) as nowhere:
        choose_hosts("tiny", fleet(BARE), {"h1": NothingSuitableError("it needs more")}, Routes())
    assert "it needs more" in nowhere.value.message
    with pytest.raises(InputError) as few:
        choose_hosts("tiny", fleet(BARE, BARE), {}, Routes(), replicas=3)
    assert few.value.message == "3 replicas of tiny were asked for; 2 hosts can have one"
    with pytest.raises(InputError) as many:
        choose_hosts("tiny", fleet(ONE, ONE), {}, Routes(), replicas=1)
    assert many.value.hint == "toolkit stop tiny --host HOST takes one away"
    left_out = choose_hosts(
        "tiny", fleet(BARE, BARE), {"h2": NothingSuitableError("too small")}, Routes()
    )
    assert left_out.notes == ("h2 is left out: too small",)
    small = {name: NothingSuitableError(f"{name}: too small") for name in ("h2", "h3")}
    left_out = choose_hosts("tiny", fleet(BARE, BARE, BARE), small, Routes())
    assert left_out.notes == ("h2, h3 are left out: h2, h3: too small",)
    with pytest.raises(NothingSuitableError) as nowhere:
        choose_hosts("tiny", fleet(BARE, BARE), {**small, "h1": small["h2"]}, Routes())
    assert (
        nowhere.value.message == "no host can take tiny:\n  h2, h3: too small\n  h1: h2: too small"
    )
    assert nowhere.value.hint == "toolkit hosts shows what is there"


@pytest.mark.parametrize("span", [1, 2])
@pytest.mark.parametrize(
    ("hints", "hint"),
    [
        (
            ("toolkit engine lock 0.32.0", "toolkit engine lock 0.32.0"),
            "toolkit engine lock 0.32.0",
        ),
        (("toolkit engine lock 0.32.0", ""), "toolkit hosts shows what is there"),
    ],
)
def test_where_all_hosts_lack_the_same_the_hint_is_its_remedy(
    span: int, hints: tuple[str, str], hint: str
) -> None:
    lacking = {
        name: NothingSuitableError("no lock", hint=each)
        for name, each in zip(("h1", "h2"), hints, strict=True)
    }
    with pytest.raises(NothingSuitableError) as nowhere:
        choose_hosts("tiny", fleet(BARE, BARE), lacking, Routes(), span=span)
    assert nowhere.value.hint == hint


@pytest.mark.parametrize(
    ("hosts", "known", "expected"),
    [
        # known nowhere
        ({"h1": BARE, "h2": BARE}, [], {"h1": 1, "h2": 1}),
        # in the history, or on a host: then by the number that another ops machine gave it
        ({"h1": BARE, "h2": BARE}, [replace(release(2), number=5)], {"h1": 5, "h2": 5}),
        (
            {"h1": host(slot("blue", replace(release(2), number=7))), "h2": BARE},
            [],
            {"h1": 7, "h2": 7},
        ),
        # something else has numbers already
        ({"h1": host(slot("blue", release(9))), "h2": BARE}, [release(4)], {"h1": 10, "h2": 10}),
    ],
)
def test_a_release_has_one_number_in_a_fleet(
    hosts: dict[str, HostFacts], known: list[Release], expected: dict[str, int]
) -> None:
    wanted = {name: Wanted("deploy", replace(release(2), number=0)) for name in hosts}
    found = numbered(wanted, known, hosts.values())
    assert {name: each.release.number for name, each in found.items()} == expected


def test_hosts_that_differ_in_devices_get_releases_of_their_own() -> None:
    cuda = replace(release(2), accelerator="cuda")
    wanted = {"h1": Wanted("deploy", release(2)), "h2": Wanted("deploy", cuda)}
    found = numbered(wanted, [], [])
    assert [each.release.number for each in found.values()] == [1, 2]
