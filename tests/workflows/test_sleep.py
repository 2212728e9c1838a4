"""A model falls asleep and wakes on all of its hosts; nothing else takes it for a fault, or changes it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.world import GB, TIMING, Killed, World, release
from toolkit.cli.views.sleep_rule import sleep_lines
from toolkit.cli.views.slot import state_words
from toolkit.domain.deployment.schedule import SleepRule
from toolkit.domain.registry.model import Policy, Registry
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.errors import (
    HostError,
    InputError,
    NothingSuitableError,
    RefusedError,
    ToolkitError,
)
from toolkit.planning.change.drift import drift_of
from toolkit.planning.change.sleep import alternates_of
from toolkit.planning.routing.edits import with_wake
from toolkit.planning.routing.files import render_files
from toolkit.planning.routing.routes import Alternate, Routes
from toolkit.planning.upkeep.diagnosis import Level, diagnose_host
from toolkit.planning.upkeep.events import events_of
from toolkit.workflows.change.sleep import Slept, Turns, put_to_sleep, wake
from toolkit.workflows.fleet.status import observe_fleet

POLICY = WhenAsleep.WAIT


def fall_asleep(world: World, policy: WhenAsleep = POLICY, *, yes: bool = True) -> Slept:
    return put_to_sleep(world.command(), "tiny", policy, lambda _: yes, TIMING)


def get_up(world: World) -> Slept:
    return wake(world.command(), "tiny", TIMING, lambda _: True)


def words(world: World) -> list[str]:
    return [state_words(slot) for each in world.hosts.values() for slot in each.observe().slots]


def test_it_sleeps_and_wakes_with_its_standby_on_all_hosts(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    before, routes = world.table(), world.routes(world.host.name).of("tiny")
    assert fall_asleep(world).plan.changes
    asleep = world.routes(world.host.name).of("tiny")
    assert (
        asleep
        and asleep.sleep
        and [each.weight for each in asleep.targets] == [0] * len(asleep.targets)
    )
    assert (asleep.sleep.policy, asleep.hold) == ("wait", 120)
    assert set(words(world)) == {"asleep"}
    assert not fall_asleep(world).plan.changes
    done = get_up(world)
    assert (done.plan.changes, done.plan.hosts) == (True, tuple(world.hosts))
    assert world.table() == before
    assert world.routes(world.host.name).of("tiny") == routes
    assert not get_up(world).plan.changes


@pytest.mark.parametrize(("policy", "hold"), [("wait", 120), ("wake", 0), ("refuse", 0)])
def test_its_routes_say_what_requests_get(world: World, policy: str, hold: int) -> None:
    world.deploy(release(1))
    fall_asleep(world, WhenAsleep(policy))
    route = world.routes(world.host.name).of("tiny")
    assert route and route.sleep
    assert (route.sleep.policy, route.hold) == (policy, hold)


def test_a_model_that_wakes_falls_asleep_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy(release(1))
    fall_asleep(world, WhenAsleep.WAKE)
    for each in world.hosts.values():
        # Its start lasts.
        monkeypatch.setattr(each, "_wake", lambda: None)
        waking = with_wake(world.routes(each.name), "tiny", 2000)
        each.apply_routes(render_files(waking, each.label))
    assert set(words(world)) == {"waking"}
    before = world.routes(world.host.name).of("tiny")
    assert fall_asleep(world, WhenAsleep.REFUSE).plan.changes
    after = world.routes(world.host.name).of("tiny")
    assert before and before.sleep and after and after.sleep
    assert after.sleep.id != before.sleep.id
    assert (after.sleep.due, after.sleep.policy, after.hold) == (0, "refuse", 0)
    assert after.targets == before.targets
    assert set(words(world)) == {"asleep"}


def test_what_requests_get_changes_in_a_model_that_sleeps(world: World) -> None:
    def sleep_on(policy: WhenAsleep | None) -> Slept:
        return put_to_sleep(world.command(), "tiny", policy, lambda _: True, TIMING)

    world.deploy(release(1))
    fall_asleep(world)
    before = world.routes(world.host.name).of("tiny")
    plan = sleep_on(WhenAsleep.REFUSE).plan
    assert plan.words == "tiny sleeps on. From now on requests are refused, and do not wake it"
    after = world.routes(world.host.name).of("tiny")
    assert before and before.sleep and after
    assert after == replace(before, hold=0, sleep=replace(before.sleep, policy="refuse"))
    assert not sleep_on(WhenAsleep.REFUSE).plan.changes
    # Who says nothing of it changes nothing.
    assert not sleep_on(None).plan.changes
    assert sleep_on(WhenAsleep.WAIT).plan.changes
    assert world.routes(world.host.name).of("tiny") == before


def test_what_sleeps_is_no_fault(world: World) -> None:
    world.deploy(release(1))
    fall_asleep(world)
    facts = world.host.observe()
    assert drift_of(facts) == ()
    found = {each.subject: each for each in diagnose_host(facts, "base-1")}
    assert (found["tiny blue"].level, found["tiny blue"].words) == (Level.OK, "sleeps")
    (event,) = events_of(world.routes(world.host.name), [facts])
    assert event.startswith("tiny: it sleeps since 1970-01-01")
    assert "a request waits and wakes it" in event


def test_nothing_but_a_stop_changes_a_model_that_sleeps(world: World) -> None:
    world.deploy(release(1))
    fall_asleep(world)
    before = world.routes(world.host.name)
    for change in (lambda: world.deploy(release(2)), world.rollback, lambda: world.rollback(1)):
        with pytest.raises(RefusedError, match="tiny sleeps") as refused:
            change()
        assert refused.value.hint.startswith("toolkit wake tiny")
    assert world.routes(world.host.name) == before
    world.stop()
    assert world.host.facts.slots == ()


def test_who_says_no_and_a_model_that_is_not_there(world: World) -> None:
    with pytest.raises(InputError, match="tiny is not deployed"):
        fall_asleep(world)
    with pytest.raises(InputError, match="tiny is not deployed"):
        get_up(world)
    world.deploy(release(1))
    with pytest.raises(RefusedError, match="not confirmed"):
        fall_asleep(world, yes=False)
    assert set(words(world)) == {"serving"}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"converged": "older"}, "of an older toolkit"),
        ({"watched": False}, "its watch does not run"),
    ],
)
def test_a_host_whose_watch_cannot_do_it_is_told_first(
    world: World, facts: dict[str, object], why: str
) -> None:
    world.deploy(release(1))
    world.see(**facts)
    with pytest.raises(RefusedError, match=why):
        fall_asleep(world)
    assert set(words(world)) == {"serving"}


def test_a_model_without_room_says_who_has_it(world: World) -> None:
    world.deploy(release(1))
    fall_asleep(world)
    world.see(memory_available=GB)
    with pytest.raises(NothingSuitableError, match="tiny cannot wake on gpu1"):
        get_up(world)
    (event,) = events_of(world.routes(world.host.name), [world.host.observe()])
    assert event.endswith("; gpu1 has no room for it now: needs 3 GB of memory, 463 MB free")


@pytest.mark.parametrize("moment", ["routes runtime"])
def test_a_killed_command_is_gone_on_with_by_the_next(world: World, moment: str) -> None:
    world.deploy(release(1))
    for act, state in ((fall_asleep, "asleep"), (get_up, "serving")):
        world.raise_at(moment, Killed)
        with pytest.raises((Killed, ToolkitError)):
            act(world)
        world.go_on()
        for each in world.hosts.values():
            each.owner = each.holder = None
        act(world)
        assert set(words(world)) == {state}
        assert world.history.unfinished() == []


def test_a_replica_that_an_older_toolkit_started_does_not_sleep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy(release(1))
    seen = world.host.observe
    monkeypatch.setattr(
        world.host,
        "observe",
        lambda: replace(
            found := seen(), slots=tuple(replace(each, can_rest=False) for each in found.slots)
        ),
    )
    with pytest.raises(RefusedError, match="was started by an older toolkit, and cannot sleep"):
        fall_asleep(world)


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
        "other takes turns with tiny: one of them is awake, and makes place",
        "tiny takes turns with other: one of them is awake, and makes place",
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
        get_up(two)
    assert late.value.hint == "toolkit sleep other"


def test_a_model_that_sleeps_on_some_hosts_alone_is_put_to_sleep_on_all(fleet: World) -> None:
    fleet.deploy(release(1))
    fall_asleep(fleet)
    before = fleet.routes(fleet.host.name)
    route = before.of("tiny")
    assert route and route.sleep
    (first, *others) = route.targets
    partly = replace(route, targets=(replace(first, weight=100, asleep=""), *others), hold=0)
    for host in fleet.hosts.values():
        routes = Routes((partly,), before.serial + 1)
        host.apply_routes(render_files(routes, host.label))
    (event,) = events_of(Routes((partly,)), [])
    assert event.startswith(
        f"tiny: it sleeps on {', '.join(each.host for each in others if each.asleep)} since"
    )
    assert fall_asleep(fleet).plan.changes
    assert set(words(fleet)) == {"asleep"}
