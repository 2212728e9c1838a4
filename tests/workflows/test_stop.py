"""A model is taken out of service on a fleet; Ctrl-C ends that at once, and the next command goes on with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.pace import Pace
from tests.workflows.world import AGES, TIMING, Killed, World, press_ctrl_c, release
from toolkit.adapters.fakes import slots
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import HostError, InputError, InterruptionError, ToolkitError
from toolkit.workflows.change.stop import stop_model


def test_it_is_gone_from_all_hosts(world: World) -> None:
    world.deploy(release(1))
    world.stop()
    assert world.serving() == {}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0] * world.count
    assert world.history.unfinished() == []


def test_homes_outlive_a_release_and_go_with_the_model(world: World) -> None:
    for number in (1, 2, 3):
        world.deploy(release(number))
    assert all(each.homes == {"tiny-blue", "tiny-green"} for each in world.hosts.values())
    world.raise_at("replica absent tiny-blue", Killed)
    with pytest.raises(Killed):
        world.stop()
    world.go_on()
    world.stop()
    assert not any(each.homes for each in world.hosts.values())


def test_ctrl_c_ends_the_wait_for_open_requests(world: World, pace: Pace) -> None:
    world.deploy(release(1))
    pressed: list[float] = []

    def before(event: str) -> None:
        if event == "drain tiny-blue" and not pressed:
            pressed.append(pace())
            press_ctrl_c()
            world.interruption.sleep(AGES)

    world.host.before = before
    with pytest.raises(InterruptionError, match="a change is left open on"):
        world.stop()
    assert pace() - pressed[0] < 5
    world.stop()
    assert world.serving() == {}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0] * world.count
    assert world.history.unfinished() == []


def test_replicas_of_a_host_end_at_once(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    # One after the other they would wait here for each other until the time is over.
    together = {name: threading.Barrier(2, timeout=20) for name in world.hosts}
    for name, host in world.hosts.items():

        def before(event: str, name: str = name) -> None:
            if event.startswith("replica absent"):
                together[name].wait()

        host.before = before
    world.stop()
    assert world.serving() == {}
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0] * world.count
    assert world.outcomes()[-1] == ("stop", 2, "done")


def test_the_double_of_a_host_keeps_changes_of_its_slots_that_come_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    others = slots.others

    def slowly(*given: Any) -> Any:
        found = others(*given)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(slots, "others", slowly)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(world.host.stop, ("tiny-blue", "tiny-green")))
    assert world.host.facts.slots == ()


def test_a_replica_that_does_not_end_keeps_no_other_one(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))

    def before(event: str) -> None:
        if event == "replica absent tiny-green":
            raise HostError("a task failed")

    world.before(before)
    with pytest.raises(HostError, match="a task failed"):
        world.stop()
    assert world.serving() == {}
    assert [[slot.slot for slot in each.facts.slots] for each in world.hosts.values()] == [
        ["green"]
    ] * world.count
    world.go_on()
    world.stop()
    assert [len(each.facts.slots) for each in world.hosts.values()] == [0] * world.count


def stop_on(fleet: World, *named: str) -> None:
    stop_model(fleet.command(), "tiny", lambda _: True, named=named, timing=TIMING)


def silence(fleet: World) -> None:
    def silent() -> HostFacts:
        raise HostError("gpu3: no route to host")

    fleet.hosts["gpu3"].observe = silent  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("having", "named", "error", "message", "hint"),
    [
        pytest.param(
            (), ("gpu1",), HostError,
            "tiny is stopped on gpu1, but not all routers follow:\n  gpu3: unreachable, no route to host",
            "toolkit repair tells all routers their routes, once they answer", id="a host beside it",
        ),
        pytest.param(
            (), (), HostError,
            "tiny is stopped where a host answered:\n  gpu3: unreachable, no route to host",
            "toolkit stop tiny, once they answer", id="a host of all",
        ),
        pytest.param((), ("gpu3",), HostError, "gpu3: no route to host", "", id="the named one"),
        pytest.param(
            (), ("gpu1", "gpu3"), HostError, "gpu3: no route to host", "", id="one of those named",
        ),
        pytest.param(
            ("gpu3",), (), HostError,
            "tiny is not deployed on any host that answers:\n  gpu3: unreachable, no route to host",
            "toolkit stop tiny, once they answer", id="the only one that has it",
        ),
        pytest.param(
            ("gpu2",), ("gpu1",), InputError, "tiny is not deployed on any of these hosts",
            "toolkit status", id="named ones without it",
        ),
    ],
)  # fmt: skip
def test_a_silent_host_is_told_as_what_it_is(
    fleet: World,
    having: tuple[str, ...],
    named: tuple[str, ...],
    error: type[ToolkitError],
    message: str,
    hint: str,
) -> None:
    fleet.deploy(release(1), named=having)
    silence(fleet)
    with pytest.raises(error) as caught:
        stop_on(fleet, *named)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_what_failed_on_a_named_host_goes_on_there_alone(fleet: World) -> None:
    fleet.deploy(release(1))

    def failing(why: str) -> Callable[[str], None]:
        def before(event: str) -> None:
            if event == "drain tiny-blue":
                raise HostError(why)

        return before

    fleet.hosts["gpu1"].before = failing("no space left")
    fleet.hosts["gpu2"].before = failing("the connection was closed")
    with pytest.raises(HostError) as caught:
        stop_on(fleet, "gpu1", "gpu2")
    assert caught.value.hint == (
        "toolkit status; toolkit stop tiny --host gpu1 --host gpu2 goes on with it"
    )
