"""`toolkit keys` as a person types it, on a host of this machine that has no router yet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.cli.shell import Prompt
from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.clients.keys import KeyRing
from toolkit.workflows.fleet.keys import FleetKeys, change_keys

KEY = "a-key-from-elsewhere-" + "k" * 32


class Desk(Prompt):
    """A prompt with a host root of its own."""

    def __init__(
        self, place: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(place, capsys, patch)
        self.root = place / "root"
        self.fleet(f"localhost: {{ansible_connection: local, toolkit_root: {self.root}}}")
        self.set("TOOLKIT_FLEET", place / "fleet.yaml")

    def fleet(self, *hosts: str) -> None:
        lines = "".join(f"    {host}\n" for host in hosts)
        (self.place / "fleet.yaml").write_text(f"all:\n  hosts:\n{lines}")


@pytest.fixture
def desk(
    short_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    return Desk(short_path, capsys, monkeypatch)


def test_a_key_is_shown_once_on_standard_output_and_kept_by_its_digest(desk: Desk) -> None:
    code, out, err = desk("keys", "add", "ann", "--requests-per-minute", "60")
    assert code == 0
    # 32 bytes: 43 characters of base64
    assert re.fullmatch(r"tk-[A-Za-z0-9_-]{43}\n", out)
    assert "not shown again" in err
    written = [path.read_text() for path in desk.root.rglob("*") if path.is_file()]
    assert any("ann|60|0" in text for text in written)
    assert not any(out.strip() in text for text in written)
    code, out, _ = desk("keys", "list")
    assert (code, out.split()[:9]) == (
        0,
        ["NAME", "KEY", "A", "MINUTE", "AT", "ONCE", "INSIDE", "SINCE", "ann"],
    )


@pytest.mark.parametrize("begun", [True, False])
def test_an_interrupted_change_of_keys_says_what_hosts_may_have_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, begun: bool
) -> None:
    """The first key shuts the door for all others: who is told `interrupted` believes that nothing changed."""

    def cut_short(hosts: Sequence[HostPort], edit: Callable[[KeyRing], KeyRing]) -> FleetKeys:
        if begun:
            change_keys(hosts, edit)
        raise KeyboardInterrupt

    desk("keys", "add", "bob")
    monkeypatch.setattr("toolkit.cli.commands.keys.change_keys", cut_short)
    code, out, err = desk("keys", "add", "ann")
    assert code == 130
    if not begun:
        assert (out, err.strip()) == ("", "interrupted")
        return
    assert re.fullmatch(r"tk-[A-Za-z0-9_-]{43}\n", out)
    what = "error: interrupted; keys are not taken back, and hosts may have"
    hint = "hint: toolkit keys list; toolkit keys revoke NAME, or toolkit keys sync"
    assert err.splitlines() == [f"{what} the key of ann already", hint]
    assert desk("keys", "revoke", "ann").err.splitlines() == [f"{what} revoked ann already", hint]
    desk("keys", "revoke", "bob")
    assert desk("keys", "open").err.splitlines() == [f"{what} let everybody in already", hint]
    assert desk("keys", "add", "eve", "--json").json()["error"]["kind"] == "interrupted"


def test_quotas_of_a_key_are_listed_and_told(desk: Desk) -> None:
    assert (
        desk("keys", "add", "ann", "--tokens-per-day", "2000000", "--requests-per-month", "9")[0]
        == 0
    )
    desk("keys", "add", "bob")
    out = desk("keys", "list")[1]
    assert out.splitlines()[-1] == "ann: at most 2,000,000 tokens a day, 9 requests a month"
    ann, bob = sorted(
        desk("keys", "list", "--json").json()["keys"], key=lambda key: str(key["name"])
    )
    assert (ann["tokens_per_day"], ann["requests_per_day"], bob["tokens_per_day"]) == (
        2_000_000,
        0,
        0,
    )
    # An older toolkit knows no such field.
    (text,) = [path.read_text() for path in desk.root.rglob("keys.json")]
    assert text.count("_per_day") == 1
    assert desk("keys", "add", "eve", "--tokens-per-day", "0")[0] == 2


COSTS = """\
currency: EUR
hosts: {gpu1: {from: 2026-01-01, hourly: 2}}
charge:
  tiny: {from: 2026-11-01, input: 0.98, cached: 0.098, output: 7.9}
