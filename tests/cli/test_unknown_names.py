"""A name that nobody knows is wrong input, with the same code for every command and a hint or a list to go on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import Shell
from toolkit.cli.completion.names import ARGUMENTS, Name
from toolkit.cli.completion.unknown_model import is_known
from toolkit.config.completion.known_names import remember

UNKNOWN = (
    "plan nosuch", "plan tiny@nosuch", "diff nosuch", "deploy nosuch --yes", "deploy tiny@nosuch --yes",
    "deploy tiny --host nosuch --yes", "upgrade nosuch --yes", "upgrade tiny --to nosuch --yes", "gate nosuch --yes",
    "gate run nosuch", "rollback nosuch --yes",
    "rollback tiny --to nosuch --yes", "rollback tiny --to 9 --yes", "watch nosuch --once", "promote nosuch",
    "abort nosuch", "status nosuch", "status --fleet nosuch", "releases nosuch", "logs nosuch", "requests nosuch",
    "requests --host nosuch", "requests nosuch -f", "sleep nosuch --yes", "wake nosuch", "slo nosuch", "bom nosuch",
    "usage --model nosuch --no-hosts",
    "prove nosuch --output d",
    "logs tiny --slot nosuch", "logs tiny --host nosuch", "ask tiny hi --version nosuch", "ask tiny hi --slot nosuch",
    "ask tiny hi --host nosuch", "stop nosuch --yes", "stop tiny --host nosuch --yes", "pull nosuch",
    "pull tiny@nosuch", "update nosuch", "outdated nosuch", "registry show nosuch", "registry show tiny@nosuch",
    "registry accept nosuch@v1", "registry accept tiny@nosuch", "registry pin nosuch", "registry pin tiny@nosuch",
    "bundle create nosuch --to d", "bundle create tiny@nosuch --to d", "bundle show nosuch", "bundle load nosuch",
    "hosts drain nosuch --yes", "hosts forget nosuch --yes", "provision nosuch --yes", "keys revoke nosuch",
    "engine install nosuch --yes", "engine lock nosuch --accelerator cpu", "audit show nosuch", "completion nosuch",
    "audit list --who nosuch", "audit list --model nosuch", "diff tiny --host nosuch", "gate run tiny --host nosuch",
    "engine lock 0.32.0 --accelerator nosuch",
    "engine lock 0.32.0 --accelerator cpu --python nosuch", "bundle create tiny --to d --accelerator nosuch",
    "schedule nosuch", "engine install 0.32.0 --host nosuch --yes", "pull tiny --registry nosuch",
    "plan tiny --fleet nosuch", "schedule next --schedule nosuch", "deploy tiny --turn-off nosuch --yes",
    "provision --turn-off nosuch --yes",
    "nosuch", "registry nosuch",
)  # fmt: skip


@pytest.mark.parametrize("command", UNKNOWN)
def test_an_unknown_name_is_wrong_input(shell: Shell, command: str) -> None:
    said = shell(*command.split())
    assert (said.code, said.out) == (2, "")
    assert "nosuch" in said.err or "9" in said.err
    assert shell.untouched()


@pytest.mark.parametrize(
    "command",
    [
        each
        for each in UNKNOWN
        if ARGUMENTS.get(each.split()[0]) in (Name.MODEL, Name.VERSIONED)
        and each.split()[1:2] == ["nosuch"]
    ],
)
def test_no_hint_leads_on_with_a_name_that_nobody_knows(shell: Shell, command: str) -> None:
    hint = shell(*command.split()).err.partition("hint: ")[2]
    assert hint and "nosuch" not in hint


def test_the_hint_names_the_model_that_was_meant(shell: Shell) -> None:
    for command in (
        "releases",
        "rollback",
        "logs",
        "stop",
        "watch",
        "promote",
        "status",
        "requests",
    ):
        assert shell(command, "tinny").err.endswith("hint: did you mean tiny?\n"), command
    assert shell("releases", "TINY").err.endswith("hint: did you mean tiny?\n")
    said = shell("rollback", "tinny", "--json")
    assert said.json()["error"]["hint"] == "did you mean tiny?"


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("stop tiny@v1 --yes", "toolkit stop tiny"),
        ("rollback tiny@v1 --yes", "toolkit rollback tiny --to v1"),
        ("logs tiny@v1", "toolkit logs tiny"),
        ("status tiny@v1", "toolkit status tiny"),
        ("releases tiny@v1", "toolkit releases tiny"),
        ("sleep tiny@v1", "toolkit sleep tiny"),
        ("requests tiny@v1", "toolkit requests tiny"),
        ("slo tiny@v1", "toolkit slo tiny"),
        ("watch tiny@v1 --once", "toolkit watch tiny"),
        ("upgrade tiny@v1 --yes", "toolkit upgrade tiny --to v1"),
        ("ask tiny@v1 hello", "toolkit ask tiny --version v1 QUESTION"),
        ("stop nosuch@v1 --yes", "toolkit registry list"),
    ],
)
def test_a_command_for_a_whole_model_says_how_to_name_a_version(
    shell: Shell, command: str, hint: str
) -> None:
    said = shell(*command.split())
    assert (said.code, said.out) == (2, "")
    assert said.err.endswith(f"hint: {hint}\n")


def test_without_a_registry_the_hint_leads_to_what_runs(shell: Shell) -> None:
    shell.registry.unlink()
    assert shell("releases", "nosuch").err.endswith("hint: toolkit status\n")


def test_a_model_of_the_registry_need_not_be_in_the_log(shell: Shell) -> None:
    said = shell("audit", "list", "--model", "tiny")
    assert (said.code, said.out) == (0, "nothing is recorded of that\n")


def test_a_model_of_the_registry_need_not_be_deployed(shell: Shell) -> None:
    said = shell("status", "tiny")
    assert (said.code, "tiny is not deployed" in said.out) == (0, True)


def test_a_name_that_used_nothing_yet_is_known(shell: Shell) -> None:
    said = shell("usage", "--model", "tiny", "--no-hosts")
    assert (said.code, said.out) == (0, "no use is recorded in these days\n")


def test_a_model_of_the_registry_need_not_have_been_asked(shell: Shell) -> None:
    said = shell("requests", "tiny")
    assert (said.code, said.out, said.err) == (0, "", "no request is logged of tiny\n")
    # Who asks for none learns nothing of how many there are.
    said = shell("requests", "tiny", "--lines", "0")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_a_key_is_unknown_where_keys_are_known(shell: Shell) -> None:
    assert shell("usage", "--key", "nosuch", "--no-hosts").code == 0
    remember(shell.place / "home", str(shell.place / "fleet.yaml"), keys=["nobody"])
    said = shell("usage", "--key", "nosuch", "--no-hosts")
    assert (said.code, said.out) == (2, "")
    assert "no key 'nosuch' on the hosts" in said.err
    assert shell("usage", "--key", "nobody", "--no-hosts").code == 0


def test_a_history_on_a_server_may_have_any_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = {"registry": "", "fleet": "", "home": str(tmp_path)}
    assert not is_known("tiny", site)
    monkeypatch.setenv("TOOLKIT_HISTORY", "postgresql://ops@db/history")
    assert is_known("tiny", site)


LATER = """\
  later:
    description: it has no version
    licence: mit
    openness: fully-open
    source: {repo: acme/later}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 1GiB}
"""
LOOSE = LATER.replace("later", "loose") + "    versions: {v1: {revision: main}}\n"


@pytest.mark.parametrize("command", ["bundle create {} --to out --dry-run", "pull {}", "plan {}"])
@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("later", "later has no version yet"),
        ("later@v1", "later has no version yet"),
        ("loose", "loose@v1 is not pinned: its revision is 'main'"),
        ("loose@v1", "loose@v1 is not pinned: its revision is 'main'"),
    ],
)
def test_a_model_that_waits_for_its_pin_is_refused_with_the_command_that_pins_it(
    shell: Shell, command: str, spec: str, why: str
) -> None:
    shell.registry.write_text(shell.registry.read_text() + LATER + LOOSE)
    said = shell(*command.format(spec).split())
    name = spec.partition("@")[0]
    assert said.err.endswith(f"error: {why}\nhint: toolkit registry pin {name}\n")
    assert said.code == 2


def test_status_knows_a_model_that_waits_for_its_pin(shell: Shell) -> None:
    shell.registry.write_text(shell.registry.read_text() + LATER)
    assert shell("status", "later").code == 0
    assert shell("status", "latter").code == 2
