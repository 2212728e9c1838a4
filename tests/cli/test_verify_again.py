"""`verify --repair` on damaged snapshots: what is damaged still, under the lock, leaves; nobody's whole files do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.store.store import Store
from toolkit.domain.replicas.probe import LockOwner

BOB = LockOwner("bob@ops", "toolkit deploy", 1)


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    found = Fleet(prompt, monkeypatch, 3)
    assert found("deploy tiny@v1 --yes").code == 0
    return found


def damage(fleet: Fleet, *names: str) -> Callable[[], None]:
    """Change the snapshots on these hosts; return what makes them whole again."""
    whole = {name: fleet.world.hosts[name].hash_files for name in names}
    for name in names:
        fleet.world.hosts[name].hash_files = lambda *_: {}  # type: ignore[method-assign]

    def mend() -> None:
        for name, hash_files in whole.items():
            fleet.world.hosts[name].hash_files = hash_files  # type: ignore[method-assign]

    return mend


def before_the_lock(host: FakeHost, act: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Have another command `act` between the look of `verify` and its lock."""
    lock = host.lock

    @contextmanager
    def late(owner: Any) -> Iterator[None]:
        act()
        with lock(owner):
            yield

    patch.setattr(host, "lock", late)


def snapshots(fleet: Fleet) -> dict[str, int]:
    return {name: len(each.facts.snapshots) for name, each in fleet.world.hosts.items()}


def test_damaged_snapshots_leave_their_hosts_and_only_these_are_locked(fleet: Fleet) -> None:
    damage(fleet, "gpu1", "gpu3")
    fleet.world.hosts["gpu2"].owner = BOB
    said = fleet("verify --repair")
    assert (said.code, snapshots(fleet)) == (6, {"gpu1": 0, "gpu2": 1, "gpu3": 0})
    assert said.json()["error"]["hint"].endswith("toolkit deploy MODEL")


def test_a_snapshot_that_another_command_brought_meanwhile_stays(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = damage(fleet, "gpu1")
    before_the_lock(fleet.world.hosts["gpu1"], mend, monkeypatch)
    said = fleet("verify --repair")
    assert snapshots(fleet) == {"gpu1": 1, "gpu2": 1, "gpu3": 1}
    assert "is as pinned by now, and stays" in said.err


def test_a_snapshot_that_another_command_removed_meanwhile_is_not_removed_twice(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(fleet, "gpu1")
    host = fleet.world.hosts["gpu1"]
    (digest,) = host.facts.snapshots
    before_the_lock(host, lambda: host.remove("snapshots", digest) and None, monkeypatch)
    fleet("verify --repair")
    assert [each for each in host.events if each.startswith("remove")] == [
        f"remove snapshots {digest[:8]}"
    ]


def test_what_writes_a_hosts_own_files_anew_is_named_beside_the_repair_of_a_snapshot(
    fleet: Fleet,
) -> None:
    damage(fleet, "gpu1")
    fleet.world.see("gpu2", changed_files=("router/haproxy.cfg was changed",))
    again, anew = (
        "toolkit verify --repair",
        "toolkit repair, toolkit provision --force, and toolkit deploy MODEL",
    )
    assert fleet("verify").json()["error"]["hint"].endswith(f"then: {again}, {anew}")
    assert fleet("verify --repair").json()["error"]["hint"].endswith(f"then: {anew}")


def test_a_busy_host_keeps_neither_the_faults_untold_nor_other_hosts_damaged(fleet: Fleet) -> None:
    damage(fleet, "gpu1", "gpu3")
    fleet.world.hosts["gpu1"].owner = BOB
    said = fleet("verify --repair")
    assert (said.code, snapshots(fleet)) == (6, {"gpu1": 1, "gpu2": 1, "gpu3": 0})
    error = said.json()["error"]
    assert "gpu1: not taken out of use: gpu1 is held by bob@ops" in error["message"]
    assert error["hint"].endswith("toolkit verify --repair")
    assert error["hosts"]["gpu1"]["kind"] == "busy"


def test_a_snapshot_of_the_store_that_was_pulled_anew_meanwhile_stays(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fleet("pull tiny@v1").code == 0
    store = Store(fleet.prompt.place / "home" / "store")
    (stored,) = store.list()
    verify, looks = Store.verify, list[str]()

    def once(self: Store, *given: Any) -> tuple[str, ...]:
        looks.append("look")
        return ("config.json: missing",) if len(looks) == 1 else verify(self, *given)

    monkeypatch.setattr(Store, "verify", once)
    said = fleet("verify --repair")
    assert said.code == 6
    assert f"{stored.source}@{stored.revision[:12]} in the store is as pinned by now" in said.err
    assert store.list() == (stored,)
