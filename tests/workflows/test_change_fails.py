"""A change that fails or is refused leaves what serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from errno import EMFILE, ENOSPC
from os import strerror
from typing import Any

import pytest

from tests.workflows.world import GB, FakeSupplies, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.converge import FakeConverge
from toolkit.domain.replicas.probe import Completion, LockOwner
from toolkit.errors import (
    BusyError,
    HostError,
    IntegrityError,
    NothingSuitableError,
    ReleaseFailedError,
    ToolkitError,
)


def test_a_frozen_standby_is_refused_and_what_serves_goes_on(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.behave("v1", Behaviour.HANGS)
    with pytest.raises(ReleaseFailedError) as caught:
        world.rollback()
    assert "tiny #1 (v1) stands by and is no good: it hangs" in caught.value.message
    assert caught.value.hint and "toolkit" in caught.value.hint
    # Its host has ended the standby and starts it again.
    assert world.table() == [("blue", "v1", "running", 0), ("green", "v2", "healthy", 100)]
    route = world.routes(world.host.name).of("tiny")
    assert route and {each.slot for each in route.targets if each.standby} == {"blue"}


def test_a_rollback_from_a_release_that_hangs_leaves_no_healthy_standby(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    world.behave("v2", Behaviour.HANGS)
    world.rollback()
    assert world.table() == [("blue", "v1", "healthy", 100), ("green", "v2", "running", 0)]
    assert any("it hangs: 2 requests are open" in each for each in world.said)


def test_an_upgrade_that_hangs_in_its_bake_is_undone(world: World) -> None:
    world.deploy(release(1))
    world.behave("v2", Behaviour.HANGS)
    with pytest.raises(ReleaseFailedError, match="failed under traffic: it hangs"):
        world.deploy(release(2))
    assert world.table() == [("blue", "v1", "healthy", 100)]


@pytest.mark.parametrize(
    ("number", "words", "hint"),
    [
        (
            ENOSPC,
            "the disk takes no more at /home/ops/run/inventory: No space left on device",
            "prune",
        ),
        (EMFILE, "refused something at /home/ops/run/inventory: Too many", "doctor"),
    ],
)
def test_a_change_that_the_ops_machine_cannot_go_on_with_is_undone(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int, words: str, hint: str
) -> None:
    world.deploy(release(1))
    run, told = FakeConverge.run, list[str]()

    def once(converge: FakeConverge, playbook: str, *words: Any) -> None:
        if playbook == "replica" and not told:
            told.append(playbook)
            raise OSError(number, strerror(number), "/home/ops/run/inventory")
        run(converge, playbook, *words)

    monkeypatch.setattr(FakeConverge, "run", once)
    with pytest.raises(ToolkitError) as caught:
        world.deploy(release(2))
    assert words in caught.value.message
    assert hint in str(caught.value.hint)
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert world.outcomes()[-1] == ("deploy", 2, "failed")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (
            Behaviour.DIES_AT_START,
            "did not start: its process ended\n  its log says: ValueError: no such thing",
        ),
        (Behaviour.NEVER_READY, "did not start: it was not ready within 5 s"),
        (Behaviour.EMPTY, "answered nothing"),
        (Behaviour.ERROR, "answered HTTP 500"),
        (
            Behaviour.DIES_SAMPLING,
            "did not pass its gate: asked with temperature, top_p and top_k, it gave no answer",
        ),
        (
            Behaviour.DIES_UNDER_TRAFFIC,
            "failed under traffic: its process ended\n  its log says: EngineDeadError: gone",
        ),
    ],
)
def test_a_bad_version_leaves_the_old_one_serving(
    world: World, behaviour: Behaviour, words: str
) -> None:
    world.deploy(release(1))
    world.behave("v2", behaviour)

    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(release(2))

    assert words in caught.value.message
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert world.outcomes()[-1] == ("deploy", 2, "failed")
    assert words.splitlines()[0] in world.history.deployments("tiny")[0].reason


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        (lambda asked: asked.get("temperature") == 1, "with temperature, top_p and top_k"),
        (lambda asked: "temperature" not in asked, "with the repository's own sampling"),
        (lambda asked: asked.get("stream"), "for a stream"),
        (lambda asked: "prompt" in asked, "with a prompt of 256 tokens"),
    ],
)
def test_a_version_that_fails_one_way_of_asking_takes_no_traffic(
    world: World, fails: Callable[[Mapping[str, Any]], bool], words: str
) -> None:
    world.deploy(release(1))
    complete = world.host.complete

    def failing(port: int, payload: Mapping[str, Any], timeout: float) -> Completion:
        answer = complete(port, payload, timeout)
        return Completion(500, "", error="EngineDeadError") if fails(payload) else answer

    world.host.complete = failing  # type: ignore[method-assign]
    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(release(2))
    assert f"asked {words}, it answered HTTP 500: EngineDeadError" in caught.value.message
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_what_served_before_is_restored_without_the_ways_of_a_new_one(world: World) -> None:
    world.deploy(release(1, memory=15 * GB))
    # In memory it answers nothing but its checks, as a release that the gate of an older toolkit let pass.
    world.behave("v1", Behaviour.DIES_SAMPLING)
    world.behave("v2", Behaviour.DIES_AT_START)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(2, memory=15 * GB))
    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_a_bad_first_version_leaves_no_route_and_no_replica(world: World) -> None:
    world.behave("v1", Behaviour.EMPTY)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(1))

    assert world.table() == []
    assert world.host.observe().routes.get("routes", []) == []


def test_a_swap_that_fails_starts_the_old_one_again(world: World) -> None:
    world.deploy(release(1, memory=15 * GB))
    world.behave("v2", Behaviour.DIES_AT_START)
    with pytest.raises(ReleaseFailedError):
        world.deploy(release(2, memory=15 * GB))

    assert world.table() == [("blue", "v1", "healthy", 100)]


def test_what_never_fits_is_refused_before_anything_happens(world: World) -> None:
    world.deploy(release(1))
    with pytest.raises(NothingSuitableError) as caught:
        world.deploy(release(2, memory=30 * GB))

    assert "needs 30 GB of memory" in caught.value.message
    assert world.events == []


def test_a_host_whose_clock_is_off_gets_nothing_new_whether_it_is_bare_or_provisioned(
    world: World,
) -> None:
    now = 1000.0
    world.see(observed_at=now + 86400)
    with pytest.raises(NothingSuitableError, match="its clock is 24 h 00 min ahead of") as caught:
        world.deploy(release(1))
    assert (world.events, world.outcomes()) == ([], [])
    if world.count == 1:
        assert caught.value.hint.startswith("set it there")
    world.see(observed_at=now)
    world.deploy(release(1))
    world.deploy(release(2))
    world.see(observed_at=now - 86400)
    with pytest.raises(NothingSuitableError, match=r"its clock is 2[34] h \d\d min behind"):
        world.deploy(release(3))
    assert set(world.serving().values()) == {"v2"}
    world.rollback()
    assert set(world.serving().values()) == {"v1"}


def test_a_second_deployment_is_refused_and_says_who_and_what(world: World) -> None:
    world.host.owner = LockOwner("bob@ops2", "toolkit upgrade tiny", 99, since=0.0)
    with pytest.raises(BusyError) as caught:
        world.deploy(release(1))

    assert (
        "bob@ops2 (pid 99) since 1970-01-01 00:00:00 UTC: toolkit upgrade tiny"
        in caught.value.message
    )
    assert world.events == []


def test_a_playbook_that_fails_is_undone(world: World) -> None:
    world.deploy(release(1))
    world.failing = "engine"
    world.see(engines=())
    with pytest.raises(HostError):
        world.deploy(release(2))
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert world.outcomes()[-1] == ("deploy", 2, "failed")


@pytest.mark.parametrize("damaged", [True, False])
def test_packages_are_hashed_where_an_installation_failed(
    world: World, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    asked: list[str] = []

    def recheck(_: object, engine: str) -> bool:
        asked.append(engine)
        return damaged

    monkeypatch.setattr(FakeSupplies, "recheck_engine", recheck)
    world.see(engines=())
    world.failing = "engine"
    with pytest.raises(IntegrityError if damaged else HostError) as caught:
        world.deploy(release(1))
    assert asked == [release(1).engine] * world.count
    if damaged:
        assert "on this machine are damaged, and were removed: " in caught.value.message
    world.failing = ""
    world.deploy(release(1))
    assert len(asked) == world.count
