"""A command or an option that is not there, or not in its place: the message names the one that was meant."""

from __future__ import annotations

import pytest

from tests.cli.shell import Shell


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("delpoy", "'deploy'"), ("stats", "'status'"), ("roolback", "'rollback'"), ("registry lsit", "'list'"),
        ("deploy --dry-rum", "--dry-run"),
        # habits of other programs
        ("help", "'--help'"), ("help deploy", "'deploy --help'"), ("version", "'--version'"),
        ("pin tiny", "'registry pin'"), ("init", "'registry init'"), ("drain gpu1", "'hosts drain'"),
        ("lock 0.32.0", "'engine lock'"),
    ],
)  # fmt: skip
def test_a_slip_of_the_keyboard_is_named(shell: Shell, words: str, meant: str) -> None:
    said = shell(*words.split())
    assert said.code == 2
    assert "Did you mean" in said.err
    assert meant in said.err


@pytest.mark.parametrize(
    ("words", "rightly"),
    [
        ("--json status", "toolkit status --json"),
        ("--fleet f.yaml deploy tiny --yes", "toolkit deploy --fleet ..."),
        ("--yes", "toolkit COMMAND --yes"),
    ],
)
def test_an_option_before_its_command_is_told_its_place(
    shell: Shell, words: str, rightly: str
) -> None:
    said = shell(*words.split())
    assert said.code == 2
    assert f"stands after the command: {rightly}" in said.remarks + said.out


def test_an_option_that_no_command_has_has_no_place(shell: Shell) -> None:
    said = shell("--nosuch", "status")
    assert said.code == 2
    assert "stands after" not in said.err
