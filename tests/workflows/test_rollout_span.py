"""A release that two of three hosts run together, on its way through a fleet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from tests.workflows.world import GB, Killed, World, fleet_host, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.store.compiled import CompiledTrees
from toolkit.domain.deployment.release import Release, Span
from toolkit.domain.gates.guard import Guard
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import (
    HostError,
    InputError,
    NothingSuitableError,
    RefusedError,
    ReleaseFailedError,
)
from toolkit.planning.change.rollout import Limits
from toolkit.workflows.change.slot_files import slot_variables


def wide(number: int, memory: int = 3 * GB) -> Release:
    return replace(release(number, memory=memory), span=Span(2))


def held(fleet: World) -> dict[str, set[int]]:
    return {
        name: {slot.release.number for slot in each.facts.slots if slot.release}
        for name, each in fleet.hosts.items()
    }


def test_it_comes_to_as_many_hosts_as_it_takes(fleet: World) -> None:
    done = fleet.deploy(wide(1))
    assert done.plan.batches == (("gpu1", "gpu2"),)
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1"}
    (made,) = done.plan.releases
    assert made.span == Span(2, ("10.0.0.1", "10.0.0.2"), 28000)
    assert not fleet.deploy(wide(1)).changed


def test_an_upgrade_and_a_rollback_stay_on_the_same_hosts_and_in_one_batch(
    fleet: World,
) -> None:
    fleet.deploy(wide(1))
    done = fleet.deploy(wide(2), Limits(serial=1))
    assert done.plan.batches == (("gpu1", "gpu2"),)
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2"}
    assert held(fleet) == {"gpu1": {1, 2}, "gpu2": {1, 2}, "gpu3": set()}
    done = fleet.rollback()
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1"}


def test_when_one_host_fails_both_are_restored(fleet: World) -> None:
    fleet.deploy(wide(1))
    fleet.hosts["gpu2"].behaviour["v2"] = Behaviour.DIES_AT_START
    # even where a failure of one host would be allowed
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(wide(2), Limits(max_failures=1))
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1"}
    assert held(fleet) == {"gpu1": {1}, "gpu2": {1}, "gpu3": set()}


def test_after_a_failed_swap_both_start_what_they_had(fleet: World) -> None:
    fleet.deploy(wide(1, memory=14 * GB))
    for each in ("gpu1", "gpu2"):
        fleet.hosts[each].behaviour["v2"] = Behaviour.EMPTY
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(wide(2, memory=14 * GB))
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1"}
    assert held(fleet) == {"gpu1": {1}, "gpu2": {1}, "gpu3": set()}


def test_a_lost_host_holds_the_other_back(fleet: World) -> None:
    fleet.deploy(wide(1))

    def gone(event: str) -> None:
        raise HostError("gpu2: no route to host")

    lost = fleet.hosts["gpu2"]
    lost.observe = lambda: gone("observe")  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(HostError, match="gpu2"):
        fleet.deploy(wide(2))
    assert held(fleet)["gpu1"] == {1}


def test_a_fleet_that_is_too_small_is_told(tmp_path: Path) -> None:
    fleet = World(tmp_path, count=2)
    with pytest.raises(NothingSuitableError, match="takes 3 hosts together"):
        fleet.deploy(replace(release(1), span=Span(3)))


def test_a_model_on_other_hosts_than_it_needs_is_not_moved_by_itself(fleet: World) -> None:
    fleet.deploy(release(1))
    with pytest.raises(InputError, match="runs on 2 hosts together"):
        fleet.deploy(wide(2))


def readdress(fleet: World) -> None:
    """Give all hosts other addresses, as a person does in the fleet file."""
    numbers = range(1, 4)
    for number, each in zip(numbers, fleet.hosts.values(), strict=True):
        others = tuple(f"10.1.0.{other}" for other in numbers if other != number)
        each.host = replace(each.host, relay_address=f"10.1.0.{number}", peers=others)
    fleet.given["provision_digest"] = "base-2"


TODAY = Span(2, ("10.1.0.1", "10.1.0.2"), 28000)


def spans(fleet: World, number: int) -> set[Span | None]:
    slots = [slot.release for each in fleet.hosts.values() for slot in each.facts.slots]
    return {each.span for each in slots if each and each.number == number}


@pytest.mark.parametrize("carries", [False, True], ids=["", "carries what was compiled"])
@pytest.mark.parametrize("memory", [3 * GB, 14 * GB], ids=["beside", "swap"])
def test_an_upgrade_takes_the_addresses_of_today(
    fleet: World, tmp_path: Path, memory: int, carries: bool
) -> None:
    if carries:
        fleet.given["compiled"] = CompiledTrees(tmp_path)
    fleet.deploy(wide(1, memory))
    readdress(fleet)
    fleet.deploy(wide(2, memory))
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2"}
    assert spans(fleet, 2) == {TODAY}
    # Its former replica runs with the addresses of its start, so it is started anew where it does not stand by.
    fleet.rollback()
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1"}
    fleet.stop()
    assert held(fleet) == {"gpu1": set(), "gpu2": set(), "gpu3": set()}
    assert fleet.history.unfinished() == []


def test_the_same_version_again_starts_at_the_addresses_of_today(fleet: World) -> None:
    fleet.deploy(wide(1))
    readdress(fleet)
    done = fleet.deploy(wide(1))
    assert [each.span for each in done.plan.releases] == [TODAY]
    assert not fleet.deploy(wide(1)).changed


def test_a_failed_swap_after_a_change_of_addresses_is_undone(fleet: World) -> None:
    fleet.deploy(wide(1, memory=14 * GB))
    readdress(fleet)
    for each in ("gpu1", "gpu2"):
        fleet.hosts[each].behaviour["v2"] = Behaviour.EMPTY
    with pytest.raises(ReleaseFailedError):
        fleet.deploy(wide(2, memory=14 * GB))
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1"}
    assert spans(fleet, 1) == {TODAY}
    assert fleet.history.unfinished() == []


def test_a_rollback_to_a_release_on_other_hosts_comes_to_those_of_today(fleet: World) -> None:
    fleet.deploy(wide(1))
    fleet.stop()
    fleet.deploy(wide(2), named=("gpu2", "gpu3"))
    fleet.rollback(1)
    assert fleet.serving() == {"gpu2": "v1", "gpu3": "v1"}


@pytest.mark.parametrize("name", ["gpu2", "gpu3"])
def test_a_host_without_a_part_that_cannot_be_locked_keeps_no_other_from_going_back(
    fleet: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fleet.deploy(wide(1))
    fleet.deploy(wide(2))

    def lock(_: object) -> NoReturn:
        raise HostError(f"{name}: lock: Read-only file system", hint="look there with dmesg")

    monkeypatch.setattr(fleet.hosts[name], "lock", lock)
    with pytest.raises(HostError, match=f"{name}: lock: Read-only"):
        fleet.rollback()
    back = "v1" if name == "gpu3" else "v2"
    assert fleet.serving() == {"gpu1": back, "gpu2": back}


def test_a_host_without_a_part_in_the_release_does_not_start_it() -> None:
    elsewhere = replace(release(1), span=TODAY)
    with pytest.raises(RefusedError) as caught:
        slot_variables(HostFacts("gpu1", 0.0), fleet_host(1, 3), elsewhere, "blue", 8100, ())
    assert caught.value.message == (
        "tiny #1 (v1) runs on the hosts at 10.1.0.1 and 10.1.0.2, and gpu1 is at 10.0.0.1"
    )
    assert caught.value.hint == "toolkit deploy tiny@v1 starts it at today's addresses"


def test_a_killed_swap_that_one_host_gave_back_completes_on_none_of_its_hosts(
    tmp_path: Path,
) -> None:
    fleet = World(tmp_path, 3, limits=Limits(keep=0), guard=Guard(bake=30))
    fleet.deploy(wide(1, memory=14 * GB))
    fleet.raise_at("guard bake tiny", Killed)
    with pytest.raises(Killed):
        fleet.deploy(wide(2, memory=14 * GB))
    # The lease has ended on both: one has withdrawn its part, and the other has seen that nothing else is left.
    fleet.leave_alone("gpu1", "gpu3")
    last = fleet.hosts["gpu2"]
    last.owner = last.holder = None
    last.guards.look("tiny", leased=False)
    parts = [fleet.hosts[name].guards.facts["tiny"] for name in ("gpu1", "gpu2")]
    assert [bool(each.withdrawn) for each in parts] == [True, False]
    fleet.deploy(wide(1, memory=14 * GB))
    assert held(fleet) == {"gpu1": {1}, "gpu2": {1}, "gpu3": set()}
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1"}
    fleet.history.close()
