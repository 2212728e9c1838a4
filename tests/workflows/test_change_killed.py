"""A change that is interrupted, killed or without its lock is undone or ended, and what serves goes on."""

from __future__ import annotations

import pytest

from tests.workflows.world import Killed, World, release
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import (
    HostError,
    InterruptionError,
)
from toolkit.planning.change.rollout import Limits


def test_ctrl_c_is_undone(world: World) -> None:
    world.deploy(release(1))
    world.raise_at("complete tiny-green", KeyboardInterrupt)
    with pytest.raises(InterruptionError) as caught:
        world.deploy(release(2))

    assert caught.value.exit_code == 130
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert world.outcomes()[-1] == ("deploy", 2, "failed")


def press_ctrl_c_at(world: World, moment: str, times: int = 1) -> None:
    """Press Ctrl-C at a moment of the next command, and `times` in all with the operations after it."""
    left, begun = times, False

    def before(event: str) -> None:
        nonlocal left, begun
        begun = begun or event == moment
        if begun and left:
            left -= 1
            raise KeyboardInterrupt

    world.before(before)


def test_ctrl_c_pressed_again_says_what_is_left_open(fleet: World) -> None:
    fleet.deploy(release(1))
    press_ctrl_c_at(fleet, "complete tiny-green", 2)
    with pytest.raises(InterruptionError) as caught:
        fleet.deploy(release(2))
    assert caught.value.message == "interrupted; a change is left open on gpu1"
    assert caught.value.hint == "toolkit status; the next deploy, upgrade, rollback or stop ends it"
    # So does one that comes while a command ends what an earlier one left open.
    for command in (lambda: fleet.deploy(release(1)), fleet.stop):
        press_ctrl_c_at(fleet, "replica absent tiny-green")
        with pytest.raises(InterruptionError, match="a change is left open on gpu1"):
            command()
    fleet.go_on()
    fleet.deploy(release(1))
    assert set(fleet.serving().values()) == {"v1"}


@pytest.mark.parametrize(
    "moment",
    ["place 00000000", "replica started tiny-green", "routes runtime", "watch tiny-green"],
)
def test_a_command_that_lost_its_lock_changes_nothing_more(world: World, moment: str) -> None:
    """Its ops machine was asleep: by now another command holds the hosts, and ends what was begun."""
    world.deploy(release(1))
    bob = LockOwner("bob@ops2", "toolkit deploy tiny", 99)

    def taken(event: str) -> None:
        if event == moment:
            for each in world.hosts.values():
                each.owner = bob

    world.before(taken)
    with pytest.raises(HostError, match="the deployment lock was lost") as caught:
        world.deploy(release(2))
    assert caught.value.hint == "the same command again, here or elsewhere: it ends what was begun"
    for each in world.hosts.values():
        last = each.events.index(moment) if moment in each.events else len(each.events)
        assert each.events[last + 1 :] in ([], ["wait tiny-green"])
        assert each.owner is bob
        each.owner = None
    assert world.unfinished() == {2}
    world.go_on()
    world.deploy(release(2))
    assert set(world.serving().values()) == {"v2"}
    assert world.unfinished() == set()


