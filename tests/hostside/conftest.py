"""Fixtures of the host's side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO, lab
from tests.hostside.router_site import Site

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry


@pytest.fixture
def site() -> Iterator[Site]:
    with lab() as running:
        made = Site(running)
        yield made
        made.blue.stop()
        made.green.stop()


@pytest.fixture
def carrier(tmp_path: Path) -> use_carry.Carrier:
    return use_carry.Carrier(str(tmp_path))
