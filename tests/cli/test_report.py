"""`toolkit report`: the page that it writes, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cli.shell import Prompt, Shell
from tests.cli.test_json import Fleet
from tests.workflows.cost_week import WEEKS, Week
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


def test_a_metered_host_has_the_cost_of_its_readings(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mixed week: `large` costs 135.34 with the readings, see tests/workflows/test_cost_weeks.py."""
    Week("mixed", shell.place / "home").history.close()
    files, end = WEEKS / "mixed", datetime(2026, 11, 9, tzinfo=UTC).timestamp() - 1
    monkeypatch.setattr("toolkit.cli.commands.report.time.time", lambda: end)
    rate = "exchange: {USD: {rate: 0.92, read: 2026-11-01}}\n"
    (shell.place / "costs.yaml").write_text((files / "costs.yaml").read_text() + rate)
    words = ("report", "--no-outdated", "--since", "2026-11-02")
    assert shell(*words).code == 0
    assert "135.34" not in (shell.place / "report.html").read_text("utf-8")
    assert shell(*words, "--readings", str(files / "meter.csv")).code == 0
    assert "135.34" in (shell.place / "report.html").read_text("utf-8")
    (shell.place / "other.csv").write_text("at,host,kwh\n1762000000,gpu9,5\n")
    assert shell(*words, "--readings", "other.csv").code == 0
    assert "gpu9 has readings, and no price" in (shell.place / "report.html").read_text("utf-8")
    (shell.place / "other.csv").write_text("at,host,kwh\n1762000000,gpu9,-5\n")
    said = shell(*words, "--readings", "other.csv")
    assert (said.code, "other.csv:2: '-5' is no number" in said.err) == (2, True)
    (shell.place / "costs.yaml").unlink()
    assert "--readings counts for nothing" in shell(*words, "--readings", "other.csv").err


def test_a_fault_of_the_costs_is_told_before_sources_are_asked(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of theirs takes up to 18 seconds, of which nothing would be left."""
    asked: list[object] = []
    monkeypatch.setattr("toolkit.cli.commands.report._upstream", lambda *given: asked.append(given))
    said = shell("report", "--costs", ".")
    assert (said.code, asked) == (2, [])
    assert said.err.endswith("error: . is a directory\nhint: name a file\n")


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
