"""A second command waits for the first with a bound, and holds nothing meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflows.world import World, release
from toolkit.adapters.patience import Patience
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import BusyError, HostError, ToolkitError

BOB = LockOwner("bob@ops2", "toolkit deploy other", 815, since=1000.0)
HELD = "is held by bob@ops2 (pid 815)"


class Time:
    """A clock that a sleep moves on; `then` is called at each second, with that second."""

    def __init__(self, then: Callable[[float], None] = lambda _: None) -> None:
        self.now, self.then = 0.0, then

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.then(self.now)


def patience(time: Time, seconds: float, said: list[str] | None = None) -> Patience:
    return Patience(
        seconds, time.sleep, (said if said is not None else []).append, lambda: time.now
    )


def test_a_function_that_is_not_busy_is_called_once() -> None:
    time = Time()
    assert patience(time, 60).until_free(lambda: 7) == 7
    assert time.now == 0


def test_one_deadline_holds_for_all_that_is_waited_for() -> None:
    time, said = Time(), list[str]()
    waiting = patience(time, 90, said)

    def busy_until(second: float) -> Callable[[], float]:
        def take() -> float:
            if time.now < second:
                raise BusyError("gpu1 is held", hint="toolkit status")
            return time.now

        return take

    assert waiting.until_free(busy_until(40)) == 40
    with pytest.raises(BusyError) as error:
        waiting.until_free(busy_until(1000))
    assert time.now == 90
    assert error.value.message == "gpu1 is held; waited 1 min 30 s for it"
    assert said == [
        f"waiting for up to {left}: gpu1 is held" for left in ("1 min 30 s", "1 min 00 s", "30 s")
    ]


def test_a_wait_within_a_wait_says_once_how_long_it_was() -> None:
    time = Time()
    waiting = patience(time, 3)
    with pytest.raises(BusyError, match=r"^gpu1 is held; waited 3.0 s for it$"):
        waiting.until_free(lambda: waiting.until_free(_held))


def test_no_patience_waits_for_nothing_and_says_what_it_said_before() -> None:
    time = Time()
    with pytest.raises(BusyError, match=r"^gpu1 is held$"):
        patience(time, 0).until_free(_held)
    assert time.now == 0


def _held() -> None:
    raise BusyError("gpu1 is held")


@pytest.fixture(params=[1, 3], ids=["one host", "three hosts"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    made = World(tmp_path, request.param)
    made.deploy(release(1))
    return made


def last(world: World) -> str:
    return list(world.hosts)[-1]


def hold(world: World, owner: LockOwner | None) -> None:
    world.hosts[last(world)].owner = owner


def test_without_wait_a_held_host_ends_the_command_at_once(world: World) -> None:
    hold(world, BOB)
    with pytest.raises(BusyError, match=r"held by bob@ops2 .*toolkit deploy other") as error:
        world.deploy(release(2))
    assert "--wait 10min" in error.value.hint
    assert (error.value.exit_code, set(world.serving().values())) == (4, {"v1"})


def test_a_deployment_waits_and_plans_from_what_the_other_command_left(world: World) -> None:
    hold(world, BOB)

    def end(second: float) -> None:
        if second == 5:
            hold(world, None)

    time, said = Time(end), list[str]()
    world.given["patience"] = patience(time, 600, said)
    world.deploy(release(2))
    assert time.now == 5
    assert set(world.serving().values()) == {"v2"}
    assert said[0].startswith(f"waiting for up to 10 min 00 s: {last(world)} {HELD}")
    # The plan was shown once, after the wait, and nothing of it had changed under the locks.
    assert len(world.shown) == 2
    assert all(not host.owner for host in world.hosts.values())


def test_at_the_deadline_nothing_was_changed_and_no_host_is_held(world: World) -> None:
    hold(world, BOB)
    world.given["patience"] = patience(Time(), 30)
    for act in (lambda: world.deploy(release(2)), world.rollback, world.stop):
        with pytest.raises(BusyError, match=r"; waited 30 s for it$"):
            act()
    assert [host.owner for host in world.hosts.values()] == [None] * (world.count - 1) + [BOB]
    assert set(world.serving().values()) == {"v1"}


def test_a_host_that_is_taken_after_the_plan_is_waited_for_too(world: World) -> None:
    def taken(plan: object) -> bool:
        hold(world, BOB)
        return True

    time = Time(lambda second: hold(world, None) if second == 3 else None)
    world.given["patience"] = patience(time, 60)
    world.confirm = taken  # type: ignore[method-assign, assignment]
    world.deploy(release(2))
    assert (time.now, set(world.serving().values())) == (3, {"v2"})


def test_an_interruption_ends_the_wait(world: World) -> None:
    hold(world, BOB)

    def pressed(_: float) -> None:
        raise KeyboardInterrupt

    world.given["patience"] = patience(Time(pressed), 600)
    with pytest.raises(KeyboardInterrupt):
        world.deploy(release(2))
    assert set(world.serving().values()) == {"v1"}


def test_another_error_is_not_waited_for(world: World) -> None:
    time = Time()
    waiting = patience(time, 60)

    def fail() -> None:
        raise HostError("gone")

    with pytest.raises(ToolkitError, match="gone"):
        waiting.until_free(fail)
    assert time.now == 0
