"""What the tests of the command line share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Prompt, Shell


@pytest.fixture
def short_path() -> Iterator[Path]:
    # A root has at most 75 characters, and sockets of shared connections lie below it.
    place = Path(tempfile.mkdtemp(prefix="tkc-"))
    yield place
    shutil.rmtree(place)


@pytest.fixture
def prompt(
    short_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Prompt:
    return Prompt(short_path, capsys, monkeypatch)


@pytest.fixture
def shell(
    short_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    return Shell(short_path, capsys, monkeypatch)
