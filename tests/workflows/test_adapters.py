"""LoRA adapters of a running model: added, upgraded and removed without a restart, on one host and on three.

The fixture `world` has one host, and in a second run three.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.rendered import render_files
from tests.workflows.world import Killed, World, release
from toolkit.domain.deployment.release import Release, ReleaseAdapter
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import Verdict
from toolkit.domain.registry.release_parts import Check
from toolkit.errors import ToolkitError
from toolkit.planning.change.rollout import Limits

ARGS = ("--served-model-name", "tiny", "--enable-lora", "--max-loras", "4", "--max-lora-rank", "16")
ALL = Limits(serial=3)


def adapter(name: str, number: int) -> ReleaseAdapter:
    """Return the adapter `name` with the weights `number`."""
    digest = f"{0xAD00 + number:x}".ljust(64, "0")
    return ReleaseAdapter(
        name, f"acme/{name}", digest[:8] + digest[:32], digest, (Check("hi", max_tokens=8),)
    )


def base(number: int, *adapters: ReleaseAdapter, version: str = "v1") -> Release:
    """Return release `number`, whose replica reserves room for adapters."""
    return replace(
        release(number, version), args=ARGS, adapters=adapters, snapshot="5" * 64, revision="5" * 40
    )


SQL, SQL_2, LAW = adapter("sql", 1), adapter("sql", 2), adapter("law", 3)


def names(world: World) -> set[tuple[str, ...]]:
    """Return the adapters that each host's router leads to replicas."""
    found = set()
    for name in world.hosts:
        route = world.routes(name).of("tiny")
        found.add(route.adapters if route else ())
    return found


def engines(world: World) -> list[dict[str, str]]:
    """Return what the serving replica of each host has loaded, by name, without how it is spelt in the engine."""
    return [
        each.adapters.loaded[slot.port]
        for each in world.hosts.values()
        for slot in each.observe().slots
        if slot.weight
    ]


def loaded(*adapters: ReleaseAdapter) -> dict[str, str]:
    return {each.name: each.snapshot for each in adapters}


def starts(world: World) -> list[str]:
    """Return the playbooks that the last command ran on replicas of the first host."""
    return [each for each in world.host.events if each.startswith("wait")]


def held(world: World) -> set[str]:
    """Return the content of each router's map of requests that wait."""
    return {each.files["holds.map"] for each in world.hosts.values()}


def test_a_first_deployment_starts_with_its_adapters_and_asks_each_of_them(world: World) -> None:
    world.deploy(base(1, SQL, LAW))
    assert names(world) == {("law", "sql")}
    assert all(each == loaded(SQL, LAW) for each in engines(world))


def test_a_first_adapter_comes_without_a_restart(world: World) -> None:
    world.deploy(base(1))
    done = world.deploy(base(2, SQL), ALL)
    plans = {(each.strategy, each.steps[-1].reason) for each in done.plan.plans.values()}
    assert plans == {("adapt", "add sql; the replica runs on")}
    assert starts(world) == []
    assert names(world) == {("sql",)}
    assert all(each == loaded(SQL) for each in engines(world))
    assert world.outcomes()[-1] == ("deploy", 2, "live")
    # The slot's files name it, so that a restart after a crash or a reboot loads it too.
    slots = [slot for each in world.hosts.values() for slot in each.facts.slots]
    assert all(slot.release == base(2, SQL) for slot in slots)


def test_a_replica_without_room_for_adapters_is_replaced_and_the_plan_says_why(
    world: World,
) -> None:
    world.deploy(release(1))
    same = {"revision": f"{1:040x}", "snapshot": f"{1:064x}"}
    done = world.deploy(replace(release(2, "v1"), args=ARGS, adapters=(SQL,), **same))
    notes = {note for each in done.plan.plans.values() for note in each.notes}
    assert "the serving replica reserves no room for adapters, so a new one starts" in notes
    assert names(world) == {("sql",)}


def test_an_upgrade_proves_the_new_adapter_beside_the_old_one_and_then_exchanges_it(
    world: World,
) -> None:
    world.deploy(base(1, SQL))
    waiting = []
    for host in world.hosts.values():
        host.adapters.log.clear()
    world.before(
        lambda event: waiting.extend(held(world)) if event == "call in turn" else None,
    )
    world.deploy(base(2, SQL_2), ALL)
    world.go_on()
    assert starts(world) == []
    beside = f"sql@{SQL_2.snapshot[:12]}"
    assert world.host.adapters.log == [
        f"load {beside}",
        f"unload {beside}",
        # Requests that came before the hold have found the former adapter.
        "ask /tokenize",
        "ask /tokenize",
        "unload sql",
        "load sql",
    ]
    # Requests for the name wait while the engine does not know it, and only then.
    assert set(waiting) == {"sql 30\n"}
    assert held(world) == {""}
    assert names(world) == {("sql",)}
    assert all(each == loaded(SQL_2) for each in engines(world))


