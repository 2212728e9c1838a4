"""What a plan says on the screen: the traffic first, what changes line by line, and protections asked for by name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.adapters.ansible.certificate import settings_of
from toolkit.domain.hosts.fleet import Host

TLS = settings_of(Host("gpu1", router_bind="0.0.0.0:443"), "d1")
PLAIN = {**TLS, "router_tls": ""}


@pytest.fixture(params=[1, 3], ids=["on one host", "on three"])
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Fleet:
    return Fleet(prompt, monkeypatch, request.param)


@pytest.fixture
def serving(fleet: Fleet) -> Fleet:
    """A fleet that serves v1, over https."""
    assert fleet.prompt("deploy", "tiny@v1", "--yes").code == 0
    fleet.world.see(settings=TLS, converged="base-1")
    fleet.world.given["settings"] = TLS
    return fleet


@pytest.fixture
def plain(serving: Fleet) -> Fleet:
    """The same fleet, whose fleet file has lost its certificate."""
    serving.world.given.update(settings=PLAIN, provision_digest="base-2")
    return serving


def test_diff_shows_what_a_deployment_would_change_and_changes_nothing(serving: Fleet) -> None:
    before = serving.world.serving()
    said = serving.prompt("diff", "tiny@v2")
    one_by_one = ", host after host" if serving.world.count > 1 else ""
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        f"Traffic of tiny moves from #1 (v1) to #2 (v2){one_by_one}; #1 (v1) stays beside it for a return.\n"
        "serving tiny #1 (v1); wanted tiny #2 (v2)\n"
        "changes:\n"
        "  version          v1 -> v2\n"
        "  --max-model-len  absent -> 512\n"
    )
    assert serving.world.serving() == before

    same = serving.prompt("diff", "tiny@v1")
    assert same.out == "Nothing changes.\nserving tiny #1 (v1); wanted tiny #1 (v1)\n"


@pytest.mark.parametrize("fleet", [3], indirect=True)
def test_a_setting_of_one_host_names_the_host(serving: Fleet) -> None:
    serving.world.see("gpu2", settings={**TLS, "toolkit_firewall": True}, converged="old")
    serving.world.see("gpu1", "gpu3", settings={**TLS, "toolkit_user": "x"}, converged="old")
    assert serving.prompt("diff", "tiny@v1").out.splitlines()[3:] == [
        "  toolkit_user      x -> toolkit  [gpu1, gpu3]",
        "  toolkit_firewall  on -> off  [gpu2]",
        "    this turns off firewall: all ports of the host are open",
    ]


def test_http_instead_of_https_is_named_and_yes_does_not_agree_to_it(plain: Fleet) -> None:
    words = "\n  TLS  https -> http, not encrypted\n    this turns off tls: keys, prompts and answers cross"
    assert words in plain.prompt("diff", "tiny@v1").out
    for line in ("deploy tiny@v1 --yes", "deploy tiny@v1 --yes --unattended"):
        said = plain.prompt(*line.split())
        assert said.code == 3
        assert words in said.err
        assert (
            "error: the plan turns protection off, and --yes does not agree to that: tls: "
            in said.err
        )
        assert said.err.rstrip().endswith("--turn-off tls")
    assert {each.facts.converged for each in plain.world.hosts.values()} == {"base-1"}

    other = plain.prompt("deploy", "tiny@v1", "--yes", "--turn-off", "firewall")
    assert other.code == 3
    agreed = plain.prompt("deploy", "tiny@v1", "--yes", "--turn-off", "tls")
    assert agreed.code == 0
    assert {each.facts.converged for each in plain.world.hosts.values()} == {"base-2"}


@pytest.mark.parametrize(("typed", "code"), [("tls\ny\n", 0), ("yes\n", 3), ("\n", 3)])
def test_at_a_terminal_a_person_types_the_name(
    plain: Fleet, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    asked: list[str] = []
    answers = iter(typed.split("\n"))

    def prompted(text: str, **_: Any) -> str:
        asked.append(text)
        return next(answers)

    monkeypatch.setattr("toolkit.cli.views.changes.click.prompt", prompted)
    monkeypatch.setattr("toolkit.cli.views.changes.at_terminal", lambda: True)
    monkeypatch.setattr("toolkit.cli.views.plan.confirmed", lambda _: True)
    said = plain.prompt("deploy", "tiny@v1")
    assert (said.code, asked[0]) == (code, "this turns off tls; type tls to agree")


def test_the_plan_has_its_changes_in_json(plain: Fleet) -> None:
    data = json.loads(plain.prompt("deploy", "tiny@v2", "--dry-run", "--json").out)
    changes = data["plan"]["changes"]
    assert [each["subject"] for each in changes] == ["version", "--max-model-len", "TLS"]
    assert changes[2] == {
        "subject": "TLS", "before": "https", "after": "http, not encrypted", "turns_off": "tls", "hosts": [],
    }  # fmt: skip
    shown = json.loads(plain.prompt("diff", "tiny@v2", "--json").out)
    assert (shown["changes"], shown["traffic"]) == (changes, data["plan"]["traffic"])


def test_the_plan_begins_with_the_traffic_and_fits_80_columns(serving: Fleet) -> None:
    said = serving.prompt("deploy", "tiny@v2", "--dry-run")
    assert said.err.startswith("Traffic of tiny moves from #1 (v1) to #2 (v2)")
    listed = said.err.partition("changes:\n")[2].splitlines()[:2]
    assert max(map(len, listed)) <= 80
    assert "another option" not in said.err


def test_provision_asks_by_name_as_well(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(prompt, monkeypatch, 2)
    assert prompt("provision", "--yes").code == 0
    for host in fleet.world.hosts.values():
        kept = {**(host.facts.settings or {}), "toolkit_firewall": True}
        host.facts = replace(host.facts, settings=kept, converged="old")
    said = prompt("provision", "--yes")
    assert said.code == 3
    assert "  toolkit_firewall  on -> off\n    this turns off firewall: " in said.err
    assert prompt("provision", "--check").code == 0
    assert prompt("provision", "--yes", "--turn-off", "firewall").code == 0
    again = prompt("provision", "--yes")
    assert (again.code, "changes:" in again.err) == (0, False)


def test_plan_says_yes_first_and_lists_the_changes(serving: Fleet) -> None:
    said = serving.prompt("plan", "tiny@v2")
    names = ", ".join(serving.world.hosts)
    assert said.out.startswith(
        f"yes: tiny@v2 fits on {names}\n  {names}  yes on cpu: beside what serves\n"
    )
    assert (
        "\nchanges:\n  version          v1 -> v2\n  --max-model-len  absent -> 512\n\n" in said.out
    )
    changes = serving.prompt("plan", "tiny@v2", "--json").json()["changes"]
    assert [each["subject"] for each in changes] == ["version", "--max-model-len"]
