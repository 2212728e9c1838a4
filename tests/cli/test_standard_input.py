"""What stands on standard input is read as bytes: wrong ones, too many and none at all are wrong input."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.shell import ROOT, Shell

READERS = (
    "ask tiny -",
    "gate record tiny --prompts - --output o.yaml",
    "keys add ann --key-stdin",
)


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"caf\xe9\n", "byte 3 is not UTF-8 text\n"),
        (b"x" * 2**25, "has more than"),
        (None, "no standard input"),
    ],
    ids=["Latin-1", "too much", "closed"],
)
def test_what_cannot_be_read_is_wrong_input(
    shell: Shell, command: str, given: bytes | None, words: str
) -> None:
    (shell.place / "given").write_bytes(given or b"")
    source = "given" if given is not None else "&-"
    # As in a locale such as en_US.UTF-8. In that of C, Python lets each byte pass.
    variables = {**os.environ, **shell.environment, "PYTHONIOENCODING": "utf-8:strict"}
    said = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m toolkit.cli.main {command} <{source}"],
        env={**variables, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (said.returncode, said.stdout) == (2, ""), said.stderr
    assert said.stderr.startswith("error: ") and words in said.stderr
    assert "\nhint: " in said.stderr
    assert shell.untouched()


@pytest.mark.parametrize("given", ["", "\n \n"])
def test_an_empty_question_is_wrong_input(shell: Shell, given: str) -> None:
    # As where the command before it in a pipe has failed.
    said = shell("ask", "tiny", "-", stdin=given)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: the prompt on standard input is empty\nhint: ")


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "marked"])
def test_the_mark_of_utf_8_is_no_part_of_the_text(shell: Shell, mark: str) -> None:
    words = ("gate", "record", "tiny", "--prompts", "-", "--output", "o.yaml")
    said = shell(*words, stdin=f'{mark}{{"promt": "hi"}}\n')
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: standard input:1: unknown field 'promt'\n")
