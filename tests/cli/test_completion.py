"""What the shell offers while a command is typed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import Shell, start


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: Shell, name: str, tmp_path: Path) -> None:
    said = shell("completion", name)
    assert said.code == 0
    assert "_TOOLKIT_COMPLETE" in said.out
    if name == "bash":
        done = subprocess.run(["bash", "-n"], input=said.out, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("toolkit de", ["deploy"]),
        ("toolkit re", ["releases", "repair", "registry"]),
        ("toolkit registry p", ["pin"]),
        ("toolkit deploy tiny --dry", ["--dry-run"]),
        ("toolkit logs tiny --slot g", ["green"]),
    ],
)
def test_completion_offers_what_there_is(shell: Shell, typed: str, offered: list[str]) -> None:
    words = {"_TOOLKIT_COMPLETE": "bash_complete", "COMP_WORDS": typed}
    shell.environment.update(words, COMP_CWORD=str(len(typed.split()) - 1))
    child = start(shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate(timeout=30)
    assert err == ""
    assert [line.partition(",")[2] for line in out.splitlines()] == offered
