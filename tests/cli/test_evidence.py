"""What is handed to others: the bill of materials of a model."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.cli.evidence_site import place_of, proved
from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from tests.planning.test_bom import faults
from toolkit.adapters.hosts.port import CheckedEngine
from toolkit.config.engine_locks import read_locks
from toolkit.domain.deployment.release import ReleaseAdapter
from toolkit.domain.gates.verdict import GateRecord, GateResult, Verdict


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(prompt, monkeypatch, 2)


def metrics(document: dict[str, Any]) -> set[str]:
    card = document["metadata"]["component"]["modelCard"]
    found = card.get("quantitativeAnalysis", {"performanceMetrics": []})["performanceMetrics"]
    return {each["slice"] for each in found}


def test_a_bill_of_materials_has_the_release_and_is_valid(fleet: Fleet) -> None:
    assert fleet("deploy tiny@v1 --yes").code == 0
    assert fleet("upgrade tiny --yes").code == 0
    said = fleet.prompt("bom", "tiny", "--at", "2026-11-01T18:00")
    assert said.code == 0
    document = json.loads(said.out)
    assert faults(document) == []
    assert document["metadata"]["timestamp"] == "2026-11-01T18:00:00Z"
    assert {"release 2 on gpu1", "release 2 on gpu2"} <= metrics(document)
    # The lock of the release is the shipped one, and every package of it is named.
    engine = fleet("releases tiny").json()["releases"][0]["engine"]
    [lock] = [each for each in read_locks(fleet.prompt.place) if each.id == engine]
    libraries = [each for each in document["components"] if each["type"] == "library"]
    assert len(libraries) == lock.packages
    assert fleet.prompt("bom", "tiny", "--at", "2026-11-01T18:00").out == said.out


@pytest.mark.parametrize("changed", ["engine", "adapters"])
def test_gates_of_another_engine_or_of_other_adapters_are_left_out(
    fleet: Fleet, changed: str
) -> None:
    """The registry has changed since: the release that passed them is not what the document names."""
    assert fleet("deploy tiny@v1 --yes").code == 0
    assert metrics(json.loads(fleet.prompt("bom", "tiny@v1").out))
    history = fleet.world.history
    [(release, _)] = history.releases("tiny")
    if changed == "engine":
        registry = fleet.prompt.place / "model_registry.yaml"
        registry.write_text(registry.read_text().replace("0.32.0", "0.31.0"))
    else:
        adapter = ReleaseAdapter("sql", "acme/sql", "b" * 40, "c" * 64, ())
        history.add_release(replace(release, number=2, adapters=(adapter,)))
        result = GateResult("checks", Verdict.PASSED)
        history.add_gate(GateRecord("tiny", 2, "gpu1", "", 1.0, result))
    said = fleet.prompt("bom", "tiny@v1")
    assert said.code == 0
    found = metrics(json.loads(said.out))
    # The older release is what the registry has, where the newer one had an adapter.
    assert found == (set() if changed == "engine" else {"release 1 on gpu1", "release 1 on gpu2"})
    assert ("no release" in said.err) is (changed == "engine")


def test_gates_of_an_old_release_are_known_on_every_host_of_a_large_fleet(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release has a result for each host and gate: those of a few rollouts are thousands."""
    assert fleet("deploy tiny@v1 --yes").code == 0
    history, gates = fleet.world.history, ("checks", "golden", "speed", "memory", "canary", "bake")
    with history._db.transaction():
        for release in (1, 2, 3):
            for place in (f"far{number}" for number in range(40)):
                for gate in gates:
                    verdict = Verdict.FAILED if (release, gate) == (1, "bake") else Verdict.PASSED
                    result = GateResult(gate, verdict)
                    history.add_gate(GateRecord("tiny", release, place, "", 1.0, result))
    document = json.loads(fleet.prompt("bom", "tiny@v1").out)
    assert {f"release 1 on far{number}" for number in range(40)} <= metrics(document)
    for host in fleet.world.hosts.values():
        whole = CheckedEngine(sealed=True, files=3, size=9, faults=())
        monkeypatch.setattr(host, "check_engine", lambda *_, found=whole: found)
    proved(fleet)
    told = json.loads(place_of(fleet).read_text())["content"]["gates"]
    assert {each["host"] for each in told} >= {f"far{number}" for number in range(40)}
    shown = fleet.prompt("releases", "tiny").out.splitlines()
    assert shown[1].split()[-1] == "bake"


def test_a_version_without_a_release_says_what_is_left_out(fleet: Fleet) -> None:
    path = fleet.prompt.place / "tiny.cdx.json"
    said = fleet.prompt("bom", "tiny@v1", "--output", str(path))
    assert (said.code, said.out) == (0, "")
    assert "no release" in said.err and "packages are left out" in said.err
    document = json.loads(path.read_text())
    assert faults(document) == []
    assert metrics(document) == set()
    [lock] = [
        each.id
        for each in read_locks(fleet.prompt.place)
        if each.id.startswith("vllm-0.32.0-cpu-py311")
    ]
    told = fleet(f"bom tiny@v1 --engine {lock}").json()
    assert (told["engine"], told["release"], told["path"]) == (lock, None, "")
    assert told["packages"] == len(
        [each for each in told["bom"]["components"] if each["type"] == "library"]
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bom other", "no model 'other'"),
        ("bom tiny --engine vllm-9", "is no lock of vllm 0.32.0"),
        ("bom tiny --at yesterday", "is no time"),
        ("bom tiny --at 9999-12-31T23:59:59-01:00", "is no time"),
        ("bom tiny --at 0001-01-01T00:00+01:00", "is no time"),
    ],
)
def test_what_cannot_be_named_is_refused(fleet: Fleet, line: str, words: str) -> None:
    said = fleet(line)
    assert said.code == 2
    assert words in said.json()["error"]["message"]


def test_a_place_that_takes_nothing_is_named(fleet: Fleet) -> None:
    said = fleet("bom tiny --output nowhere/bom.json")
    assert said.code == 2
    assert "nowhere/bom.json cannot be written" in said.json()["error"]["message"]
