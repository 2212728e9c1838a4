"""`toolkit doctor`: each thing that is not well has a line and a next command."""

from __future__ import annotations

import pytest

from tests.cli.shell import Shell


def test_the_doctor_looks_at_everything(shell: Shell) -> None:
    shell.registry.write_text("models: [")
    said = shell("doctor")
    found = shell("doctor", "--json").json()["findings"]
    levels = {each["subject"]: each["level"] for each in found}
    assert levels["ansible"] == levels["privileges"] == levels["host"] == "ok"
    assert levels["provisioning"] == levels["router"] == "warn"
    assert levels["registry"] == "fail"
    assert said.code == 7
    assert f"{shell.registry}:1:" in said.out
    assert "registry: check the indentation and the quotes around this line\n" in said.out


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("versions: {}", "'later' has no version"),
        ("versions: {v1: {revision: main}}", "revision 'main' is no full commit"),
        ("versions: {v1: {revision: " + "1" * 40 + "}}\n    licence: gpl", "gpl"),
    ],
)
def test_a_fault_of_the_registry_is_one_for_the_doctor_too(
    shell: Shell, entry: str, fault: str
) -> None:
    lines = shell.registry.read_text()
    model = lines.partition("  tiny:\n")[2].partition("    versions:")[0]
    if "licence" in entry:
        model = model.replace("    licence: mit\n", "")
    shell.registry.write_text(f"{lines}  later:\n{model}    {entry}\n")
    checked = shell("registry", "check", "--json").json()["findings"]
    faults = [each for each in checked if each["fault"]]
    assert len(faults) == 1
    assert fault in faults[0]["message"]
    said = shell("doctor")
    assert said.code == 7
    found = [
        each
        for each in shell("doctor", "--json").json()["findings"]
        if each["subject"] == "registry"
    ]
    words = ": ".join(filter(None, (faults[0][name] for name in ("place", "version", "message"))))
    hint = faults[0]["hint"] or "toolkit registry check"
    assert found == [{"level": "fail", "subject": "registry", "words": words, "hint": hint}]


def test_a_registry_that_is_not_there_keeps_nothing_from_being_looked_at(shell: Shell) -> None:
    shell.registry.unlink()
    said = shell("doctor")
    assert said.code == 0
    assert "\nwarn  registry " in said.out


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