def test_a_command_that_lost_its_lock_ends_no_record_of_a_later_batch(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.limits = Limits(serial=1)
    bob = LockOwner("bob@ops2", "toolkit deploy tiny", 99)

    def taken(event: str) -> None:
        if event == "replica started tiny-green":
            for each in fleet.hosts.values():
                each.owner = bob

    fleet.before(taken)
    with pytest.raises(HostError, match="the deployment lock was lost"):
        fleet.deploy(release(2))
    assert fleet.unfinished() == {2}


@pytest.mark.parametrize("serial", [1, 3])
def test_a_deployment_that_another_command_has_ended_meanwhile_is_a_lost_lock(
    fleet: World, serial: int
) -> None:
    """The command was stopped (Ctrl-Z) until another terminal had ended its deployments, and then went on."""
    fleet.deploy(release(1))
    fleet.limits = Limits(serial=serial)
    bob = LockOwner("bob@ops2", "toolkit deploy tiny", 99)
    ended: set[str] = set()

    def taken(event: str) -> None:
        if event == "replica started tiny-green":
            for each in fleet.hosts.values():
                each.owner = bob
            for one in fleet.history.unfinished():
                ended.add(one.host)
                fleet.history.end_deployment(one.id, Outcome.UNDONE, "cut short")

    fleet.before(taken)
    with pytest.raises(HostError, match="the deployment lock was lost") as caught:
        fleet.deploy(release(2))
    assert "not restored: the deployment lock was lost" in caught.value.message
    assert ended == set(fleet.hosts)
    assert fleet.unfinished() == set()
    assert fleet.outcomes()[-1] == ("deploy", 2, "undone")


UPGRADE = (
    "place 00000000",
    "replica started tiny-green",
    "wait tiny-green",
    "complete tiny-green",
    "routes runtime",
    "watch tiny-green",
    "drain tiny-blue",
)


@pytest.mark.parametrize("moment", UPGRADE)
def test_sigkill_at_any_step_keeps_serving_and_the_next_command_ends_it(
    world: World, moment: str
) -> None:
    world.deploy(release(1))
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(release(2))

    serving = [row for row in world.table() if row[2] == "healthy" and row[3] == 100]
    assert len(serving) == 1
    assert world.unfinished() == {2}

    shifted = UPGRADE.index(moment) > UPGRADE.index("routes runtime")
    world.go_on()
    result = world.deploy(release(2) if shifted else release(1))

    assert world.unfinished() == set()
    assert world.outcomes()[1] == ("deploy", 2, "live" if shifted else "undone")
    assert not result.changed
    expected = [("blue", "v1", "healthy", 0), ("green", "v2", "healthy", 100)]
    assert world.table() == (expected if shifted else [("blue", "v1", "healthy", 100)])


def test_a_killed_first_deployment_is_undone_and_then_done(world: World) -> None:
    world.raise_at("wait tiny-blue", Killed)
    with pytest.raises(Killed):
        world.deploy(release(1))
    world.go_on()
    world.deploy(release(1))

    assert world.outcomes() == [("deploy", 1, "undone"), ("deploy", 1, "live")]
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_a_killed_rollback_leaves_the_standby_as_it_was(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.raise_at("routes runtime", Killed)
    with pytest.raises(Killed):
        world.rollback()
    world.go_on()
    world.deploy(release(2))

    assert world.table() == [("blue", "v1", "healthy", 0), ("green", "v2", "healthy", 100)]
    assert world.outcomes()[-1] == ("rollback", 1, "undone")


@pytest.mark.parametrize("moment", ["complete tiny-blue", "routes runtime", "drain tiny-green"])
def test_a_rollback_that_was_cut_short_is_ended_by_a_rollback(world: World, moment: str) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.rollback()
    world.go_on()
    world.rollback()

    assert world.table() == [("blue", "v1", "healthy", 100), ("green", "v2", "healthy", 0)]
    assert world.unfinished() == set()


@pytest.mark.parametrize("moment", UPGRADE)
def test_a_rollback_after_a_killed_upgrade_goes_to_the_release_before_it(
    world: World, moment: str
) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    moment = moment.replace("green", "BLUE").replace("blue", "green").replace("BLUE", "blue")
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(release(3))
    world.go_on()
    world.rollback()

    assert set(world.serving().values()) == {"v2"}
    assert world.unfinished() == set()


def test_a_killed_stop_goes_on(world: World) -> None:
    world.deploy(release(1))
    world.raise_at("drain tiny-blue", Killed)
    with pytest.raises(Killed):
        world.stop()
    world.go_on()
    world.deploy(release(1))

    assert world.outcomes() == [("deploy", 1, "live"), ("stop", 1, "done"), ("deploy", 1, "live")]
    assert world.table() == [("blue", "v1", "healthy", 100)]
