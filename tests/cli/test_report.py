"""`toolkit report`: the page that it writes, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.shell import Prompt, Shell
from tests.cli.test_json import Fleet
from toolkit.errors import HostError


def test_a_fleet_and_its_deployment_are_on_the_page(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(prompt, monkeypatch, 3)
    # This clock goes on with each question, so it would be ahead of the report's.
    fleet.world.time -= 20
    assert fleet.prompt("deploy", "tiny@v1", "--yes").code == 0

    def away(*_: Any) -> Any:
        raise HostError("gpu2: it does not answer <b>", hint="ping gpu2")

    monkeypatch.setattr(fleet.world.hosts["gpu2"], "observe", away)
    said = fleet.prompt("report", "--no-outdated")
    assert (said.code, said.err) == (0, "gpu2: it does not answer <b>\n")
    assert said.out.startswith("report.html: ")
    text = (prompt.place / "report.html").read_text("utf-8")
    for each in (
        "✓ live",
        "✕ unreachable",
        "it does not answer &lt;b&gt;",
        "✓\xa0#1 v1: serving, 100%",
    ):
        assert each in text, each
    document = fleet("report --no-outdated --output other.html").json()
    assert (document["members"], document["changes"]) == (3, {"live": 1})
    assert list(document["unreachable"]) == ["gpu2"]
    assert document["bytes"] == len((prompt.place / "other.html").read_bytes())


def test_a_fault_of_the_costs_and_of_the_registry_is_told(shell: Shell) -> None:
    costs = shell.place / "costs.yaml"
    costs.write_text("hosts: {localhost: {from: 2026-01-01, hourly: -1}}\n")
    said = shell("report", "--no-outdated")
    assert said.code == 2
    assert "costs.yaml" in said.err
    costs.unlink()
    assert shell("report", "--no-outdated").code == 0
    assert "Not set: " in (shell.place / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--since", "yesterday"), "--since 'yesterday' is no time"),
        (("--since", "2999-01-01"), "is not in the past"),
        (("--costs", "absent.yaml"), "absent.yaml does not exist"),
        (("--output", "nowhere/report.html"), "nowhere"),
    ],
)
def test_bad_input_is_refused(shell: Shell, words: tuple[str, ...], message: str) -> None:
    said = shell("report", "--no-outdated", *words)
    assert said.code == 2
    assert message in said.err