def test_changed_checks_are_asked_of_the_adapter_that_serves(world: World) -> None:
    world.deploy(base(1, SQL))
    asked = []
    world.before(lambda event: asked.append(event) if event.startswith("complete") else None)
    done = world.deploy(base(2, replace(SQL, checks=(Check("hello", max_tokens=8),))), ALL)
    world.go_on()
    assert {each.steps[-1].reason for each in done.plan.plans.values()} == {
        "check sql again; the replica runs on"
    }
    assert len(asked) == world.count
    assert world.outcomes()[-1] == ("deploy", 2, "live")


def test_changed_checks_that_the_adapter_fails_change_nothing(world: World) -> None:
    world.deploy(base(1, SQL))
    strict = replace(SQL, checks=(Check("hi", contains="NEVER SAID", max_tokens=8),))
    for host in world.hosts.values():
        host.adapters.log.clear()
    with pytest.raises(ToolkitError, match="adapter sql") as caught:
        world.deploy(base(2, strict), ALL)
    assert caught.value.exit_code == 8
    assert world.outcomes()[-1] == ("deploy", 2, "failed")
    assert [each.adapters.log for each in world.hosts.values()] == [[]] * world.count
    slots = [slot for each in world.hosts.values() for slot in each.facts.slots if slot.weight]
    assert all(slot.release == base(1, SQL) for slot in slots)
    # A new version of the base would have failed because of them.
    assert not world.deploy(base(1, SQL)).changed


def test_a_removed_adapter_is_no_longer_routed_when_the_engine_forgets_it(world: World) -> None:
    world.deploy(base(1, SQL, LAW))
    routed = []
    world.before(lambda event: routed.extend(names(world)) if event == "call in turn" else None)
    world.deploy(base(2, SQL), ALL)
    world.go_on()
    assert set(routed) == {("sql",)}
    assert names(world) == {("sql",)}
    assert all(each == loaded(SQL) for each in engines(world))


def test_the_same_again_changes_nothing(world: World) -> None:
    world.deploy(base(1, SQL))
    assert not world.deploy(base(1, SQL)).changed


def test_a_rollback_returns_the_former_adapters_without_a_restart(world: World) -> None:
    world.deploy(base(1, SQL))
    world.deploy(base(2, SQL_2, LAW), ALL)
    world.rollback()
    assert starts(world) == []
    assert names(world) == {("sql",)}
    assert all(each == loaded(SQL) for each in engines(world))
    assert world.outcomes()[-1] == ("rollback", 1, "live")


def test_an_upgrade_of_the_base_takes_the_adapters_along(world: World) -> None:
    world.deploy(base(1, SQL))
    world.deploy(replace(base(2, SQL, version="v2"), snapshot="6" * 64))
    assert set(world.serving().values()) == {"v2"}
    assert names(world) == {("sql",)}


@pytest.mark.parametrize("way", ["broken", "mute"])
def test_a_bad_adapter_gets_no_traffic_and_the_former_one_stays(world: World, way: str) -> None:
    world.deploy(base(1, SQL))
    for host in world.hosts.values():
        getattr(host.adapters, way).add(SQL_2.snapshot)
    with pytest.raises(ToolkitError) as caught:
        world.deploy(base(2, SQL_2), ALL)
    words = "did not load the adapter sql" if way == "broken" else "adapter sql (acme/sql@"
    assert words in caught.value.message
    assert caught.value.exit_code == 8
    assert names(world) == {("sql",)}
    assert all(each == loaded(SQL) for each in engines(world))
    assert world.outcomes()[-1] == ("deploy", 2, "failed")
    assert world.unfinished() == set()
    assert not world.deploy(base(1, SQL)).changed


def test_a_refused_adapter_leaves_the_one_that_serves_untouched(world: World) -> None:
    world.deploy(base(1, SQL))
    for host in world.hosts.values():
        host.adapters.broken.add(SQL_2.snapshot)
        host.adapters.log.clear()
    with pytest.raises(ToolkitError):
        world.deploy(base(2, SQL_2), ALL)
    assert [each.adapters.log for each in world.hosts.values()] == [[]] * world.count


