"""Evidence for an answer: it holds, and anybody can check it without the toolkit."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.cli.evidence_site import (
    HEADERS,
    ID,
    checked,
    fleet,
    head_of,
    logged,
    place_of,
    proved,
    slot_of,
)
from tests.cli.test_json import Fleet
from toolkit import check_evidence
from toolkit.adapters.audit.log import AuditLog
from toolkit.cli.commands.prove import CHECKER
from toolkit.domain.deployment.release import ReleaseAdapter
from toolkit.domain.registry.release_parts import Check

__all__ = ["fleet"]


def test_what_serves_is_proved_and_checked_without_the_toolkit(fleet: Fleet) -> None:
    told = proved(fleet)
    assert (told["release"]["number"], told["hosts"]) == (2, ["gpu1", "gpu2"])
    found = checked(place_of(fleet), "--head", told["head"])
    assert (found.code, found.err) == (0, "")
    assert found.out.endswith("\nIt holds.\n")
    assert found.out.count("files hashed, and they are those of snapshot") == 2
    assert "the log named this release when it was deployed" in found.out
    assert "licence: mit is allowed for every model" in found.out
    assert "written under the same registry file" in found.out
    assert "gate shape on gpu1: passed, as the log has it" in found.out
    assert "by the history alone" not in found.out
    assert "ticket-4711" in place_of(fleet).read_text()


def test_without_a_head_it_says_that_nobody_vouches(fleet: Fleet) -> None:
    told = proved(fleet)
    found = checked(place_of(fleet))
    assert found.code == 3
    assert told["head"] in found.out
    assert found.out.endswith("It holds in itself; nobody vouches for its head yet.\n")


def test_the_hosts_keep_the_head_and_their_file_of_heads_vouches(fleet: Fleet) -> None:
    told = proved(fleet)
    number, digest = head_of(told)
    for host in fleet.world.hosts.values():
        kept = [each for each in host.heads if each.sequence == number]
        assert [each.digest for each in kept] == [digest]
    heads = fleet.prompt.place / "heads.json"
    listed = [
        {"sequence": each.sequence, "digest": each.digest, "at": 1.0}
        for each in fleet.world.hosts["gpu1"].heads
    ]
    heads.write_text(json.dumps({"log": told["log"], "machine": "ops", "heads": listed}))
    assert checked(place_of(fleet), "--head", heads).code == 0
    heads.write_text(json.dumps({"heads": listed[:1]}))
    missing = checked(place_of(fleet), "--head", heads)
    assert (missing.code, "has no head with the number" in missing.err) == (2, True)


def test_an_answer_leads_to_its_release_by_the_router_s_log(fleet: Fleet) -> None:
    logged(fleet)
    told = proved(fleet, f"prove --request-id {ID}")
    assert (told["logged"], told["hosts"]) == (True, ["gpu1"])
    found = checked(place_of(fleet), "--head", told["head"])
    assert found.code == 0
    assert f"the router of gpu1 logged request {ID} at 27/Nov/2026:02:00:00 +0000" in found.out


def test_an_answer_of_a_host_that_was_alone_is_proved_by_that_host(fleet: Fleet) -> None:
    """Slots have no host's name while a fleet has one host: the router that logged the request names it."""
    logged(fleet, slot="green")
    told = proved(fleet, f"prove --request-id {ID}")
    assert told["hosts"] == ["gpu1"]
    found = checked(place_of(fleet), "--head", told["head"])
    assert found.code == 0
    assert "files were hashed on the host that answered, gpu1" in found.out


def test_an_answer_leads_to_its_release_by_its_headers(fleet: Fleet) -> None:
    headers = fleet.prompt.place / "headers"
    headers.write_text(HEADERS.format(id=ID, release=2, slot=slot_of(fleet)), newline="")
    # Where no log has the request any more, its model must be named.
    said = fleet(f"prove --answer-headers {headers} --output {place_of(fleet)}")
    assert (said.code, said.json()["error"]["kind"]) == (2, "bad-input")
    told = proved(fleet, f"prove tiny --answer-headers {headers}")
    assert (told["logged"], told["hosts"]) == (False, ["gpu1"])
    found = checked(place_of(fleet), "--head", told["head"])
    assert found.code == 0
    assert f"no router's log has request {ID} any more" in found.out
    assert "the answer's headers name this release" in found.out


