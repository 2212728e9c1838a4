"""The worked example of docs/evidence.md: its commands print what the document says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from tests.cli.evidence_site import HEADERS, ID, fleet, logged, slot_of
from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from tests.documents import ROOT

__all__ = ["fleet"]
TEXT = (ROOT / "docs" / "evidence.md").read_text("utf-8")


def blocks(heading: str, kind: str) -> list[list[str]]:
    """Return the lines of the code blocks of a kind under a heading."""
    section = re.split(rf"^## {heading}$", TEXT, flags=re.MULTILINE)[1]
    section = re.split(r"^## ", section, flags=re.MULTILINE)[0]
    return [each.splitlines() for each in re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL)]


def says(documented: list[str], printed: str) -> None:
    """Compare what the document shows with what was printed; … stands for what is different each time."""
    pattern = "\n".join(re.escape(line).replace("…", ".+") for line in documented)
    assert re.fullmatch(pattern, printed.rstrip("\n")), printed


def test_the_evidence_for_an_answer_is_as_documented(fleet: Fleet) -> None:
    logged(fleet)
    headers = HEADERS.format(id=ID, release=2, slot=slot_of(fleet))
    (fleet.prompt.place / "answer.txt").write_text(headers, newline="")
    _, [command] = blocks("Evidence for an answer", "sh")
    written, checked = blocks("Evidence for an answer", "text")
    said = fleet.prompt(*shlex.split(command)[1:])
    says(written, said.out)
    program, *words = shlex.split(said.out.splitlines()[-1])
    assert program == "python3"
    done = subprocess.run([sys.executable, "-I", *words], capture_output=True, text=True)
    assert done.returncode == 0
    says(checked, done.stdout)


def test_the_perimeter_is_as_documented(fleet: Fleet) -> None:
    [commands] = blocks("The perimeter", "sh")
    [shown] = blocks("The perimeter", "text")
    says(shown, fleet.prompt(*shlex.split(commands[0])[1:]).out)
    one = fleet.prompt(*shlex.split(commands[1].replace("gpu-1", "gpu1"))[1:]).json()
    assert list(one["hosts"]) == ["gpu1"]


def test_the_script_is_as_short_as_documented() -> None:
    lines = len((ROOT / "toolkit" / "check_evidence.py").read_text("utf-8").splitlines())
    assert "370 lines to read" in TEXT
    assert lines <= 370


@pytest.mark.parametrize("word", ["bom", "prove"])
def test_a_bare_command_says_how_it_is_used(prompt: Prompt, word: str) -> None:
    said = prompt(word)
    assert (said.code, "Usage: toolkit" in said.err) == (2, True)
