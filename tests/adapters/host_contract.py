"""The hosts that are held to one contract, and what its tests read of them."""

from __future__ import annotations

import os

import pytest

from tests.adapters.host_lab import HostLab
from toolkit.domain.replicas.probe import LockOwner
from toolkit.planning.routing.routes import Target

OWNER = LockOwner("ann@ops", "toolkit deploy tiny", os.getpid())


_SYSTEMD = pytest.param("systemd", marks=pytest.mark.system)


@pytest.fixture(params=["fake", "real", _SYSTEMD])
def lab(request: pytest.FixtureRequest) -> HostLab:
    return _empty(request)


@pytest.fixture(name="lab", params=["real", _SYSTEMD])
def real_hosts(request: pytest.FixtureRequest) -> HostLab:
    """As `lab`, without the host in memory: for what only processes do."""
    return _empty(request)


def _empty(request: pytest.FixtureRequest) -> HostLab:
    found: HostLab = request.getfixturevalue(f"{request.param}_host")
    found.empty(but_ready="program" in request.fixturenames)
    return found


def targets_of(lab: HostLab, serving: str) -> tuple[Target, ...]:
    return tuple(Target(s, p, 100 if s == serving else 0) for s, p in lab.ports.items())


def weights_of(lab: HostLab) -> dict[str, int]:
    return {slot.slot: slot.weight for slot in lab.host.observe().slots}
