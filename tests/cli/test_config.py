"""`toolkit config` names each setting's value and origin, and no secret."""

from __future__ import annotations

import pytest

from tests.cli.shell import Shell


def origins(shell: Shell, *words: str) -> dict[str, tuple[str, str]]:
    found = shell("config", *words, "--json").json()["settings"]
    return {each["name"]: (each["value"], each["origin"]) for each in found}


def test_each_value_has_its_origin(shell: Shell) -> None:
    found = origins(shell, "--registry", "other.yaml")
    assert found["registry"] == (f"{shell.place}/other.yaml (no such file)", "flag")
    assert found["fleet"] == (f"{shell.place}/fleet.yaml", "environment TOOLKIT_FLEET")
    assert found["home"] == (f"{shell.place}/home", "environment TOOLKIT_HOME")
    assert found["history"] == (f"{shell.place}/home/history.db", "default")
    assert found["root of localhost"] == (str(shell.root), f"file {shell.place}/fleet.yaml")
    assert shell.untouched()


@pytest.mark.parametrize(
    ("name", "usual"),
    [("schedule", "schedule.yaml"), ("costs", "costs.yaml"), ("notify", "home/notify.yaml")],
)
def test_files_that_a_command_reads_where_they_are_there_are_named(
    shell: Shell, name: str, usual: str
) -> None:
    assert origins(shell)[name] == (f"{shell.place}/{usual} (no such file)", "default")
    variable, other = f"TOOLKIT_{name.upper()}", shell.place / "other.yaml"
    other.touch()
    shell.set(variable, other)
    assert origins(shell)[name] == (str(other), f"environment {variable}")


@pytest.mark.parametrize(
    ("variable", "value", "name", "shown"),
    [
        ("TOOLKIT_HISTORY", "postgresql://ann:geheim@db/h", "history", "postgresql://ann@db/h"),
        ("TOOLKIT_HISTORY", "postgresql://ann:ge@heim@db/h", "history", "an address that cannot be read"),
        ("TOOLKIT_PROMETHEUS", "http://ann:geheim@p:9090", "prometheus", "an address that cannot be read"),
        ("TOOLKIT_PROMETHEUS", "https://p:9090/sub/", "prometheus", "https://p:9090/sub"),
        ("ANSIBLE_BECOME_PASSWORD_FILE", "/etc/sudo-pass", "sudo password file", "/etc/sudo-pass"),
        ("TOOLKIT_KEY", "geheim", "key for ask", "set"),
        ("HF_TOKEN", "geheim", "hub token", "set"),
    ],
)  # fmt: skip
def test_secrets_are_not_shown(
    shell: Shell, variable: str, value: str, name: str, shown: str
) -> None:
    shell.set(variable, value)
    assert origins(shell)[name] == (shown, f"environment {variable}")
    assert "heim" not in shell("config").out


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("fleet", "config"),
        ("registry", "registry list"),
        ("schedule", "schedule list"),
        ("costs", "cost --tokens-in 1 --tokens-out 1"),
    ],
)
def test_a_tilde_is_the_home_of_the_user_also_where_no_shell_replaces_it(
    shell: Shell, name: str, command: str
) -> None:
    shell.set("HOME", shell.place)
    (shell.place / "mine.yaml").write_text("[")
    shell.set(f"TOOLKIT_{name.upper()}", "~/mine.yaml")
    for words in ([], [f"--{name}=~/mine.yaml"]):
        said = shell(*command.split(), *words)
        assert said.code == 2
        # It has found the file, and reads what is wrong in it.
        assert f"error: {shell.place}/mine.yaml:1:" in said.err


def test_a_list_of_hosts_is_no_file(shell: Shell) -> None:
    shell.set("TOOLKIT_FLEET", "10.0.0.1,10.0.0.2,")
    assert origins(shell)["fleet"][0] == "10.0.0.1,10.0.0.2,"


def test_a_fleet_that_cannot_be_read_is_an_error_below_the_other_settings(shell: Shell) -> None:
    shell.set("TOOLKIT_FLEET", shell.place / "nosuch.yaml")
    said = shell("config")
    assert said.code == 2
    assert "nosuch.yaml (no such file)" in said.out
