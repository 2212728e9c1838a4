"""The recorder, as the engine's Python imports it: from a directory that has nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.recorder.recorder_lab import Lab

FILES = Path(__file__).parents[2] / "playbooks/roles/replica/files"
if str(FILES) not in sys.path:
    sys.path.append(str(FILES))


@pytest.fixture
def engine_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A server on an engine's double; the modules of the double are gone afterwards."""
    from toolkit_recorder import middleware

    from tests.recorder.engine_double import install
    from tests.recorder.recorder_lab import TOLD, Lab

    before = dict(sys.modules)
    directory = tmp_path / "use"
    monkeypatch.setenv("TOOLKIT_USE", json.dumps({**TOLD, "directory": str(directory)}))
    monkeypatch.setattr(middleware, "LOOK", 0.001)
    yield Lab(directory, install())
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]
    sys.modules.update(before)
