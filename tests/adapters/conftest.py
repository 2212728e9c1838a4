"""Hosts and a Hub for the tests of adapters; the real host is provisioned once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.host_lab import HostLab, fake_lab, real_lab, systemd_lab
from tests.adapters.hub_lab import RealWorld
from tests.fleet.machine import require_hosts


@pytest.fixture
def fake_host() -> HostLab:
    return fake_lab()


@pytest.fixture(scope="session")
def real_host() -> Iterator[HostLab]:
    with real_lab() as lab:
        yield lab


@pytest.fixture(scope="session")
def systemd_host() -> Iterator[HostLab]:
    require_hosts()
    with systemd_lab() as lab:
        yield lab


@pytest.fixture
def program(lab: HostLab) -> str:
    """A good replica in blue that is ready; its tests share it, where the one before has left it as it was."""
    return lab.ready()


@pytest.fixture
def real_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealWorld]:
    world = RealWorld(tmp_path / "origin", monkeypatch)
    yield world
    world.serving.__exit__(None, None, None)
