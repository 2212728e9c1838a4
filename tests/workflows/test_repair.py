"""Damaged files of hosts: named, never in the way of a look, and made anew; and changes from every state of a host."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.world import GB, Killed, World, release
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.deployment.release import OpenDeployment
from toolkit.domain.hosts.facts import HostFacts, ProcessState, SlotFacts
from toolkit.domain.registry.model import Registry
from toolkit.errors import HostError, InputError, RefusedError
from toolkit.planning.change.rollout import Limits
from toolkit.planning.routing.keys import with_key
from toolkit.workflows.change.repair import Repair, repair
from toolkit.workflows.fleet.status import observe_fleet

LOST = ("router/routes.json",)


def repaired(world: World) -> Repair:
    return repair(world.command(), lambda _: True)


def status_drift(world: World) -> list[str]:
    def no_registry() -> Registry:
        raise InputError("there is no registry")

    return list(observe_fleet(list(world.hosts.values()), world.history, no_registry).drift)


def test_routes_that_no_host_has_are_made_from_the_slots(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    before = {name: world.routes(name) for name in world.hosts}
    serving = world.serving()
    for each in world.hosts.values():
        each.files["routes.json"] = '{"routes": ['
    assert len(status_drift(world)) == world.count
    for change in (lambda: world.deploy(release(3)), world.rollback, world.stop):
        with pytest.raises(RefusedError, match="cannot be read") as caught:
            change()
        assert caught.value.hint == "toolkit repair"
    assert set(repaired(world).damaged.values()) == {LOST}
    assert world.serving() == serving
    for name in world.hosts:
        assert [each.targets for each in world.routes(name).routes] == [
            each.targets for each in before[name].routes
        ]
    assert status_drift(world) == []
    assert not world.deploy(release(2)).changed
    world.rollback()
    assert set(world.serving().values()) == {"v1"}


def test_one_host_without_routes_gets_those_of_the_others_with_any_change(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.hosts["gpu2"].files["routes.json"] = ""
    assert fleet.deploy(release(1)).states == {} or fleet.routes("gpu2") == fleet.routes("gpu1")
    assert fleet.routes("gpu2") == fleet.routes("gpu1")
    fleet.hosts["gpu2"].files["routes.json"] = "["
    repaired(fleet)
    assert fleet.routes("gpu2") == fleet.routes("gpu1")


def test_damaged_keys_come_back_from_the_other_hosts(fleet: World) -> None:
    ring = with_key(KeyRing(), "ann", "k" * 40, now=1.0)
    fleet.deploy(release(1))
    for each in fleet.hosts.values():
        each.ring = ring
    fleet.hosts["gpu2"].ring = KeyRing()
    fleet.see("gpu2", damaged=("router/keys.json",))
    repaired(fleet)
    assert fleet.hosts["gpu2"].ring == ring
    assert fleet.hosts["gpu2"].observe().damaged == ()


def test_a_slot_that_nobody_can_tell_is_emptied_unless_it_has_traffic(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    for each in world.hosts.values():
        kept = tuple(slot for slot in each.facts.slots if slot.slot != "blue")
        each.facts = replace(each.facts, slots=kept, damaged=("slots/tiny-blue/manifest.json",))
    with pytest.raises(RefusedError, match="what runs in the slot is not known"):
        world.deploy(release(3))
    repaired(world)
    assert all("replica absent tiny-blue" in each.events for each in world.hosts.values())
    world.see(damaged=("slots/tiny-green/manifest.json",))
    with pytest.raises(HostError, match="the slot has traffic") as caught:
        repaired(world)
    assert "toolkit stop tiny" in caught.value.hint + caught.value.message


@pytest.mark.parametrize("path", ["deployment.json", "deployments/r1.json"])
def test_a_record_of_a_deployment_that_nobody_can_read_is_forgotten(
    world: World, path: str
) -> None:
    world.deploy(release(1))
    world.see(damaged=(path,))
    assert status_drift(world)
    assert set(repaired(world).damaged.values()) == {(path,)}
    assert status_drift(world) == []
    assert set(world.serving().values()) == {"v1"}


def test_a_record_whose_deployment_this_history_knows_is_left_to_the_next_deploy(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.deploy(release(1))
    world.raise_at("wait tiny-green", Killed)
    with pytest.raises(Killed):
        world.deploy(release(2))
    world.go_on()
    world.see(damaged=("deployment.json",))
    repaired(world)
    assert world.host.opened is not None
    world.deploy(release(2))
    assert (world.serving(), status_drift(world)) == ({"gpu1": "v2"}, [])


def test_a_slot_that_may_serve_is_left_alone_where_the_routes_are_lost_too(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    for each in world.hosts.values():
        kept = tuple(slot for slot in each.facts.slots if slot.slot != "green")
        each.facts = replace(each.facts, slots=kept, damaged=("slots/tiny-green/manifest.json",))
        each.files["routes.json"] = "["
        each.events.clear()
    with pytest.raises(RefusedError, match="whether the slot has traffic is not known") as caught:
        repaired(world)
    assert caught.value.hint.endswith("then toolkit repair")
    for each in world.hosts.values():
        assert each.files["routes.json"] == "["
        assert not any("replica absent" in event for event in each.events)


def test_a_host_that_is_away_is_named_and_the_others_are_repaired(fleet: World) -> None:
    fleet.deploy(release(1))

    def away() -> None:
        raise HostError("gpu3: no route to host")

    fleet.hosts["gpu3"].observe = away  # type: ignore[method-assign, assignment]
    fleet.hosts["gpu1"].files["routes.json"] = "["
    with pytest.raises(HostError, match="gpu3"):
        repaired(fleet)
    assert fleet.routes("gpu1") == fleet.routes("gpu2")


def _scramble(world: World, dice: random.Random) -> None:
    """Bring each host into a state of its own, such as half-done work of any kind may leave."""
    slots_of = {"blue": 8100, "green": 8101}
    for name, each in world.hosts.items():
        slots = []
        for slot, port in slots_of.items():
            number = dice.choice([0, 1, 2, 3])
            if not number:
                continue
            state = dice.choice(list(ProcessState))
            runs = state is ProcessState.RUNNING
            held = release(number) if dice.random() < 0.9 else None
            slots.append(
                SlotFacts(
                    "tiny", slot, port, held, process=state, healthy=runs and dice.random() < 0.7,
                    memory=3 * GB if runs else 0, started_at=0.0,
                )
            )  # fmt: skip
        facts = replace(each.facts, slots=tuple(slots))
        if dice.random() < 0.4:
            facts = replace(facts, converged=dice.choice(["", "base-0"]), engines=(), snapshots=())
        each.facts = facts
        if dice.random() < 0.3:
            each.files.clear()
        if dice.random() < 0.5:
            known = [release(number) for number in dice.sample([1, 2, 3], 2)]
            previous = dice.choice([known[1], None])
            action = dice.choice(["deploy", "rollback", "stop"])
            each.opened = OpenDeployment(
                dice.choice(["r1", f"r-{name}"]), action, "tiny", dice.choice(["blue", "green"]),
                "bob@ops2", None if action == "stop" else known[0], previous, dice.random() < 0.5, 1.0,
            )  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_one_deploy_leads_out_of_every_state(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    world = World(
        tmp_path, dice.choice([1, 3, 3]), limits=Limits(serial=dice.choice([1, 3]), keep=0)
    )
    if dice.random() < 0.8:
        world.deploy(release(1))
    if dice.random() < 0.5:
        world.deploy(release(2))
    _scramble(world, dice)
    if any(each.observe().damaged for each in world.hosts.values()):
        repaired(world)
    world.deploy(release(3))
    assert set(world.serving().values()) == {"v3"}, seed
    assert world.history.unfinished() == []
    assert not any(each.opened for each in world.hosts.values())
    assert not world.deploy(release(3)).changed
    world.stop()
    assert world.serving() == {}
    world.history.close()


COPY = "bin/hostside-0123456789abcdef"


def test_damaged_copies_of_the_hosts_side_are_placed_anew(world: World) -> None:
    world.deploy(release(1))
    world.see(changed_files=(f"{COPY} was changed",))
    assert len(status_drift(world)) == world.count
    found = repaired(world)
    assert found.damaged == dict.fromkeys(world.hosts, (COPY,))
    assert status_drift(world) == []
    assert all("renew program" in each.events for each in world.hosts.values())
    assert repaired(world).damaged == {}
    assert all("renew program" not in each.events for each in world.hosts.values())


def test_a_host_whose_program_does_not_run_is_repaired_first(world: World) -> None:
    world.deploy(release(1))
    broken = world.host
    observe, renew = broken.observe, broken.renew_program

    def damaged() -> HostFacts:
        raise HostError(
            f"{broken.name}: the toolkit's program there is damaged", hint="toolkit repair"
        )

    def renewed(names: Sequence[str]) -> None:
        renew(names)
        broken.observe = observe  # type: ignore[method-assign]

    broken.observe, broken.renew_program = damaged, renewed  # type: ignore[method-assign]
    found = repaired(world)
    assert found.damaged == {broken.name: ("the host's side of the toolkit",)}
    assert found.unreachable == {}
