"""What the tests of the command line share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    # Short: a root has at most 75 characters.
    place = Path(tempfile.mkdtemp(prefix="tkc-"))
    yield Shell(place, capsys, monkeypatch)
    shutil.rmtree(place)
