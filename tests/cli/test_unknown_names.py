"""A name that nobody knows is wrong input, with the same code for every command and a hint or a list to go on with."""

from __future__ import annotations

import pytest

from tests.cli.shell import Shell

UNKNOWN = (
    "plan nosuch", "plan tiny@nosuch", "diff nosuch", "deploy nosuch --yes", "deploy tiny@nosuch --yes",
    "deploy tiny --host nosuch --yes", "upgrade nosuch --yes", "upgrade tiny --to nosuch --yes", "gate nosuch --yes",
    "gate run nosuch", "rollback nosuch --yes",
    "rollback tiny --to nosuch --yes", "rollback tiny --to 9 --yes", "watch nosuch --once", "promote nosuch",
    "abort nosuch", "status nosuch", "status --fleet nosuch", "releases nosuch", "logs nosuch",
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


def test_a_model_of_the_registry_need_not_be_in_the_log(shell: Shell) -> None:
    said = shell("audit", "list", "--model", "tiny")
    assert (said.code, said.out) == (0, "nothing is recorded of that\n")


def test_a_model_of_the_registry_need_not_be_deployed(shell: Shell) -> None:
    said = shell("status", "tiny")
    assert (said.code, "tiny is not deployed" in said.out) == (0, True)
