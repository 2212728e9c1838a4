"""Models take turns on a device: where the operator or the schedule says so, and with whom they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.asleep import POLICY, fall_asleep, get_up
from tests.workflows.world import GB, TIMING, World, release
from toolkit.cli.views.sleep_rule import sleep_lines
from toolkit.domain.deployment.schedule import SleepRule
from toolkit.domain.registry.model import Policy, Registry
from toolkit.errors import HostError, InputError, NothingSuitableError, RefusedError, ToolkitError
from toolkit.planning.change.sleep import alternates_of
from toolkit.planning.routing.routes import Alternate
from toolkit.planning.upkeep.events import events_of
from toolkit.workflows.change.sleep import Slept, Turns, put_to_sleep, wake
from toolkit.workflows.fleet.status import observe_fleet


def take_turns(world: World, *others: str) -> Slept:
    return put_to_sleep(world.command(), "tiny", POLICY, lambda _: True, TIMING, Turns(others))


def add_other(world: World) -> None:
    """Have a replica of another model beside that of tiny."""
    (slot,) = world.host.facts.slots
    world.see(slots=(slot, replace(slot, model="other", port=slot.port + 9)))


@pytest.fixture
def two(tmp_path: Path) -> Iterator[World]:
    """One host with two models."""
    made = World(tmp_path)
    made.deploy(release(1))
    add_other(made)
    yield made
    made.history.close()


def test_models_take_turns_where_the_operator_says_so_also_later(two: World) -> None:
    assert fall_asleep(two).plan.as_json()["in_turn_with"] == []
    plan = take_turns(two, "other").plan
    assert plan.as_json()["in_turn_with"] == ["other"]
    assert plan.words == (
        "tiny sleeps on. Before it wakes, other must have nothing to do, and falls asleep"
    )
    route = two.routes(two.host.name).of("tiny")
    assert route and route.sleep
    assert route.sleep.alternates == (Alternate("other", 60, 180),)
    (event,) = events_of(two.routes(two.host.name), [])
    assert event.endswith("; before it wakes, other must have nothing to do")
    assert not take_turns(two, "other").plan.changes
    # and without a word of it, it stays so
    assert not fall_asleep(two).plan.changes
    assert two.routes(two.host.name).of("tiny") == route
    assert alternates_of("other", two.routes(two.host.name)) == ("tiny",)
    assert alternates_of("tiny", two.routes(two.host.name)) == ("other",)


def test_turns_of_the_schedule_need_no_word_and_wait_for_models_that_come_later(two: World) -> None:
    def sleep(declared: tuple[str, ...]) -> Slept:
        turns = Turns(declared=declared)
        return put_to_sleep(two.command(), "tiny", POLICY, lambda _: True, TIMING, turns)

    assert sleep(("other", "later")).plan.as_json()["in_turn_with"] == ["later", "other"]
    assert not sleep(("other", "later")).plan.changes
    assert alternates_of("later", two.routes(two.host.name)) == ("tiny",)
    assert get_up(two).plan.changes


def test_turns_of_the_schedule_are_none_on_hosts_of_their_own(fleet: World) -> None:
    fleet.deploy(release(1))
    (slot,) = fleet.hosts["gpu1"].facts.slots
    alone = replace(slot, model="other", port=slot.port + 9)
    for name in fleet.hosts:
        fleet.see(name, slots=(alone,) if name == "gpu3" else (slot,))
    done = put_to_sleep(
        fleet.command(), "tiny", POLICY, lambda _: True, TIMING, Turns(declared=("other",))
    )
    assert done.plan.as_json()["in_turn_with"] == []


def test_the_status_says_of_both_models_that_they_take_turns(two: World) -> None:
    def shown() -> tuple[str, ...]:
        found = observe_fleet(
            [two.host], two.history, lambda: Registry({}, Policy(), "")
        ).alternates
        return tuple(
            line for name in found for line in sleep_lines(name, SleepRule(None, found[name]))
        )

    fall_asleep(two)
    assert shown() == ()
    take_turns(two, "other")
    assert shown() == (
        "other takes turns with tiny: one of them is awake, and makes room",
        "tiny takes turns with other: one of them is awake, and makes room",
    )


def test_a_model_needs_no_more_memory_than_those_leave_that_make_place_for_it(two: World) -> None:
    fall_asleep(two)
    tiny, other = two.host.facts.slots
    # 1 GB is free, and 8 once other has ended; tiny needs 3.
    two.see(
        memory_available=8 * GB,
        slots=(tiny, replace(other, memory=7 * GB)),
    )
    with pytest.raises(NothingSuitableError, match="with other left running"):
        get_up(two)
    take_turns(two, "other")
    assert get_up(two).plan.changes


@pytest.mark.parametrize(
    ("other", "error", "why"),
    [
        ("tiny", InputError, "with other models, not with itself"),
        ("third", InputError, "third is not deployed"),
    ],
)
def test_whom_it_cannot_take_turns_with(
    two: World, other: str, error: type[ToolkitError], why: str
) -> None:
    before = two.routes(two.host.name)
    with pytest.raises(error, match=why):
        take_turns(two, other)
    assert two.routes(two.host.name) == before


def on_all_hosts(world: World, model: str, *, without: str = "") -> None:
    """Have a replica of another model beside that of tiny on each host."""
    for host in world.hosts.values():
        (slot, *_) = host.facts.slots_of("tiny")
        if host.name != without:
            beside = replace(slot, model=model, port=slot.port + 9)
            host.facts = replace(host.facts, slots=(*host.facts.slots, beside))


def test_models_of_a_fleet_of_several_hosts_take_turns_too(fleet: World) -> None:
    fleet.deploy(release(1))
    on_all_hosts(fleet, "other")
    assert take_turns(fleet, "other").plan.as_json()["in_turn_with"] == ["other"]
    for name in fleet.hosts:
        route = fleet.routes(name).of("tiny")
        assert route and route.sleep
        assert route.sleep.alternates == (Alternate("other", 60, 180),)


def test_a_host_without_one_of_them_shares_no_device(fleet: World) -> None:
    fleet.deploy(release(1))
    (last,) = list(fleet.hosts)[-1:]
    on_all_hosts(fleet, "other", without=last)
    with pytest.raises(RefusedError, match=f"so they share no device on {last}"):
        take_turns(fleet, "other")


def leave(world: World, *others: str) -> Slept:
    return put_to_sleep(world.command(), "tiny", POLICY, lambda _: True, TIMING, Turns((), others))


def test_turns_end_where_the_operator_says_so(two: World) -> None:
    with pytest.raises(InputError, match="tiny takes no turns with other"):
        leave(two, "other")
    take_turns(two, "other")
    plan = leave(two, "other").plan
    assert plan.words == "tiny sleeps on. It takes no turns any more"
    routes = two.routes(two.host.name)
    assert alternates_of("tiny", routes) == alternates_of("other", routes) == ()
    assert not fall_asleep(two).plan.changes


def test_turns_with_one_end_and_those_with_another_stay(two: World) -> None:
    on_all_hosts(two, "third")
    take_turns(two, "other")
    assert take_turns(two, "third").plan.as_json()["in_turn_with"] == ["other", "third"]
    assert leave(two, "other").plan.as_json()["in_turn_with"] == ["third"]
    assert alternates_of("tiny", two.routes(two.host.name)) == ("third",)


def test_a_model_whose_device_is_busy_says_which_model_has_it(
    two: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_turns(two, "other")
    monkeypatch.setattr(two.host, "_wake", lambda: None)
    with pytest.raises(
        HostError, match="tiny is not up: other has the device of gpu1 and is busy"
    ) as late:
        wake(two.command(), "tiny", replace(TIMING, ready=0), lambda _: True)
    assert late.value.hint == "toolkit sleep other"