def test_a_bad_adapter_marks_its_release_as_failed_for_schedules(world: World) -> None:
    world.guard = Guard()
    world.deploy(base(1, SQL))
    for host in world.hosts.values():
        host.adapters.mute.add(SQL_2.snapshot)
    with pytest.raises(ToolkitError):
        world.deploy(base(2, SQL_2), ALL)
    failed = [each for each in world.history.gates("tiny") if each.result.verdict is Verdict.FAILED]
    assert {(each.release, each.result.gate) for each in failed} == {(2, "checks")}


def test_a_bad_adapter_on_one_host_returns_all_of_its_batch(fleet: World) -> None:
    fleet.deploy(base(1, SQL))
    fleet.hosts["gpu2"].adapters.broken.add(SQL_2.snapshot)
    with pytest.raises(ToolkitError, match="did not load the adapter sql"):
        fleet.deploy(base(2, SQL_2, LAW), ALL)
    assert names(fleet) == {("sql",)}
    assert all(each == loaded(SQL) for each in engines(fleet))
    assert {each.files["holds.map"] for each in fleet.hosts.values()} == {""}


def test_a_host_that_may_fail_keeps_its_former_adapter_and_the_next_command_brings_it_along(
    fleet: World,
) -> None:
    fleet.deploy(base(1, SQL))
    fleet.hosts["gpu2"].adapters.broken.add(SQL_2.snapshot)
    with pytest.raises(ToolkitError, match="gpu2"):
        fleet.deploy(base(2, SQL_2), Limits(serial=1, max_failures=1))
    assert engines(fleet) == [loaded(SQL_2), loaded(SQL), loaded(SQL_2)]
    assert (names(fleet), held(fleet), fleet.unfinished()) == ({("sql",)}, {""}, set())
    fleet.hosts["gpu2"].adapters.broken.clear()
    fleet.deploy(base(2, SQL_2), Limits(serial=1))
    assert all(each == loaded(SQL_2) for each in engines(fleet))


def test_a_name_is_routed_only_once_every_host_has_its_adapter(fleet: World) -> None:
    fleet.deploy(base(1))
    routed = []
    fleet.before(lambda event: routed.extend(names(fleet)) if event.startswith("load") else None)
    fleet.deploy(base(2, SQL), Limits(serial=1))
    fleet.go_on()
    assert set(routed) == {()}
    assert names(fleet) == {("sql",)}


MOMENTS = (
    f"load sql@{SQL_2.snapshot[:12]}", "complete tiny-blue", "replica started tiny-blue", "routes runtime",
    "call in turn", "drop deployment",
)  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_change_that_is_killed_is_ended_by_the_next_command(world: World, moment: str) -> None:
    world.deploy(base(1, SQL, LAW))
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(base(2, SQL_2), ALL)
    world.go_on()
    world.deploy(base(2, SQL_2), ALL)
    assert all(each == loaded(SQL_2) for each in engines(world))
    assert (names(world), held(world), world.unfinished()) == ({("sql",)}, {""}, set())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_change_can_be_taken_back(world: World, moment: str) -> None:
    world.deploy(base(1, SQL, LAW))
    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(base(2, SQL_2), ALL)
    world.go_on()
    world.deploy(base(1, SQL, LAW), ALL)
    assert all(each == loaded(SQL, LAW) for each in engines(world))
    assert (names(world), held(world), world.unfinished()) == ({("law", "sql")}, {""}, set())


def test_a_replica_that_was_started_again_meanwhile_has_what_its_files_say(world: World) -> None:
    world.deploy(base(1, SQL))
    world.deploy(base(2, SQL_2), ALL)
    for host in world.hosts.values():
        for slot in host.facts.slots:
            assert slot.release
            host.adapters.begin(slot.port, slot.release)
    assert all(each == loaded(SQL_2) for each in engines(world))


def test_an_adapter_is_listed_with_its_base_as_the_parent(world: World) -> None:
    world.deploy(base(1, SQL))
    routes = world.routes(world.host.name)
    files = render_files(routes, world.host.label)
    assert '{"id":"sql","object":"model"' in files["models.json"]
    assert '"root":"sql","parent":"tiny"' in files["models.json"]
    assert files["models.map"] == "tiny model.tiny\nsql model.tiny\n"
