"""A home on a disk that is mounted for reading alone, as after a fault of it: hosts can still be asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Prompt, Shell, remove_scratch
from tests.workflows.world import release
from toolkit.adapters.disk import modules_of, scratch_of
from toolkit.adapters.history.history import History


@pytest.fixture
def home(shell: Shell) -> Iterator[Path]:
    """A home with a release in its history, which others may read and nobody may write to."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a disk needs root")
    disk = shell.place / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=True, capture_output=True)
    try:
        place = disk / "home"
        history = History(place / "history.db", lambda: 0.0)
        history.add_release(release(1))
        history.close()
        place.chmod(0o755)
        again = ["mount", "-o", "remount,ro", disk]
        subprocess.run(again, check=True, capture_output=True)
        shell.set("TOOLKIT_HOME", place)
        yield place
    finally:
        remove_scratch(disk / "home")
        subprocess.run(["umount", "--lazy", disk], check=True, capture_output=True)


def test_commands_that_only_look_go_on(shell: Prompt, home: Path) -> None:
    said = shell("status")
    assert said.code == 0
    assert f"the history {home}/history.db cannot be opened: its disk is read-only" in said.err
    said = shell("doctor")
    assert f"history: mount it for writing (findmnt -T {home}" in said.out
    assert "move it away" not in said.out
    assert shell("audit").code == 0


@pytest.mark.parametrize(
    "line", ["releases tiny", "deploy tiny --yes", "pull tiny@v1", "keys add ann"]
)
def test_a_command_that_needs_it_names_the_way_out(shell: Shell, home: Path, line: str) -> None:
    said = shell(*line.split())
    assert said.code != 0
    assert f"hint: mount it for writing (findmnt -T {home}" in said.err
    assert "free space" not in said.err
    assert shell.untouched()


def test_sockets_of_hosts_lie_elsewhere(home: Path) -> None:
    assert not scratch_of(home).is_relative_to(home)
    assert modules_of(home) is None


def test_hosts_are_asked_from_a_home_that_takes_no_new_files(shell: Prompt, tmp_path: Path) -> None:
    home = tmp_path / "immutable"
    home.mkdir()
    if subprocess.run(["chattr", "+i", home], capture_output=True, check=False).returncode:
        pytest.skip("files cannot be made immutable here")
    try:
        shell.set("TOOLKIT_HOME", home)
        said = shell("status")
        assert said.code == 0, said.err
        assert not scratch_of(home).is_relative_to(home)
        assert modules_of(home) is None
    finally:
        subprocess.run(["chattr", "-i", home], check=True)
        remove_scratch(home)
