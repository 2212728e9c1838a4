"""A model falls asleep and wakes on all of its hosts; nothing else takes it for a fault, or changes it meanwhile."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count

import pytest

from tests.planning.rendered import render_files
from tests.workflows.asleep import fall_asleep, get_up
from tests.workflows.world import GB, TIMING, Killed, World, _Interruption, release
from toolkit.cli.views.slot import state_words
from toolkit.domain.hosts.facts import ProcessState
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.errors import HostError, InputError, NothingSuitableError, RefusedError, ToolkitError
from toolkit.planning.change.drift import drift_of
from toolkit.planning.routing.edits import with_wake
from toolkit.planning.routing.routes import Routes
from toolkit.planning.upkeep.diagnosis import Level, diagnose_host
from toolkit.planning.upkeep.events import events_of
from toolkit.workflows.change.sleep import Slept, put_to_sleep

FAILED = ProcessState.FAILED


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


def test_a_clock_that_is_set_forward_ends_no_wait_for_a_model_that_wakes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy(release(1))
    fall_asleep(world)
    wakes, days = [each._wake for each in world.hosts.values()], count()
    for each in world.hosts.values():
        monkeypatch.setattr(each, "_wake", lambda: None)
    # Each look at the clock is a day later, and the model is up after a while.
    world.given["clock"] = lambda: 86400.0 * next(days)
    monkeypatch.setattr(_Interruption, "sleep", lambda _, seconds: [each() for each in wakes])
    assert get_up(world).plan.changes
    assert set(words(world)) == {"serving"}


def test_a_model_that_counts_as_awake_and_is_down_is_a_failed_wake(world: World) -> None:
    world.deploy(release(1))
    fall_asleep(world)
    for each in world.hosts.values():
        # Its start refuses its files, so the watch gives it back its place.
        ended = tuple(replace(slot, healthy=False, process=FAILED) for slot in each.facts.slots)
        each.facts = replace(each.facts, slots=ended)
    name = world.host.name
    with pytest.raises(HostError, match=f"{name}: blue is not up: its process is failed") as caught:
        get_up(world)
    assert caught.value.hint == "toolkit status; toolkit logs tiny"


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
    found = {each.subject: each for each in diagnose_host(facts, "base-1", facts.observed_at)}
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


def wake_at_one_alone(fleet: World, due: int) -> None:
    """Let a host wake the model of which the others see nothing: its replica was not down yet."""
    before = fleet.routes(fleet.host.name)
    route = before.of("tiny")
    assert route and route.sleep
    targets = tuple(
        replace(each, weight=100, asleep="")
        if each.asleep and each.host == fleet.host.label
        else each
        for each in route.targets
    )
    partly = replace(route, targets=targets, hold=0, sleep=replace(route.sleep, due=due))
    routes = Routes((partly,), before.serial + 2).as_json(fleet.host.label)
    fleet.host.loaded = fleet.host.files["routes.json"] = json.dumps(routes)


def test_a_wake_tells_the_hosts_that_sleep_on_while_another_has_the_model_awake(
    fleet: World,
) -> None:
    fleet.deploy(release(1))
    awake = fleet.routes(fleet.host.name).of("tiny")
    fall_asleep(fleet)
    wake_at_one_alone(fleet, due=1)
    assert words(fleet) == ["serving", "asleep", "asleep"]
    assert get_up(fleet).plan.changes
    assert set(words(fleet)) == {"serving"}
    assert {fleet.routes(name).of("tiny") for name in fleet.hosts} == {awake}


def test_a_wake_tells_nobody_where_all_hosts_wake_already(
    fleet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.deploy(release(1))
    fall_asleep(fleet)
    wakes = [each._wake for each in fleet.hosts.values()]
    for each in fleet.hosts.values():
        monkeypatch.setattr(each, "_wake", lambda: None)
        waking = with_wake(fleet.routes(each.name), "tiny", 2000)
        each.apply_routes(render_files(waking, each.label))
    serials = []

    def wait(_: _Interruption, seconds: float) -> None:
        serials.extend(fleet.routes(name).serial for name in fleet.hosts)
        for act in wakes:
            act()

    before = {fleet.routes(name).serial for name in fleet.hosts}
    monkeypatch.setattr(_Interruption, "sleep", wait)
    assert get_up(fleet).plan.changes
    assert set(serials) == before


def test_a_model_that_one_host_alone_has_awake_falls_asleep_on_all(fleet: World) -> None:
    fleet.deploy(release(1))
    fall_asleep(fleet)
    wake_at_one_alone(fleet, due=1)
    assert fall_asleep(fleet).plan.changes
    assert set(words(fleet)) == {"asleep"}
    assert get_up(fleet).plan.changes
    assert set(words(fleet)) == {"serving"}