"""


def test_a_quota_of_cost_goes_out_with_its_prices(desk: Desk) -> None:
    costs = desk.place / "costs.yaml"
    add = ("keys", "add", "ann", "--cost-per-month", "50EUR", "--costs", str(costs))
    assert desk(*add)[0] == 2
    costs.write_text(COSTS.partition("charge")[0])
    err = desk(*add)[2]
    assert "the file of costs does not say what keys are charged" in err
    assert "write it under `charge:`: toolkit cost --since 30d" in err
    costs.write_text(COSTS)
    assert desk(*add[:4], "50USD", *add[5:])[0] == 2
    assert desk(*add)[0] == 0
    assert desk("keys", "list")[1].splitlines()[-1] == "ann: at most EUR 50.00 a month"
    listed = desk("keys", "list", "--json").json()
    assert (listed["keys"][0]["cost_per_month"], listed["currency"]) == (50_000_000, "EUR")
    (text,) = [path.read_text() for path in desk.root.rglob("keys.json")]
    charge = json.loads(text)["charge"]
    price = {"begins": "2026-11-01", "input": 980_000, "cached": 98_000, "output": 7_900_000}
    assert charge["models"] == {"tiny": [price]}
    # New prices come with the next `keys sync`; the same ones change nothing.
    sync = ("keys", "sync", "--costs", str(costs))
    assert "count by the prices" not in desk(*sync)[2]
    costs.write_text(COSTS.replace("7.9", "8"))
    assert "count by the prices" in desk(*sync)[2]
    (text,) = [path.read_text() for path in desk.root.rglob("keys.json")]
    assert json.loads(text)["charge"]["models"]["tiny"][0]["output"] == 8_000_000


def test_two_keys_are_never_the_same(desk: Desk) -> None:
    assert desk("keys", "add", "ann")[1] != desk("keys", "add", "bob")[1]


def test_an_open_door_is_told_loudly(desk: Desk) -> None:
    code, out, _ = desk("keys", "list")
    assert code == 0
    assert "THE DOOR IS OPEN: there are no keys" in out
    desk("keys", "add", "ann")
    assert "OPEN" not in desk("keys", "list")[1]
    assert "nobody gets in" in desk("keys", "revoke", "ann")[1]
    assert "nobody gets in" in desk("keys", "list")[1]
    assert "THE DOOR IS OPEN" in desk("keys", "open")[1]


def test_a_key_from_elsewhere_comes_over_standard_input_and_is_not_said(desk: Desk) -> None:
    code, out, err = desk("keys", "add", "ann", "--key-stdin", stdin=KEY + "\n")
    assert (code, out) == (0, "")
    assert KEY not in err
    code, out, _ = desk("keys", "add", "bob", "--key-stdin", "--json", stdin="short\n")
    assert (code, json.loads(out)["error"]["kind"]) == (2, "bad-input")


def test_json_says_what_was_changed(desk: Desk) -> None:
    code, out, _ = desk("keys", "add", "ann", "--concurrency", "4", "--json")
    made = json.loads(out)
    assert (code, made["door"], made["behind"], made["unreachable"]) == (0, "locked", [], {})
    assert (made["keys"][0]["name"], made["keys"][0]["concurrency"]) == ("ann", 4)
    assert made["key"].startswith("tk-")
    listed = json.loads(desk("keys", "list", "--json")[1])
    assert listed["keys"] == made["keys"]
    assert made["key"] not in str(listed)
    revoked = json.loads(desk("keys", "revoke", "ann", "--json")[1])
    assert revoked["keys"][0]["revoked"] > 0
    assert json.loads(desk("keys", "sync", "--json")[1])["door"] == "locked"
    assert json.loads(desk("keys", "open", "--json")[1])["door"] == "open"


def test_a_host_that_did_not_answer_is_named_after_the_key_was_shown(desk: Desk) -> None:
    here = f"{{ansible_connection: local, toolkit_address: 127.0.0.1, toolkit_root: {desk.root}}}"
    # nothing listens on port 1
    away = "{ansible_host: 127.0.0.1, ansible_port: 1, toolkit_address: 127.0.0.2}"
    desk.fleet(f"here: {here}", f"away: {away}")
    code, out, err = desk("keys", "add", "ann")
    assert (code, out[:3]) == (7, "tk-")
    assert re.search(r"away: .*connect to host 127\.0\.0\.1 port 1: Connection refused", err)
    assert "hint: when they are back: toolkit keys sync" in err
    code, out, _ = desk("keys", "revoke", "ann", "--json")
    assert (code, list(json.loads(out)["unreachable"])) == (7, ["away"])
    desk.fleet(f"away: {away}")
    code, out, err = desk("keys", "add", "bob")
    assert (code, out) == (7, "")
