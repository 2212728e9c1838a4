"""A home that this user cannot enter, as after `sudo toolkit`, or files of a history that are another user's."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

import pytest

from tests.cli.shell import Prompt, remove_scratch
from tests.cli.test_full_disk import FullHome
from tests.workflows.world import release
from toolkit.adapters.disk import way_in
from toolkit.adapters.history.history import History

# What lets root read and enter what others keep to themselves: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
_READS_ALL = 1 << 1 | 1 << 2
_VERSION_3 = 0x20080522


def _let_root_read_all(*, on: bool) -> None:
    """Give this thread, and those that it starts, the rights of root at other users' files, or take them."""
    libc, header = ctypes.CDLL(None, use_errno=True), struct.pack("Ii", _VERSION_3, 0)
    held = ctypes.create_string_buffer(24)
    assert libc.capget(ctypes.create_string_buffer(header), held) == 0
    effective, *others = struct.unpack("6I", held.raw)
    effective = effective | _READS_ALL if on else effective & ~_READS_ALL
    wanted = ctypes.create_string_buffer(struct.pack("6I", effective, *others))
    assert libc.capset(ctypes.create_string_buffer(header), wanted) == 0


@pytest.fixture
def closed(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Iterator[FullHome]:
    """A home that nobody may enter; its only host serves the second of two releases."""
    (prompt.place / "disk").mkdir()
    found = FullHome(prompt, monkeypatch)
    found.world.deploy(release(1))
    found.world.deploy(release(2))
    found.home.mkdir()
    found.home.chmod(0)
    root = os.geteuid() == 0
    if root:
        _let_root_read_all(on=False)
    try:
        yield found
    finally:
        if root:
            _let_root_read_all(on=True)
        found.home.chmod(0o700)
        remove_scratch(found.home)


def test_what_serves_is_shown_and_goes_back(closed: FullHome) -> None:
    said = closed("status")
    assert said.code == 0
    assert "history.db cannot be opened: Permission denied" in said.err
    assert closed("hosts").code == 0
    said = closed("rollback", "tiny", "--yes")
    assert said.code == 0
    assert "this command goes on without it and records nothing more" in said.err
    assert list(closed.world.serving().values()) == ["v1"]


def test_doctor_says_whose_it_must_be(closed: FullHome) -> None:
    said = closed("doctor")
    assert said.code == 7
    assert way_in(closed.home) in said.out


@pytest.mark.parametrize("line", ["releases tiny", "deploy tiny --yes"])
def test_what_needs_the_history_says_so(closed: FullHome, line: str) -> None:
    said = closed(*line.split())
    assert said.code == 1
    assert f"hint: {way_in(closed.home)}" in said.err.replace("\n    ", " ")
    assert list(closed.world.serving().values()) == ["v2"]


@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_a_file_of_a_history_that_is_closed_to_this_user_is_said_to_be(
    closed: FullHome, ending: str
) -> None:
    closed.home.chmod(0o700)
    History(closed.home / "history.db", lambda: 0.0).close()
    file = closed.home / f"history.db{ending}"
    # As a command that was killed leaves them.
    file.touch()
    file.chmod(0)
    said = closed("releases", "tiny")
    assert f"hint: {way_in(closed.home)}" in said.err.replace("\n    ", " ")
    assert closed("rollback", "tiny", "--yes").code == 0
    assert list(closed.world.serving().values()) == ["v1"]
