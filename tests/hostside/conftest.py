"""Fixtures of the host's side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.guard_lab import Crowd
from tests.hostside.router_lab import REPO
from tests.hostside.router_site import Clients, Site, site_of

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry


@pytest.fixture(autouse=True)
def no_clients_left() -> Iterator[None]:
    """A test that fails leaves no clients to the next one, whose router may be the same."""
    yield
    for clients in [*Clients.running, *Crowd.running]:
        clients.stop()


@pytest.fixture
def site() -> Iterator[Site]:
    with site_of() as made:
        yield made


@pytest.fixture
def carrier(tmp_path: Path) -> use_carry.Carrier:
    return use_carry.Carrier(str(tmp_path))
