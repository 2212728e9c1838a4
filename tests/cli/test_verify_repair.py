"""`verify --repair`: damaged snapshots leave, changed engines come back, and what serves goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.shell import Prompt, Said
from tests.cli.test_json import Fleet
from toolkit.domain.hosts.facts import ProcessState
from toolkit.errors import SourceError


@pytest.fixture(params=[1, 3], ids=["one host", "three hosts"])
def fleet(request: pytest.FixtureRequest, prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    found = Fleet(prompt, monkeypatch, request.param)
    assert found("deploy tiny@v1 --yes").code == 0
    return found


def _engine(fleet: Fleet) -> str:
    (engine,) = fleet.world.host.facts.engines
    return engine


def _change(fleet: Fleet) -> str:
    """Change the engine on gpu1 as somebody would; return its id."""
    engine = _engine(fleet)
    fleet.world.host.damaged[engine] = ("bin/vllm: was changed",)
    return engine


def test_a_changed_engine_is_installed_anew_while_its_replica_serves(fleet: Fleet) -> None:
    engine = _change(fleet)
    assert fleet("verify").json()["error"]["hint"].endswith("then: toolkit verify --repair")
    said = fleet("verify --repair")
    assert (said.code, said.json()["drift"], "error" in said.json()) == (0, [], False)
    assert said.json()["repaired"] == [
        f"installed engine {engine} on gpu1 anew",
        "tiny blue on gpu1 runs on with what it has loaded; its next start takes the new files",
    ]
    assert fleet.world.host.events == [f"engine {engine}", f"swap engine {engine}"]
    assert fleet.world.table() == [("blue", "v1", "healthy", 100)]
    assert fleet("verify").code == 0


def test_the_engine_that_a_slot_needs_and_that_is_gone_is_installed(fleet: Fleet) -> None:
    engine = _engine(fleet)
    fleet.world.see("gpu1", engines=())
    said = fleet("verify")
    assert said.json()["drift"] == [f"gpu1 tiny blue: its engine {engine} is not on the host"]
    said = fleet("verify --repair")
    assert (said.code, said.json()["repaired"][0]) == (0, f"installed engine {engine} on gpu1 anew")
    assert fleet.world.host.facts.engines == (engine,)


def test_a_repair_of_what_is_whole_changes_nothing(fleet: Fleet) -> None:
    said = fleet("verify --repair")
    assert (said.code, said.json()["repaired"]) == (0, [])
    assert fleet.world.host.events == []


def test_what_another_command_brought_meanwhile_is_not_installed_twice(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    _change(fleet)
    host = fleet.world.host
    lock = host.lock

    def late(owner: Any) -> Any:
        host.damaged.clear()
        return lock(owner)

    monkeypatch.setattr(host, "lock", late)
    said = fleet("verify --repair")
    assert (said.code, said.json()["repaired"], host.events) == (0, [], [])


def test_an_engine_whose_packages_cannot_be_had_stays_and_is_named(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _change(fleet)

    def gone(*_: Any) -> Any:
        raise SourceError("pip could not download torch", hint="run the command again")

    monkeypatch.setattr("tests.workflows.world.FakeSupplies.engine_variables", gone)
    said = fleet("verify --repair")
    assert said.code == 6
    assert said.json()["drift"] == [
        f"gpu1 engine {engine}: not brought back: pip could not download torch; run the command again"
    ]
    assert said.json()["error"]["hint"].endswith("then: toolkit verify --repair")
    assert fleet.world.host.facts.engines == (engine,)


def test_damaged_packages_are_named_and_had_anew_by_the_next_repair(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _change(fleet)
    with monkeypatch.context() as patch:
        patch.setattr("tests.workflows.world.FakeSupplies.recheck_engine", lambda *_: True)
        patch.setattr(fleet.world, "failing", "engine")
        said = fleet("verify --repair")
    assert said.code == 6
    (line,) = said.json()["drift"]
    assert line.startswith(
        f"gpu1 engine {engine}: not brought back: packages of {engine} on this machine"
    )
    assert "; the same command again fetches them" in line
    assert fleet("verify --repair").code == 0


def test_an_engine_that_is_still_not_whole_keeps_the_command_from_success(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _change(fleet)
    host = fleet.world.host
    swap = host.swap_engine

    def onto_a_bad_disk(*given: Any) -> None:
        swap(*given)
        host.damaged[engine] = ("lib/torch.so: Input/output error",)

    monkeypatch.setattr(host, "swap_engine", onto_a_bad_disk)
    said = fleet("verify --repair")
    assert said.code == 6
    assert said.json()["drift"] == [f"gpu1 engine {engine}: lib/torch.so: Input/output error"]


def test_a_repair_of_an_engine_is_no_repair_of_other_drift(fleet: Fleet) -> None:
    _change(fleet)
    fleet.world.see("gpu1", changed_files=("router/model.lua was changed",))
    said = fleet("verify --repair")
    assert (said.code, said.json()["drift"]) == (6, ["gpu1: router/model.lua was changed"])
    assert said.json()["error"]["hint"].endswith(
        "then: toolkit repair, toolkit provision --force, and toolkit deploy MODEL"
    )


def test_where_only_a_restart_helps_the_hint_names_no_other_command(fleet: Fleet) -> None:
    fleet.world.see("gpu1", changed_files=("sockets/named.sock is gone",))
    said = fleet("verify")
    (line,) = said.json()["drift"]
    assert line.startswith("gpu1: sockets/named.sock is gone; on gpu1: ")
    assert said.json()["error"]["hint"].endswith("then: what its line says")


def test_what_a_look_suspects_of_a_snapshot_is_settled_by_hashing_it(fleet: Fleet) -> None:
    fleet.world.see("gpu1", changed_files=("snapshots/0123456789ab/w is not as it was",))
    said = fleet("verify")
    assert (said.code, said.json()["drift"]) == (0, [])


def test_a_damaged_copy_of_the_hosts_side_is_placed_anew(fleet: Fleet) -> None:
    copy = "bin/hostside-0123456789abcdef"
    fleet.world.see("gpu1", changed_files=(f"{copy} was changed",))
    assert fleet("verify").json()["error"]["hint"].endswith("then: toolkit verify --repair")
    said = fleet("verify --repair")
    assert (said.code, said.json()["drift"]) == (0, [])
    assert said.json()["repaired"] == [f"placed {copy} on gpu1 anew"]
    assert fleet("verify").code == 0


def test_a_host_that_another_command_holds_keeps_its_engine(fleet: Fleet) -> None:
    _change(fleet)
    with fleet.world.host.lock(fleet.world.command()[0].owner):
        said = fleet("verify --repair")
    assert (said.code, fleet.world.host.events) == (6, [])
    changed, why = said.json()["drift"]
    assert changed == f"gpu1 engine {_engine(fleet)}: bin/vllm: was changed"
    assert why.startswith("gpu1: no engine was brought back: gpu1 is held by ")


def test_a_snapshot_that_is_served_leaves_and_comes_back_under_its_replica(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = fleet.world.host
    (digest,) = host.facts.snapshots
    with monkeypatch.context() as patch:
        patch.setattr(host, "hash_files", lambda *_: {})
        said = fleet("verify --repair")
    assert said.code == 6
    assert said.json()["repaired"] == [f"removed snapshot {digest[:12]} from gpu1"]
    assert said.json()["drift"] == [
        f"gpu1 tiny blue: its files (snapshot {digest[:12]}) are not on the host"
    ]
    assert said.json()["error"]["hint"].endswith("then: toolkit deploy MODEL")
    assert (host.facts.snapshots, _serving(host)) == ((), True)
    assert fleet("verify").code == 6

    began = [slot.started_at for slot in host.facts.slots]
    assert fleet("deploy tiny@v1 --yes").code == 0
    assert (host.facts.snapshots, _serving(host)) == ((digest,), True)
    assert [slot.started_at for slot in host.facts.slots] == began
    assert not [event for event in host.events if event.startswith(("replica", "routes"))]
    assert fleet("verify").code == 0


def _serving(host: Any) -> bool:
    return [slot.process for slot in host.observe().slots if slot.serving] == [ProcessState.RUNNING]


def test_people_read_what_was_done(fleet: Fleet) -> None:
    engine = _change(fleet)
    said: Said = fleet.prompt("verify", "--repair")
    assert said.code == 0
    assert f"installed engine {engine} on gpu1 anew" in said.err
    assert said.out.endswith("hosts and store are as they were pinned and deployed again\n")
