"""What lies between deployments: a host that changes under a release, interrupted work, pruning, verifying."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.store_lab import stored
from tests.workflows.world import Killed, World, release
from toolkit.adapters.history.history import History
from toolkit.adapters.store.store import Store
from toolkit.cli.views.dry_run import DryRun
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.hosts.leftover import Leftover, LeftoverKind
from toolkit.errors import HostError, RefusedError
from toolkit.planning.change.rollout import RolloutPlan
from toolkit.workflows.fleet.prune import Unused, prune
from toolkit.workflows.fleet.verify import compare


def cut_short(world: World, moment: str, number: int = 2) -> None:
    """Kill a deployment at a moment, and let the next command work again."""

    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(release(number))
    world.go_on()


# the host changes under a release


def test_a_provisioning_that_fails_leaves_what_serves_alone(world: World) -> None:
    world.deploy(release(1))
    world.see(converged="base-0")
    world.failing = "provision"
    with pytest.raises(HostError):
        world.deploy(release(1))
    assert world.events == ["provision"]
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert world.outcomes()[-1] == ("deploy", 1, "failed")


def test_a_rollback_after_a_provisioning_goes_to_the_release_before(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2), standby=False)
    world.see(converged="base-0")
    world.deploy(release(2))
    assert world.events == ["provision"]
    world.rollback()
    assert ("blue", "v1", "healthy", 100) in world.table()


def test_a_rollback_after_a_crash_goes_to_the_release_before(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2), standby=False)
    for each in world.hosts.values():
        each.kill("tiny-green")
    world.deploy(release(2))
    assert world.events == [
        "replica started tiny-green", "wait tiny-green", "complete tiny-green", "routes runtime",
    ]  # fmt: skip
    world.rollback()
    assert ("blue", "v1", "healthy", 100) in world.table()


def test_a_replica_in_a_slot_of_another_toolkit_is_upgraded_and_stopped(world: World) -> None:
    world.deploy(release(1))
    for each in world.hosts.values():
        (slot,) = each.facts.slots
        each.facts = replace(each.facts, slots=(replace(slot, slot="red"),))
        each.files["routes.json"] = each.files["routes.json"].replace('"blue"', '"red"')
    world.deploy(release(2))
    assert world.table() == [("blue", "v2", "healthy", 100), ("red", "v1", "healthy", 0)]
    world.stop()
    assert world.table() == []


# interrupted work


def test_a_dry_run_leaves_an_interrupted_deployment_as_it_is(world: World) -> None:
    world.deploy(release(1))
    cut_short(world, "wait tiny-green")

    def dry(plan: RolloutPlan) -> bool:
        world.shown.append(plan)
        raise DryRun

    world.confirm = dry  # type: ignore[method-assign]
    with pytest.raises(DryRun):
        world.deploy(release(1))
    assert world.events == []
    assert world.unfinished() == {2}
    assert [note.partition(":")[0] for note in world.shown[-1].notes] == [
        f"deployment {world.count + number} (deploy tiny by ann@ops) has not ended"
        for number in range(1, world.count + 1)
    ]


def test_no_leaves_an_interrupted_deployment_as_it_is(world: World) -> None:
    world.deploy(release(1))
    cut_short(world, "wait tiny-green")
    world.confirm = lambda plan: False  # type: ignore[method-assign]
    with pytest.raises(RefusedError):
        world.deploy(release(1))
    assert world.events == []


def test_an_interrupted_stop_ends_as_a_stop_does(world: World) -> None:
    world.deploy(release(1))
    world.raise_at("drain tiny-blue", Killed)
    with pytest.raises(Killed):
        world.stop()
    world.go_on()
    world.deploy(release(1))
    assert world.outcomes()[1] == ("stop", 1, "done")


def test_an_orderly_stop_is_done(world: World) -> None:
    world.deploy(release(1))
    world.stop()
    assert world.outcomes() == [("deploy", 1, "live"), ("stop", 1, "done")]


def test_a_stop_that_is_not_confirmed_stops_nothing(world: World) -> None:
    world.deploy(release(1))
    world.events.clear()
    with pytest.raises(RefusedError):
        world.stop(lambda plan: False)
    assert (world.events, world.outcomes()) == ([], [("deploy", 1, "live")])


# prune


def yes(_: Unused) -> bool:
    return True


def test_prune_keeps_what_runs_and_what_a_rollback_needs(world: World, tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        world.deploy(release(number))
    store = Store(tmp_path / "store")
    unused, freed = prune(world.command(), store, frozenset, 3, yes)
    assert {
        name: [digest.lstrip("0") for digest in found.snapshots]
        for name, found in unused.hosts.items()
    } == {name: ["1"] for name in world.hosts}
    assert freed == world.count
    again, freed = prune(world.command(), store, frozenset, 3, yes)
    assert (again.empty, freed) == (True, 0)


def test_prune_removes_nothing_without_a_yes(world: World, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        world.deploy(release(number))
    before = [each.facts for each in world.hosts.values()]
    with pytest.raises(RefusedError):
        prune(world.command(), Store(tmp_path / "store"), frozenset, 0, lambda unused: False)
    assert [each.facts for each in world.hosts.values()] == before


def test_what_comes_into_use_while_prune_asks_stays(world: World, tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        world.deploy(release(number))
    store = Store(tmp_path / "store")
    for name in "ab":
        stored(store, "acme/old", name * 40)
    pinned: list[Snapshot] = []
    other = world.command()

    def meanwhile(shown: Unused) -> bool:
        assert {each.snapshots for each in shown.hosts.values()} == {(f"{1:064x}",)}
        # Another command pins one of the shown snapshots, pins and pulls a new one, and replicas change places.
        pinned.append(store.list()[0].snapshot)
        stored(store, "acme/old", "c" * 40)
        for each in world.hosts.values():
            each.facts = replace(each.facts, snapshots=(*each.facts.snapshots, "f" * 64))
            each.left = [LEFT]
        return True

    unused, _ = prune(other, store, lambda: pinned, 3, meanwhile)
    assert [each.revision for each in unused.stored] == ["b" * 40]
    assert [each.revision for each in store.list()] == ["a" * 40, "c" * 40]
    for each in world.hosts.values():
        assert "f" * 64 in each.facts.snapshots and f"{1:064x}" not in each.facts.snapshots
        assert each.left == [LEFT]


def test_prune_removes_files_of_no_snapshot_that_nothing_pins(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    stored(store, "acme/old", "a" * 40)
    (snapshot,) = [each.snapshot for each in store.list()]
    (blob,) = store.blobs.iterdir()
    content = blob.read_bytes()
    store.remove(snapshot)
    blob.write_bytes(content)
    unused, _ = prune(world.command(), store, tuple, 2, yes)
    assert (unused.empty, blob.exists()) == (True, True)
    monkeypatch.setattr(Store, "free_space", lambda _: 0)
    unused, _ = prune(world.command(), store, lambda: [snapshot], 2, yes)
    assert (unused.empty, blob.exists()) == (True, True)
    unused, _ = prune(world.command(), store, tuple, 2, yes)
    assert [each.path for each in unused.leftovers] == [blob]
    assert not blob.exists()


def test_prune_keeps_what_an_interrupted_deployment_would_go_back_to(
    world: World, tmp_path: Path
) -> None:
    """The old one was stopped for want of memory, so no slot names it any more."""
    world.deploy(release(1, memory=15 * 10**9))
    moment = "replica started tiny-green"

    world.raise_at(moment, Killed)
    with pytest.raises(Killed):
        world.deploy(release(2, memory=15 * 10**9))
    world.go_on()
    unused, _ = prune(world.command(), Store(tmp_path / "store"), frozenset, 0, yes)
    assert unused.empty
    world.deploy(release(1, memory=15 * 10**9))
    assert world.table() == [("blue", "v1", "healthy", 100)]
    assert str(world.history.deployments("tiny")[0].outcome) == Outcome.UNDONE


def test_prune_without_a_history_leaves_the_hosts_and_an_unknown_store_alone(
    world: World, tmp_path: Path
) -> None:
    for number in (1, 2, 3, 4):
        world.deploy(release(number))
    store = Store(tmp_path / "store")
    stored(store, "acme/old", "9" * 40)
    members = world.command()
    (tmp_path / "a-file").touch()
    lost = History(
        tmp_path / "a-file" / "history.db", world.clock, without=lambda _: None, needed=False
    )
    assert lost.fault
    unused, freed = prune(
        [replace(each, history=lost) for each in members], store, frozenset, 0, yes
    )
    assert (unused.empty, freed) == (True, 0)
    assert len(store.list()) == 1
    # With the history it goes, and so do the files of old releases.
    unused, _ = prune(members, store, frozenset, 3, yes)
    assert [each.revision for each in unused.stored] == ["9" * 40]
    assert not store.list()


LEFT = Leftover("engines/.cache", LeftoverKind.INSTALLATION, size=7, age=60.0)


def test_prune_removes_what_was_cut_short_on_hosts(world: World, tmp_path: Path) -> None:
    world.deploy(release(1))
    transfer = replace(LEFT, path="snapshots/.a.partial", kind=LeftoverKind.TRANSFER, of="a")
    running = replace(transfer, path="snapshots/.b.partial", of="b", busy="a transfer is running")
    for each in world.hosts.values():
        each.left = [LEFT, transfer, running]
    shown: list[Unused] = []

    def confirm(unused: Unused) -> bool:
        shown.append(unused)
        return True

    _, freed = prune(world.command(), Store(tmp_path / "store"), frozenset, 1, confirm)
    assert freed == 14 * world.count
    (unused,) = shown
    for name, each in world.hosts.items():
        assert unused.hosts[name].leftovers == (LEFT, transfer)
        assert "snapshots/.b.partial: a transfer is running" in unused.hosts[name].kept
        assert each.left == [running]
        assert each.events == ["remove 2 leftovers"]
    again, _ = prune(world.command(), Store(tmp_path / "store"), frozenset, 1, yes)
    assert (again.empty, world.events) == (True, [])


def test_prune_says_what_has_begun_to_work_since_it_looked(world: World, tmp_path: Path) -> None:
    world.deploy(release(1))
    busy = replace(LEFT, busy="it is still changing")

    def begin(event: str) -> None:
        if event == "remove 1 leftovers":
            for each in world.hosts.values():
                each.left = [busy]

    for each in world.hosts.values():
        each.left = [LEFT]
    world.before(begin)
    _, freed = prune(world.command(), Store(tmp_path / "store"), frozenset, 1, yes)
    assert freed == 0
    assert [line for line in world.said if "stays" in line] == [
        f"{name}: engines/.cache stays: it is still changing" for name in world.hosts
    ]


# verify

A = FileDigest("a.json", 2, "a" * 64)
B = FileDigest("w.safetensors", 9, "b" * 64)
PINNED = Snapshot("demo/tiny", "1" * 40, (A, B))


@pytest.mark.parametrize(
    ("pinned", "found", "faults"),
    [
        (PINNED, [A, B], ()),
        (PINNED, [A], ("w.safetensors: missing",)),
        (PINNED, [A, B, FileDigest("x.py", 1, "c" * 64)], ("x.py: was never pinned",)),
        (
            PINNED,
            [A, replace(B, sha256="d" * 64, size=8)],
            ("w.safetensors: sha256 dddddddddddd…, 8 bytes; pinned bbbbbbbbbbbb…, 9 bytes",),
        ),
        # the name of a snapshot is its digest: that much is known without its pins
        (None, [A, B], ()),
        (None, [A], ("its files do not have the digest it is named by",)),
    ],
)
def test_what_differs_from_the_pins_is_named(
    pinned: Snapshot | None, found: list[FileDigest], faults: tuple[str, ...]
) -> None:
    assert compare(PINNED.digest, pinned, {each.path: each for each in found}) == faults


def test_the_plan_is_shown_again_where_the_host_changed_meanwhile(world: World) -> None:
    world.deploy(release(1))
    shown: list[RolloutPlan] = []

    def confirm(plan: RolloutPlan) -> bool:
        shown.append(plan)
        if len(shown) == 1:
            world.see(engines=())
        return True

    world.confirm = confirm  # type: ignore[method-assign]
    world.deploy(release(2))
    assert [len(plan.plans["gpu1"].steps) for plan in shown] == [8, 9]
    assert "the fleet changed since the plan was shown; this is the new one" in world.said
