"""What the tests of workflows share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflows.world import World
from toolkit.planning.change.rollout import Limits


@pytest.fixture(params=[1, 3], ids=["one host", "three hosts"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """A fleet of one host, and one of three that change together: what is true of one is true of all."""
    made = World(tmp_path, request.param, limits=Limits(serial=request.param, keep=0))
    yield made
    made.history.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[World]:
    """Three hosts that change one after the other."""
    made = World(tmp_path, 3)
    yield made
    made.history.close()
