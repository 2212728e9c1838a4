"""The manual page has every command and every option, in roff without a fault."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.cli.shell import Shell
from toolkit.cli.main import COMMANDS


def test_the_page_has_every_command_and_its_options(shell: Shell) -> None:
    said = shell("man")
    assert said.code == 0
    for name in COMMANDS:
        assert f".SS toolkit {name}" in said.out
    assert "\\-\\-drain\\-timeout" in said.out
    assert "registry show" in said.out


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here")
def test_roff_takes_the_page_without_a_warning(shell: Shell) -> None:
    page = shell("man").out
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-z"], input=page, text=True, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, "")
