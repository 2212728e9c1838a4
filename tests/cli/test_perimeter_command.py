"""`toolkit perimeter check`: one verdict for all hosts, recorded, and an exit code for timers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.domain.hosts.perimeter import Listener
from toolkit.domain.trail.audit import plan_digest
from toolkit.errors import HostError


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet(prompt, monkeypatch, 3)
    assert made("deploy tiny@v1 --yes").code == 0
    return made


def test_what_is_as_it_should_be_is_recorded_with_the_digest_of_the_result(fleet: Fleet) -> None:
    said = fleet("perimeter check --reason audit")
    assert said.code == 0
    document = said.json()
    assert set(document["hosts"]) == {"gpu1", "gpu2", "gpu3"}
    told = {name: document[name] for name in ("hosts", "unreachable")}
    assert document["digest"] == plan_digest(told)
    entry = fleet("audit list --limit 1").json()["entries"][0]
    assert (entry["command"], entry["outcome"], entry["reason"]) == (
        "perimeter check",
        "done",
        "audit",
    )
    assert entry["digests"]["plan"] == document["digest"]
    assert document["sequence"] == entry["sequences"][0]
    assert {each["outcome"] for each in entry["hosts"].values()} == {"shut"}
    # The hosts vouch for it.
    for host in fleet.world.hosts.values():
        assert host.heads[-1].sequence == entry["sequences"][-1]


def test_a_finding_is_an_exit_code_and_names_host_and_replica(fleet: Fleet) -> None:
    fleet.world.hosts["gpu2"].way_out = "through"
    fleet.world.hosts["gpu3"].listeners.append(Listener("tcp", "0.0.0.0", 9999, "ann", "nc"))
    said = fleet("perimeter check")
    assert (said.code, said.json()["error"]["kind"]) == (6, "integrity")
    words = said.json()["error"]["message"].splitlines()
    assert [each.strip() for each in words[1:]] == [
        "gpu2: tiny-blue reaches outside: 192.0.2.1 udp",
        "gpu3: nc of ann listens at 0.0.0.0:9999: the fleet file does not name it",
    ]
    assert said.json()["hosts"]["gpu1"]["findings"] == []
    entry = fleet("audit list --limit 1").json()["entries"][0]
    assert {name: each["outcome"] for name, each in entry["hosts"].items()} == {
        "gpu1": "shut", "gpu2": "open", "gpu3": "open",
    }  # fmt: skip
    assert entry["outcome"] == "integrity"
    shown = fleet.prompt("perimeter", "check")
    assert "WRONG: the fleet file does not name it" in " ".join(shown.out.split())


def test_a_host_that_does_not_answer_is_named_and_no_verdict_on_the_others(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any) -> Any:
        raise HostError("gpu2: it does not answer", hint="ping gpu2")

    monkeypatch.setattr(fleet.world.hosts["gpu2"], "perimeter", unreachable)
    said = fleet("perimeter check")
    assert (said.code, said.json()["unreachable"]) == (7, {"gpu2": "it does not answer"})
    assert set(said.json()["hosts"]) == {"gpu1", "gpu3"}
    entry = fleet("audit list --limit 1").json()["entries"][0]
    assert entry["hosts"]["gpu2"]["outcome"] == "unreachable"
    # A finding weighs more than a host that is away.
    fleet.world.hosts["gpu1"].way_out = "through"
    said = fleet("perimeter check")
    assert said.code == 6
    assert said.json()["error"]["message"].splitlines() == [
        "the perimeter is open:",
        "  gpu1: tiny-blue reaches outside: 192.0.2.1 udp",
        "these hosts were not checked:",
        "  gpu2: it does not answer",
    ]
    assert set(said.json()["error"]["hosts"]) == {"gpu2"}
    # Nobody must take the others for all of them.
    assert "gpu2: it does not answer" in fleet.prompt("perimeter", "check").err
    assert fleet("perimeter check --host gpu3").code == 0


def test_a_fleet_without_replicas_is_checked_too(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = Fleet(prompt, monkeypatch, 1)
    said = empty.prompt("perimeter", "check")
    assert said.code == 0
    assert "no replica runs, so nothing was tried" in said.out
