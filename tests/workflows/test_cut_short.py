"""A change that was cut short is ended by the next command from anywhere, whatever history that command has."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflows.installed import install_anew
from tests.workflows.world import Killed, World, release
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import HostError, InterruptionError
from toolkit.planning.change.rollout import Limits

BOB = LockOwner("bob@ops2", "toolkit", 2)


def elsewhere(world: World, path: Path) -> World:
    """Return the same hosts as another ops machine with an empty history sees them."""
    path.mkdir()
    other = World(path, world.count, limits=world.limits, given={"owner": BOB})
    other.hosts = world.hosts
    return other


def kept(world: World) -> list[str]:
    """Return the hosts that still keep an open deployment."""
    return [name for name, each in world.hosts.items() if each.observe().open_deployments]


@pytest.mark.parametrize(
    "moment",
    [
        "place 00000000", "replica started tiny-green", "wait tiny-green", "complete tiny-green",
        "routes runtime", "watch tiny-green", "drain tiny-blue", "drop deployment",
    ],
)  # fmt: skip
def test_another_ops_machine_ends_an_upgrade(world: World, tmp_path: Path, moment: str) -> None:
    world.deploy(release(1))
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(release(2))
    assert kept(world)
    world.go_on()
    other = elsewhere(world, tmp_path / "other")
    other.deploy(release(2))
    assert set(world.serving().values()) == {"v2"}
    assert (kept(world), other.unfinished()) == ([], set())
    # The first ops machine closes its record and leaves what the second one made of the hosts.
    other.deploy(release(3))
    assert not world.deploy(release(3)).changed
    assert world.unfinished() == set()
    assert set(world.serving().values()) == {"v3"}
    assert world.history.unfinished() == []


def test_another_ops_machine_restores_what_served(world: World, tmp_path: Path) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.raise_at("wait tiny-blue", Killed)
    with pytest.raises(Killed):
        world.deploy(release(3))
    world.go_on()
    other = elsewhere(world, tmp_path / "other")
    other.rollback()
    assert set(world.serving().values()) == {"v2"}
    ended = other.history.deployments("tiny")
    assert {each.outcome for each in ended if each.release == 3} == {"undone"}
    assert any("deploy tiny by ann@ops was cut short" in words for words in other.said)


def test_another_ops_machine_ends_a_first_deployment_and_a_stop(
    world: World, tmp_path: Path
) -> None:
    world.raise_at("wait tiny-blue", Killed)
    with pytest.raises(Killed):
        world.deploy(release(1))
    world.go_on()
    other = elsewhere(world, tmp_path / "other")
    other.deploy(release(1))
    assert set(world.serving().values()) == {"v1"}
    world.raise_at("drain tiny-blue", Killed)
    with pytest.raises(Killed):
        world.stop()
    world.go_on()
    elsewhere(world, tmp_path / "third").deploy(release(1))
    assert set(world.serving().values()) == {"v1"}
    assert kept(world) == []


def test_a_standby_from_before_the_change_is_left_by_another_ops_machine(
    world: World, tmp_path: Path
) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    before = world.table()
    for moment in ("place 00000000", "routes runtime"):
        world.raise_at(moment, Killed)
        with pytest.raises(Killed):
            world.deploy(release(3)) if moment.startswith("place") else world.rollback()
        world.go_on()
        other = elsewhere(world, tmp_path / moment.replace(" ", ""))
        other.deploy(release(2))
        assert world.table() == before


def test_a_number_that_both_histories_gave_away_does_not_confuse_the_end(
    world: World, tmp_path: Path
) -> None:
    world.deploy(release(1))
    world.raise_at("wait tiny-green", Killed)
    with pytest.raises(Killed):
        world.deploy(release(2, "theirs"))
    world.go_on()
    other = elsewhere(world, tmp_path / "other")
    other.history.add_release(release(2, "ours"))
    other.deploy(release(1))
    assert set(world.serving().values()) == {"v1"}
    assert kept(world) == []


def test_a_host_that_cannot_keep_it_leaves_it_to_the_history(world: World) -> None:
    world.deploy(release(1))
    for each in world.hosts.values():
        each.keep_deployment = lambda *_: False  # type: ignore[method-assign]
    world.raise_at("wait tiny-green", Killed)
    with pytest.raises(Killed):
        world.deploy(release(2))
    world.go_on()
    world.deploy(release(1))
    assert set(world.serving().values()) == {"v1"}
    assert world.outcomes()[1] == ("deploy", 2, "undone")


def test_a_rollback_that_its_host_has_not_heard_the_end_of_is_over(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    for each in world.hosts.values():
        # The link dies at the last word.
        each.drop_deployment = lost  # type: ignore[method-assign]
    world.rollback()
    assert set(world.serving().values()) == {"v1"}
    assert kept(world)
    for each in world.hosts.values():
        del each.drop_deployment  # type: ignore[method-assign]
    # Not that rollback once more, but the next one.
    world.rollback()
    assert set(world.serving().values()) == {"v2"}
    assert (kept(world), world.unfinished()) == ([], set())


def lost(_: str) -> None:
    raise HostError("no route to host")


# Moments by a seed: where a command is cut, how, on which host, and which command comes next.


def _cut(world: World, dice: random.Random, change: Callable[[], object]) -> tuple[str, bool]:
    """Cut `change` at a random operation on a random host; return how, and whether it came to its end."""
    how = dice.choice(["kill", "power", "link", "ctrl-c"])
    victim = dice.choice(list(world.hosts.values()))
    left = dice.randrange(20)
    ended = False

    def before(event: str) -> None:
        nonlocal left, ended
        left -= 1
        if left >= 0 or (how == "ctrl-c" and left < -1):
            return
        # Use is collected when all is done and recorded.
        ended = event == "use"
        if how == "kill":
            raise Killed
        if how == "ctrl-c":
            raise KeyboardInterrupt
        # The host is silent from now on, for this command alone or for all.
        raise HostError(f"{victim.name}: no route to host")

    observe = victim.observe

    def silent() -> None:
        before("observe")
        return observe()  # type: ignore[return-value]

    victim.before = before
    victim.observe = silent  # type: ignore[method-assign, assignment]
    try:
        change()
        ended = True
    except (Killed, HostError, InterruptionError, KeyboardInterrupt):
        pass
    finally:
        victim.before = lambda _: None
        victim.observe = observe  # type: ignore[method-assign]
        if how == "power" and left < 0:
            for slot in victim.facts.slots:
                victim.kill(f"{slot.model}-{slot.slot}")
        world.go_on()
        world.free()
    return how, ended


@pytest.mark.parametrize("seed", [*range(60), 185])
def test_one_next_command_converges_the_fleet(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    limits = Limits(serial=dice.choice([1, 3]), keep=0)
    world = World(tmp_path, dice.choice([1, 3, 3]), limits=limits)
    memory = dice.choice([3, 15]) * 10**9
    first, second = release(1, memory=memory), release(2, memory=memory)
    action = dice.choice(["first", "upgrade", "rollback", "stop", "anew"])
    if action != "first":
        world.deploy(first)
    if action == "anew":
        install_anew(world, dice.choice(list(world.hosts)))
    if action == "rollback":
        world.deploy(second)
    change: dict[str, Callable[[], object]] = {
        "first": lambda: world.deploy(first),
        "upgrade": lambda: world.deploy(second),
        "anew": lambda: world.deploy(second),
        "rollback": world.rollback,
        "stop": world.stop,
    }
    how, ended = _cut(world, dice, change[action])
    actor = elsewhere(world, tmp_path / "other") if dice.random() < 0.5 else world
    # Where a host still keeps the rollback, another ops machine ends that one and goes no further.
    ended = ended and (actor is world or not kept(world))
    following = dice.choice(["same", "deploy"])
    if how == "ctrl-c":
        # The command itself may have ended the change, one way or the other.
        following = "deploy"
    if action == "rollback" and following == "same":
        actor.rollback()
        wanted = {"v2" if ended else "v1"}
    else:
        target = dice.choice([first, second])
        actor.deploy(target)
        wanted = {target.version}
    served = world.serving()
    told = f"seed {seed}: {action} cut by {how}, then {following}"
    assert set(served.values()) == wanted, told
    # A first deployment, and a stop, may have passed a silent host by: then the others have the model.
    passes = action in ("first", "stop") or (action == "anew" and world.count == 1)
    assert set(served) == set(world.hosts) or passes, told
    assert (kept(world), actor.history.unfinished()) == ([], []), told
    assert all(each.owner is None for each in world.hosts.values()), told
    routes = [world.routes(name) for name in world.hosts]
    assert all(each.routes == routes[0].routes for each in routes), told
    # Nothing is left to do.
    if following == "deploy":
        assert not actor.deploy(target).changed, told
    world.history.close()
