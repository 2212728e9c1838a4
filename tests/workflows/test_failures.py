"""How failures are told: the same fault has the same kind, hint and exit code on one host and on three."""

from __future__ import annotations

import pytest

from tests.workflows.world import FakeSupplies, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.domain.deployment.release import Release
from toolkit.errors import CalledOffError, HostError, IntegrityError, ReleaseFailedError


class Tampered(FakeSupplies):
    """A store in which a file is not the one that was pinned."""

    def verify(self, release: Release) -> None:
        raise IntegrityError("w.safetensors is not as pinned", hint="toolkit pull tiny")


def test_a_file_that_differs_is_an_integrity_error_on_any_number_of_hosts(world: World) -> None:
    world.given["supplies"] = Tampered
    with pytest.raises(IntegrityError) as caught:
        world.deploy(release(1))
    assert (caught.value.exit_code, caught.value.hint) == (6, "toolkit pull tiny")
    assert "w.safetensors is not as pinned" in caught.value.message
    assert world.serving() == {}
    assert world.unfinished() == set()


def test_files_that_changed_on_a_host_are_not_served(world: World) -> None:
    world.deploy(release(1))
    for host in world.hosts.values():
        host.damaged[release(2).snapshot] = ("w.safetensors: not what was pinned",)
    with pytest.raises(IntegrityError) as caught:
        world.deploy(release(2))
    assert caught.value.exit_code == 6
    assert "w.safetensors: not what was pinned" in caught.value.message
    said = f"{caught.value.message} {caught.value.hint}"
    assert "toolkit verify --repair, and toolkit deploy tiny@v2" in said
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert not any(event.startswith("replica started tiny-green") for event in world.events)


def test_a_rollback_that_must_start_again_looks_at_the_files_too(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2), standby=False)
    for host in world.hosts.values():
        host.damaged[release(1).snapshot] = ("w.safetensors: not what was pinned",)
    with pytest.raises(IntegrityError):
        world.rollback()
    assert ("green", "v2", "healthy", 100) in world.table()


def test_a_release_that_fails_keeps_the_hint_to_its_log(world: World) -> None:
    world.deploy(release(1))
    world.behave("v2", Behaviour.DIES_AT_START)
    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(release(2))
    assert caught.value.exit_code == 8
    assert caught.value.hint.startswith("toolkit logs tiny --slot green")


def test_a_sole_host_that_fails_among_three_keeps_its_own_error(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.behave("v2", Behaviour.EMPTY, "gpu2")
    with pytest.raises(ReleaseFailedError) as caught:
        fleet.deploy(release(2))
    assert caught.value.message.startswith("gpu2: tiny #2 (v2) did not pass its gate")
    assert caught.value.hint.startswith("toolkit logs tiny --slot green")


def test_different_failures_are_listed_each_with_its_hint(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.behave("v2", Behaviour.EMPTY, "gpu1")

    def lost(event: str) -> None:
        if event.startswith("wait"):
            raise HostError("gpu2: no route to host", hint="toolkit hosts")

    fleet.hosts["gpu2"].before = lost
    with pytest.raises(ReleaseFailedError) as caught:
        fleet.deploy(release(2), fleet.limits.__class__(serial=2, max_failures=1))
    assert "gpu2: no route to host\n    hint: toolkit hosts" in caught.value.message
    assert "gpu1: tiny #2 (v2) did not pass its gate" in caught.value.message
    assert "hint: toolkit logs tiny --slot green" in caught.value.message
    assert set(caught.value.hosts) == {"gpu1", "gpu2"}


def test_what_another_host_called_off_is_no_failure_of_its_own(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.behave("v2", Behaviour.DIES_AT_START, "gpu2")
    with pytest.raises(ReleaseFailedError) as caught:
        fleet.deploy(release(2), fleet.limits.__class__(serial=3))
    assert set(caught.value.hosts) == {"gpu2"}
    assert not isinstance(caught.value, CalledOffError)
    reasons = {each.host: each.reason for each in fleet.history.deployments("tiny")[:3]}
    assert reasons["gpu1"].startswith(
        ("not carried out, because gpu2 failed", "another host of its batch failed")
    )


def test_a_host_that_does_not_answer_is_one_error_on_any_number_of_hosts(world: World) -> None:
    def observe() -> None:
        raise HostError("ssh: no route to host", hint="toolkit doctor")

    for each in world.hosts.values():
        each.observe = observe  # type: ignore[method-assign, assignment]
    with pytest.raises(HostError) as caught:
        world.deploy(release(1))
    assert (caught.value.exit_code, caught.value.hint) == (7, "toolkit doctor")
    with pytest.raises(HostError, match="no route to host"):
        world.stop()
