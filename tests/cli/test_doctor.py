"""`toolkit doctor`: each thing that is not well has a line and a next command."""

from __future__ import annotations

from tests.cli.shell import Shell


def test_the_doctor_looks_at_everything(shell: Shell) -> None:
    shell.registry.write_text("models: [")
    said = shell("doctor")
    found = shell("doctor", "--json").json()["findings"]
    levels = {each["subject"]: each["level"] for each in found}
    assert levels["ansible"] == levels["privileges"] == levels["host"] == "ok"
    assert levels["registry"] == levels["provisioning"] == levels["router"] == "warn"
    assert said.code == 0
    assert f"{shell.registry}:1:" in said.out
    assert "registry: toolkit registry check\n" in said.out


def test_the_doctor_names_a_host_that_does_not_answer(shell: Shell) -> None:
    fleet = shell.place / "fleet.yaml"
    fleet.write_text(fleet.read_text() + "      ansible_python_interpreter: /bin/false\n")
    said = shell("doctor")
    assert said.code == 7
    assert "of 6 checks failed" in said.err
    levels = {
        each["subject"]: each["level"] for each in shell("doctor", "--json").json()["findings"]
    }
    assert levels["host"] == "fail"


def test_the_doctor_names_a_history_that_cannot_be_opened(shell: Shell) -> None:
    (shell.place / "home").mkdir()
    (shell.place / "home" / "history.db").write_text("no history" * 500)
    said = shell("doctor")
    assert said.code == 7
    assert "history.db cannot be opened: file is not a database" in said.out
