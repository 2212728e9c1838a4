"""`toolkit gate` on a fleet in memory: exit codes and what is printed."""

from __future__ import annotations

import json

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """One host that serves version v1, whose golden prompt is about the answer of v1."""
    found = Fleet(prompt, monkeypatch, 1)
    golden = {"name": "who", "prompt": "who are you?", "expect": {"contains": "hello from v1"}}
    (prompt.place / "golden.jsonl").write_text(json.dumps(golden))
    registry = prompt.place / "model_registry.yaml"
    guard = "    guard: {answers: {file: golden.jsonl}}\n    versions:\n"
    registry.write_text(registry.read_text().replace("    versions:\n", guard))
    assert found("deploy tiny@v1 --yes").code == 0
    return found


def test_a_version_that_a_gate_refuses_ends_with_8_and_its_verdicts(fleet: Fleet) -> None:
    said = fleet("gate tiny@v2 --yes")
    document = said.json()
    assert said.code == 8
    assert (document["started"], document["release"]["version"]) == (True, "v2")
    assert document["error"]["kind"] == "release-failed"
    verdicts = {each["gate"]: each["verdict"] for each in document["gates"]}
    assert (verdicts["shape"], verdicts["answers"]) == ("passed", "failed")
    assert [slot.release.version for slot in fleet.world.host.facts.slots if slot.release] == ["v1"]
    assert {each["gate"] for each in fleet("releases tiny").json()["gates"]} >= {*verdicts}


def test_a_version_that_serves_is_asked_without_a_question(fleet: Fleet) -> None:
    said = fleet.prompt("gate", "tiny@v1")
    assert said.code == 0
    assert "answers: passed\n  golden prompts passed: 1 of 1\n" in said.out


def test_a_gate_of_a_version_that_serves_is_in_the_audit_log_and_a_dry_run_asks_nothing(
    fleet: Fleet,
) -> None:
    (fleet.prompt.place / "golden.jsonl").write_text(
        json.dumps({"name": "who", "prompt": "who are you?", "expect": {"contains": "nobody"}})
    )
    dry = fleet("gate tiny@v1 --dry-run")
    assert (dry.code, dry.json()["dry_run"]) == (0, True)
    assert [each["kind"] for each in dry.json()["plan"]["steps"]] == ["gate"]
    assert fleet.world.host.events == []
    assert not [x for x in fleet("releases tiny").json()["gates"] if x["verdict"] == "failed"]

    assert fleet("gate tiny@v1").code == 8
    last = fleet("audit list --model tiny").json()["entries"][-1]
    assert (last["command"], last["outcome"]) == ("gate run", "release-failed")
    assert ("answers", "failed") in {(each["gate"], each["verdict"]) for each in last["gates"]}


def test_a_version_is_not_started_without_a_yes(fleet: Fleet) -> None:
    assert fleet("gate run tiny@v2").code == 3
    assert len(fleet.world.host.facts.slots) == 1


def test_a_version_whose_guard_is_off_has_no_gates(fleet: Fleet) -> None:
    registry = fleet.prompt.place / "model_registry.yaml"
    registry.write_text(registry.read_text().replace("{answers: {file: golden.jsonl}}", "off"))
    said = fleet("gate tiny")
    assert (said.code, said.json()["error"]["message"]) == (
        2,
        "the guard of tiny@v2 is off, so it has no gates",
    )


def test_a_missing_golden_file_is_refused_with_the_line_that_names_it(fleet: Fleet) -> None:
    (fleet.prompt.place / "golden.jsonl").unlink()
    registry = fleet.prompt.place / "model_registry.yaml"
    line = registry.read_text().splitlines().index("    guard: {answers: {file: golden.jsonl}}") + 1
    for command in ("gate tiny@v2", "upgrade tiny --yes", "registry check"):
        said = fleet(command)
        assert said.code == 2, command
        message = said.json()["error"]["message"]
        assert f"model_registry.yaml:{line}:29: no file " in message, command