def test_headers_that_the_router_s_log_contradicts_are_refused(fleet: Fleet) -> None:
    slot = logged(fleet)
    headers = fleet.prompt.place / "headers"
    headers.write_text(HEADERS.format(id=ID, release=1, slot=slot))
    said = fleet(f"prove --answer-headers {headers} --output {place_of(fleet)}")
    assert (said.code, said.json()["error"]["kind"]) == (6, "integrity")
    assert "they say v2 #1" in said.json()["error"]["message"]
    assert not place_of(fleet).exists()


def test_an_answer_of_another_model_is_no_evidence_for_this_one(fleet: Fleet) -> None:
    logged(fleet)
    said = fleet(f"prove other --request-id {ID} --output {place_of(fleet)}")
    assert said.code == 2
    assert said.json()["error"]["message"] == f"request {ID} was answered by tiny, not by other"
    assert not place_of(fleet).exists()


def test_an_id_that_clients_used_twice_needs_the_headers(fleet: Fleet) -> None:
    slot = logged(fleet)
    logged(fleet, release=1, slot="gpu1.blue")
    said = fleet(f"prove --request-id {ID} --output {place_of(fleet)}")
    assert said.code == 2
    assert "several requests have the id" in said.json()["error"]["message"]
    headers = fleet.prompt.place / "headers"
    headers.write_text(HEADERS.format(id=ID, release=2, slot=slot))
    assert proved(fleet, f"prove --answer-headers {headers}")["release"]["number"] == 2


def test_a_model_that_sleeps_is_proved_as_what_serves_once_it_wakes(fleet: Fleet) -> None:
    assert fleet("sleep tiny --yes").code == 0
    told = proved(fleet)
    assert told["release"]["number"] == 2
    [*lines, last] = checked(place_of(fleet), "--head", told["head"]).out.splitlines()
    assert last == "It holds."
    assert any("slot green has this release" in each for each in lines)


def test_a_former_release_is_proved_while_its_files_are_there(fleet: Fleet) -> None:
    logged(fleet, release=1, slot="gpu1.blue")
    told = proved(fleet, f"prove --request-id {ID}")
    assert told["release"]["number"] == 1
    assert checked(place_of(fleet), "--head", told["head"]).code == 0


def test_an_answer_of_an_adapter_is_proved_though_its_release_serves_no_more(fleet: Fleet) -> None:
    """The log has the adapter's name, and the history keeps releases under the names of their models."""
    serving = fleet.world.history.releases("tiny")[0][0]
    adapter = ReleaseAdapter(
        "sql", "acme/sql", "b" * 40, serving.snapshot, (Check("hi", max_tokens=8),)
    )
    fleet.world.history.add_release(replace(serving, number=7, adapters=(adapter,)))
    logged(fleet, release=7, model="sql")
    slot = slot_of(fleet)
    line = fleet.world.hosts["gpu1"].requests[-1]
    fleet.world.hosts["gpu1"].requests[-1] = replace(line, version="v2")
    told = proved(fleet, f"prove --request-id {ID}")
    assert (told["release"]["number"], told["release"]["model"]) == (7, "tiny")
    found = checked(place_of(fleet), "--head", told["head"])
    assert (found.code, found.err) == (0, ""), found.out
    headers = fleet.prompt.place / "headers.txt"
    headers.write_text(HEADERS.format(id="no-log-has-it", release=7, slot=slot))
    assert proved(fleet, f"prove sql --answer-headers {headers}")["release"]["number"] == 7
    said = fleet(f"prove law --answer-headers {headers} --output {place_of(fleet)}")
    assert "neither the hosts nor this history know release #7 of law" in said.out


def test_an_adapter_that_two_models_have_had_leads_to_the_model_that_answered(fleet: Fleet) -> None:
    """Releases of two models may have the same number; version or model tells which one answered."""
    history = fleet.world.history
    serving = history.releases("tiny")[0][0]
    adapter = ReleaseAdapter(
        "sql", "acme/sql", "b" * 40, serving.snapshot, (Check("hi", max_tokens=8),)
    )
    with_it = replace(serving, number=7, adapters=(adapter,))
    history.add_release(with_it)
    history.add_release(replace(with_it, model="former", version="v1"))
    logged(fleet, release=7, model="sql")
    line = fleet.world.hosts["gpu1"].requests[-1]
    fleet.world.hosts["gpu1"].requests[-1] = replace(line, version="v2")
    by_version = proved(fleet, f"prove --request-id {ID}")["release"]
    assert (by_version["number"], by_version["model"]) == (7, "tiny")
    history.add_release(replace(with_it, model="other"))
    said = fleet(f"prove --request-id {ID} --output {place_of(fleet)}")
    error = said.json()["error"]
    assert (said.code, error["kind"]) == (2, "bad-input")
    assert error["message"] == "sql is an adapter in releases #7 of other and of tiny"
    by_model = proved(fleet, f"prove tiny --request-id {ID}")
    assert (by_model["release"]["model"], by_model["logged"]) == ("tiny", True)
    found = checked(place_of(fleet), "--head", by_model["head"])
    assert (found.code, found.err) == (0, ""), found.out


