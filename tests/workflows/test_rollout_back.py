"""A rollback of a fleet: which release each host goes back to, in which order, and what keeps none from it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from tests.workflows.world import Killed, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.errors import HostError, NothingSuitableError, ReleaseFailedError
from toolkit.workflows.change import rendezvous


def silent(_: object) -> None:
    raise HostError("gpu1: no route to host")


def test_a_rollback_after_a_half_done_upgrade_leaves_the_hosts_that_never_changed(
    fleet: World,
) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    fleet.behave("v3", Behaviour.DIES_AT_START, "gpu2")
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(release(3))
    assert fleet.serving() == {"gpu1": "v3", "gpu2": "v2", "gpu3": "v2"}
    done = fleet.rollback()
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}
    assert done.plan.batches == (("gpu1",),)
    # its own router follows, and nothing else happens there
    assert fleet.hosts["gpu2"].events == ["routes runtime"]
    # the next one goes back further, on all of them
    fleet.rollback()
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}


def test_a_rollback_that_stopped_midway_goes_on(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    for each in fleet.hosts.values():
        each.kill("tiny-blue")
    fleet.behave("v1", Behaviour.DIES_AT_START, "gpu2")
    with pytest.raises(ReleaseFailedError):
        fleet.rollback()
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v2", "gpu3": "v2"}
    with pytest.raises(ReleaseFailedError):
        fleet.rollback()
    fleet.behave("v1", Behaviour.GOOD, "gpu2")
    fleet.rollback()
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}


def test_a_rollback_waits_for_no_host_that_must_start_the_former_release(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    one = fleet.host
    one.kill("tiny-blue")
    one.learn(lambda facts: replace(facts, snapshots=()))
    served: list[str] = []

    def before(event: str) -> None:
        if event.startswith(("place", "wait tiny-blue")):
            served.append(f"{event.split()[0]} {fleet.serving()}")

    one.before = before
    fleet.behave("v1", Behaviour.DIES_AT_START, "gpu1")
    with pytest.raises(ReleaseFailedError, match="gpu1"):
        fleet.rollback()
    others = {"gpu2": "v1", "gpu3": "v1"}
    assert served == [f"{each} { {'gpu1': 'v2', **others} }" for each in ("place", "wait")]
    assert fleet.serving() == {"gpu1": "v2", **others}
    fleet.behave("v1", Behaviour.GOOD, "gpu1")
    fleet.rollback()
    assert fleet.serving() == {"gpu1": "v1", **others}


def test_a_host_that_cannot_go_back_keeps_no_other_from_it(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    first = fleet.host
    first.learn(lambda facts: replace(facts, slots=facts.slots[1:], memory_available=3 * 10**9))
    others = {"gpu2": "v1", "gpu3": "v1"}
    # The second time nothing is left to do elsewhere.
    for target in (None, 1):
        with pytest.raises(
            NothingSuitableError, match="gpu1: tiny v1 does not fit on gpu1"
        ) as caught:
            fleet.rollback(target)
        assert "toolkit rollback tiny --to 1 brings them back" in caught.value.message
        assert fleet.serving() == {"gpu1": "v2", **others}
    first.learn(lambda facts: replace(facts, memory_available=24 * 10**9))
    fleet.rollback(1)
    assert fleet.serving() == {"gpu1": "v1", **others}


@pytest.mark.parametrize("behaviour", [Behaviour.HANGS, Behaviour.EMPTY])
def test_a_standby_that_is_no_good_keeps_no_other_host_from_going_back(
    fleet: World, behaviour: Behaviour
) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    fleet.behave("v1", behaviour, "gpu2")
    others = {"gpu1": "v1", "gpu3": "v1"}
    with pytest.raises(ReleaseFailedError, match="gpu2: tiny #1") as caught:
        fleet.rollback()
    assert "gpu2: restored: tiny #2 (v2)" in caught.value.message
    assert "gpu3: live: tiny #1 (v1)" in caught.value.message
    assert "toolkit rollback tiny, once more, brings the others back" in caught.value.message
    assert fleet.serving() == {**others, "gpu2": "v2"}
    assert fleet.history.unfinished() == []
    fleet.behave("v1", Behaviour.GOOD, "gpu2")
    fleet.rollback()
    assert fleet.serving() == {**others, "gpu2": "v1"}


@pytest.mark.parametrize("behaviour", [Behaviour.HANGS, Behaviour.GOOD])
def test_the_other_hosts_go_back_while_a_standby_does_not_answer(
    fleet: World, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour
) -> None:
    monkeypatch.setattr(rendezvous, "PATIENCE", 0.05)
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    fleet.behave("v1", behaviour, "gpu2")
    served: list[dict[str, str]] = []

    def before(event: str) -> None:
        if event == "probe tiny-blue":
            others = {"gpu1": "v1", "gpu2": "v2", "gpu3": "v1"}
            end = time.monotonic() + 20
            while fleet.serving() != others and time.monotonic() < end:
                time.sleep(0.01)
            served.append(fleet.serving())

    fleet.hosts["gpu2"].before = before
    if behaviour is Behaviour.HANGS:
        with pytest.raises(ReleaseFailedError, match="gpu2: tiny #1"):
            fleet.rollback()
    else:
        fleet.rollback()
    assert served == [{"gpu1": "v1", "gpu2": "v2", "gpu3": "v1"}]
    late = "v1" if behaviour is Behaviour.GOOD else "v2"
    assert fleet.serving() == {"gpu1": "v1", "gpu2": late, "gpu3": "v1"}
    assert fleet.history.unfinished() == []


@pytest.mark.parametrize("named", [(), ("gpu1", "gpu3")])
def test_a_host_whose_change_cannot_be_ended_keeps_no_other_from_going_back(
    fleet: World, named: tuple[str, ...]
) -> None:
    fleet.deploy(release(1))
    second = fleet.hosts["gpu2"]
    fleet.raise_at("wait tiny-green", Killed, "gpu2")
    with pytest.raises(Killed):
        fleet.deploy(release(2))
    fleet.go_on()
    fleet.free()
    second.kill("tiny-blue")
    second.learn(lambda facts: replace(facts, slots=facts.slots[1:]))
    fleet.behave("v1", Behaviour.DIES_AT_START, "gpu2")
    others = {"gpu1": "v1", "gpu3": "v1"}
    with pytest.raises(ReleaseFailedError, match="gpu2: tiny #1"):
        fleet.rollback(named=named)
    assert fleet.serving() == others
    with pytest.raises(ReleaseFailedError, match="gpu2: tiny #1"):
        fleet.deploy(release(1))
    fleet.behave("v1", Behaviour.GOOD, "gpu2")
    fleet.rollback(1)
    assert fleet.serving() == {**others, "gpu2": "v1"}


@pytest.mark.parametrize("number", [None, 1])
def test_only_the_named_hosts_go_back(fleet: World, number: int | None) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    fleet.rollback(number, ("gpu2",))
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v1", "gpu3": "v2"}


def test_a_host_that_cannot_be_locked_keeps_no_other_from_going_back(
    fleet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    second = fleet.hosts["gpu2"]

    def lock(_: object) -> NoReturn:
        raise HostError("gpu2: lock: Read-only file system", hint="look there with dmesg")

    monkeypatch.setattr(second, "lock", lock)
    for named in ((), ("gpu1", "gpu3")):
        with pytest.raises(HostError, match="gpu2: lock: Read-only") as caught:
            fleet.rollback(1, named)
        assert caught.value.hint == "look there with dmesg"
        assert fleet.serving() == {"gpu1": "v1", "gpu2": "v2", "gpu3": "v1"}
    for change in (lambda: fleet.rollback(1, ("gpu2",)), lambda: fleet.deploy(release(3))):
        with pytest.raises(HostError, match="gpu2: lock: Read-only"):
            change()
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v2", "gpu3": "v1"}
    assert fleet.history.unfinished() == []


def test_another_ops_machine_rolls_a_half_done_upgrade_back_without_a_history(
    fleet: World, tmp_path: Path
) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    fleet.behave("v3", Behaviour.DIES_AT_START, "gpu3")
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(release(3))
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other", 3)
    other.hosts = fleet.hosts
    other.rollback()
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}


def test_a_rollback_beside_a_silent_host_does_not_go_further_than_its_own(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    fleet.behave("v3", Behaviour.DIES_AT_START, "gpu2")
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(release(3))
    fleet.hosts["gpu1"].observe = lambda: silent(None)  # type: ignore[assignment, method-assign]
    with pytest.raises(HostError):
        fleet.rollback()
    assert {name: fleet.serving()[name] for name in ("gpu2", "gpu3")} == {
        "gpu2": "v2",
        "gpu3": "v2",
    }