def test_an_answer_of_an_adapter_is_no_evidence_for_a_release_without_it(fleet: Fleet) -> None:
    history = fleet.world.history
    serving = history.releases("tiny")[0][0]
    adapter = ReleaseAdapter(
        "sql", "acme/sql", "b" * 40, serving.snapshot, (Check("hi", max_tokens=8),)
    )
    history.add_release(replace(serving, number=7, adapters=(adapter,)))
    logged(fleet, release=2, model="sql")
    said = fleet(f"prove tiny --request-id {ID} --output {place_of(fleet)}")
    assert said.code == 2
    assert "know release #2 of tiny with the adapter sql" in said.json()["error"]["message"]
    assert not place_of(fleet).exists()


def test_a_damaged_file_stands_in_the_evidence_and_the_check_finds_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = fleet.world.hosts["gpu2"]
    there = host.hash_files("", lambda _: None)
    damaged = {**there, "model.safetensors": {"size": 1, "sha256": "0" * 64}}
    monkeypatch.setattr(host, "hash_files", lambda *_: damaged)
    told = proved(fleet)
    found = checked(place_of(fleet), "--head", told["head"])
    assert found.code == 1
    wrong = [line for line in found.out.splitlines() if line.startswith("WRONG")]
    assert len(wrong) == 1 and "gpu2: its files are not those of snapshot" in wrong[0]
    assert "This evidence does not hold." in found.out


def test_a_log_that_was_changed_vouches_for_nothing(fleet: Fleet) -> None:
    path = AuditLog(fleet.prompt.place / "home").path
    path.write_text(path.read_text().replace("ticket-4711", "ticket-4712"))
    said = fleet(f"prove tiny --output {place_of(fleet)}")
    assert (said.code, said.json()["error"]["kind"]) == (6, "integrity")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("prove", "name a model, or an answer"),
        ("prove other", "nothing serves other"),
        ("prove --request-id nobody", "no host's log has request nobody"),
        ("prove tiny --request-id nobody", "so its release is not known"),
        ("prove --request-id a/b", "is no id of a request"),
        (
            "prove tiny --answer-headers model_registry.yaml",
            "has no header of the toolkit's router",
        ),
        ("prove tiny --answer-headers nowhere", "nowhere"),
    ],
)
def test_what_names_no_answer_is_refused(fleet: Fleet, line: str, words: str) -> None:
    said = fleet(f"{line} --output {place_of(fleet)}")
    assert said.code == 2
    assert words in said.json()["error"]["message"]


def test_the_command_is_recorded_and_prints_what_to_do_next(fleet: Fleet) -> None:
    checker = fleet.prompt.place / "check.py"
    said = fleet.prompt(
        "prove", "tiny", "--output", str(place_of(fleet)), "--checker", str(checker)
    )
    assert said.code == 0
    assert checker.read_bytes() == CHECKER.read_bytes()
    command = said.out.splitlines()[-1].split()
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "It holds.")
    entry = fleet("audit list --limit 1").json()["entries"][0]
    assert (entry["command"], entry["outcome"], entry["model"]) == ("prove", "done", "tiny")


# Tampering.


def test_the_script_needs_nothing_but_python_3_9() -> None:
    tree = ast.parse(CHECKER.read_text("utf-8"), feature_version=(3, 9))
    modules = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {"argparse", "hashlib", "json", "sys", "typing"}
    assert check_evidence.__file__ == str(CHECKER)


@pytest.mark.parametrize("option", ["--output", "--checker"])
def test_a_place_that_takes_nothing_is_refused_before_any_file_is_hashed(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    hashed: list[str] = []
    for host in fleet.world.hosts.values():
        monkeypatch.setattr(host, "hash_files", lambda *_: hashed.append("it"))
    place = fleet.prompt.place
    others = f" --output {place / 'evidence.json'}" if option == "--checker" else ""
    for wrong, why in (
        (place / "nowhere/x", "No such file or directory"),
        (place, "Is a directory"),
    ):
        said = fleet(f"prove tiny {option} {wrong}{others}")
        assert (said.code, hashed) == (2, [])
        assert said.json()["error"]["message"] == f"{wrong} cannot be written: {why}"
